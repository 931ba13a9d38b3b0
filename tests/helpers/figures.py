"""Measure the code: size, density, docstrings and annotations of every package (`make figures`).

Code lines are physical lines without blank lines, comments and docstrings. Densities count per 1,000 code lines.
"""

import argparse
import ast
import json
import statistics
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("vislang", "datasets", "vse", "captioner", "saliency", "naturalness", "preimage", "eval", "app")
LIMITS = {  # the most that the whole code may have
    "lines": 50_500,
    "comprehensions": 35.0,
    "ternaries": 12.0,
    "tuple_assignments": 4.0,
    "boolean_products": 0,
    "file_median": 150,
    "file_longest": 350,
}
LEAST = {"docstrings": 100.0, "annotated": 100.0}  # the least, in per cent of public functions and classes
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Count:
    """What one file, or several, hold."""

    lines: int = 0
    code_lines: int = 0
    comprehensions: int = 0
    ternaries: int = 0
    tuple_assignments: int = 0
    boolean_products: int = 0
    public: int = 0
    documented: int = 0
    functions: int = 0
    annotated: int = 0
    file_lengths: list[int] = field(default_factory=list)
    function_lengths: list[int] = field(default_factory=list)

    def add(self, other: "Count") -> None:
        """Add another file's counts to these."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


def count_file(path: Path) -> Count:
    """Count one file."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    lines = source.splitlines()
    prose = _docstring_lines(tree)
    code = [
        number
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.strip().startswith("#") and number not in prose
    ]
    count = Count(lines=len(lines), code_lines=len(code), file_lengths=[len(lines)])
    for node in ast.walk(tree):
        _count_node(node, count)
    for node in _public_definitions(tree):
        count.public += 1
        if ast.get_docstring(node):
            count.documented += 1
    return count


def _count_node(node: ast.AST, count: Count) -> None:
    if isinstance(node, _COMPREHENSIONS):
        count.comprehensions += 1
    elif isinstance(node, ast.IfExp):
        count.ternaries += 1
    elif isinstance(node, ast.Assign):
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            count.tuple_assignments += 1
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        if _is_boolean_product(node):
            count.boolean_products += 1
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        count.functions += 1
        count.function_lengths.append((node.end_lineno or node.lineno) - node.lineno + 1)
        if _is_annotated(node):
            count.annotated += 1


def _docstring_lines(tree: ast.AST) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            first = node.body[0]
            found.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found


def _is_boolean_product(node: ast.BinOp) -> bool:
    """Say whether a string, list or tuple is multiplied by a condition."""
    for text, factor in ((node.left, node.right), (node.right, node.left)):
        literal = isinstance(text, ast.List | ast.Tuple | ast.JoinedStr) or (
            isinstance(text, ast.Constant) and isinstance(text.value, str)
        )
        condition = isinstance(factor, ast.Compare | ast.BoolOp) or (
            isinstance(factor, ast.UnaryOp) and isinstance(factor.op, ast.Not)
        )
        if literal and condition:
            return True
    return False


def _is_annotated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    named = [argument for argument in arguments if argument.arg not in ("self", "cls")]
    if node.name == "__init__":
        return all(argument.annotation for argument in named)
    return node.returns is not None and all(argument.annotation for argument in named)


def _public_definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    found: list[ast.FunctionDef | ast.ClassDef] = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        found.append(node)
        if isinstance(node, ast.ClassDef):
            methods = [child for child in node.body if isinstance(child, ast.FunctionDef)]
            found.extend(method for method in methods if not method.name.startswith("_"))
    return found


def summary(count: Count) -> dict[str, float]:
    """Turn counts into the figures that `LIMITS` and `LEAST` speak of."""
    thousands = max(count.code_lines, 1) / 1000
    return {
        "files": len(count.file_lengths),
        "lines": count.lines,
        "code_lines": count.code_lines,
        "comprehensions": round(count.comprehensions / thousands, 1),
        "ternaries": round(count.ternaries / thousands, 1),
        "tuple_assignments": round(count.tuple_assignments / thousands, 1),
        "boolean_products": count.boolean_products,
        "file_median": statistics.median(count.file_lengths),
        "file_longest": max(count.file_lengths),
        "function_median": statistics.median(count.function_lengths or [0]),
        "function_longest": max(count.function_lengths or [0]),
        "docstrings": round(100 * count.documented / max(count.public, 1), 1),
        "annotated": round(100 * count.annotated / max(count.functions, 1), 1),
    }


def measure(root: Path = ROOT) -> dict[str, dict[str, float]]:
    """Measure every package, and all of them together under "total"."""
    total = Count()
    figures = {}
    for package in PACKAGES:
        count = Count()
        for path in sorted((root / package).glob("**/*.py")):
            count.add(count_file(path))
        figures[package] = summary(count)
        total.add(count)
    figures["total"] = summary(total)
    return figures


def main() -> int:
    """Print the figures as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--root", type=Path, default=ROOT, help="a checkout (default: this one)")
    args = parser.parse_args()
    figures = measure(args.root)
    if args.json:
        print(json.dumps(figures, indent=2))
        return 0
    names = list(figures["total"])
    print(f"{'':18}" + "".join(f"{package:>12}" for package in figures))
    for name in names:
        print(f"{name:18}" + "".join(f"{row[name]:12g}" for row in figures.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
