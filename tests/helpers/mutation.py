"""Mutation testing of the files that hold the papers' equations: change one thing, and see whether a test fails.

    python tests/helpers/mutation.py                          every file of TESTS
    python tests/helpers/mutation.py vse/kiros/gru.py         one file
    python tests/helpers/mutation.py --sample 20              at most 20 changes of each file

The files stay as they are: a forked process compiles the changed source in place of the file, and runs the tests of the
file until the first failure. Printed are the changes that no test notices, and the score of each file.

Not changed are texts, annotations, errors, and what no result depends on: the statements of `UNSEEN`, the arguments of
`UNSEEN_ARGUMENTS`, the shapes that Keras layers are built with, and whether a random number may equal its bound.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "vse/kiros/adam.py": ["tests/vse/test_equations.py"],
    "vse/kiros/gru.py": ["tests/vse/test_equations.py"],
    "vse/model.py": ["tests/vse/test_model.py", "tests/vse/test_gradients.py"],
    "vislang/training/losses.py": ["tests/vse/test_equations.py", "tests/vse/test_model.py"],
    "vislang/training/optimizers.py": ["tests/vislang/training/test_optimizers.py"],
    "vislang/training/feature_scaling.py": ["tests/vislang/training/test_feature_scaling.py"],
    "captioner/models/cells.py": ["tests/captioner/test_equations.py"],
    "captioner/models/mrnn.py": ["tests/captioner/test_equations.py", "tests/captioner/test_models.py"],
    "captioner/models/lstm.py": ["tests/captioner/test_equations.py", "tests/captioner/test_models.py"],
    "captioner/models/s2vt.py": ["tests/captioner/test_equations.py", "tests/captioner/test_models.py"],
    "captioner/alignment/model.py": ["tests/captioner/test_alignment.py"],
    "captioner/alignment/scores.py": ["tests/captioner/test_alignment.py::test_scores_are_those_of_plain_loops"],
    "captioner/alignment/segments.py": ["tests/captioner/test_segments.py"],
    "captioner/alignment/viterbi.py": ["tests/captioner/test_mrf.py"],
    "saliency/methods/gradient.py": ["tests/saliency/test_windows.py"],
    "saliency/methods/ramanishka.py": ["tests/saliency/test_quantities.py"],
    "saliency/methods/single_descriptor.py": ["tests/saliency/test_quantities.py"],
    "saliency/methods/windows.py": ["tests/saliency/test_windows.py"],
    "naturalness/model.py": ["tests/naturalness/test_training_equations.py", "tests/naturalness/test_model.py"],
    "naturalness/maps.py": ["tests/naturalness/test_map.py"],
    "naturalness/predictors/lstm.py": ["tests/naturalness/test_model.py"],
    "naturalness/predictors/statistics.py": ["tests/naturalness/test_model.py"],
    "preimage/optimization/objectives.py": ["tests/preimage/test_terms.py"],
    "preimage/optimization/optimizer.py": ["tests/preimage/test_terms.py", "tests/preimage/test_searches.py"],
    "preimage/optimization/priors.py": ["tests/preimage/test_terms.py"],
    "preimage/optimization/white_noise.py": ["tests/preimage/test_searches.py"],
    "preimage/style_transfer/colour.py": ["tests/preimage/test_terms.py"],
    "preimage/style_transfer/gram.py": [
        "tests/preimage/test_terms.py",
        "tests/preimage/test_searches.py::test_regions_take_their_own_textures_and_must_be_in_both",
    ],
    "eval/metrics/ranking.py": ["tests/eval/test_ranking.py"],
    "eval/metrics/retrieval.py": ["tests/eval/test_retrieval.py"],
}
# Sizes of blocks, sentinels and guards against division by 0.
UNSEEN = re.compile(r"^(_ROWS|_MASKED|_NEVER|_EXCLUDED|_TINY|_FLOOR|_EPSILON|_CHECK_EVERY|_BLOCK\w*|self\.built)\b")
UNSEEN_ARGUMENTS = ("strict", "optimize", "maxsize", "seed")  # of zip, einsum, lru_cache and random numbers
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
FUNCTIONS = {
    "sum": "mean", "mean": "sum", "max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum",
    "argmax": "argmin", "argmin": "argmax", "zeros": "ones", "ones": "zeros", "zeros_like": "ones_like",
    "tanh": "sigmoid", "sigmoid": "tanh", "relu": "abs", "exp": "tanh", "sqrt": "square", "square": "sqrt",
    "logical_and": "logical_or", "logical_or": "logical_and", "equal": "not_equal", "not_equal": "equal",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of a file: the line, the code before and after, and the changed source."""

    line: int
    before: str
    after: str
    source: str


class _Changer(ast.NodeTransformer):
    """Apply the change with one index; count all."""

    def __init__(self, wanted: int):
        self.wanted = wanted
        self.count = 0
        self.found: tuple[int, str, str] | None = None

    def _change(self, node: ast.AST, changed: ast.AST) -> ast.AST:
        chosen = self.count == self.wanted
        self.count += 1
        if not chosen:
            return node
        ast.copy_location(changed, node)
        self.found = (node.lineno, ast.unparse(node), ast.unparse(changed))
        return changed

    def visit(self, node: ast.AST) -> ast.AST:
        """Visit a node, but for what no result depends on."""
        if isinstance(node, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
            return node
        if isinstance(node, ast.Assign | ast.AnnAssign) and UNSEEN.match(ast.unparse(node)):
            return node
        if isinstance(node, ast.keyword) and node.arg in UNSEEN_ARGUMENTS:
            return node
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "build":
            return node
        return super().visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # noqa: N802
        node.args = self.generic_visit(node.args)
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node  # annotations

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:  # noqa: N802
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:  # noqa: N802
        if isinstance(node.value, bool):
            return self._change(node, ast.Constant(not node.value))
        if isinstance(node.value, int):
            return self._change(node, ast.Constant(node.value + 1))
        if isinstance(node.value, float):
            return self._change(node, ast.Constant(node.value * 2 or 1.0))
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        return self._other_operator(node, "op")

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        return self._other_operator(node, "op")

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        return self._other_operator(node, "op")

    def visit_Compare(self, node: ast.Compare) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        if type(node.ops[0]) not in OPERATORS:
            return node
        if "random.uniform(" in ast.unparse(node):
            return node
        changed = copy.deepcopy(node)
        changed.ops[0] = OPERATORS[type(node.ops[0])]()
        return self._change(node, changed)

    def _other_operator(self, node: ast.AST, field: str) -> ast.AST:
        other = OPERATORS.get(type(getattr(node, field)))
        if other is None or "|" in ast.unparse(node):  # | joins types
            return node
        changed = copy.deepcopy(node)
        setattr(changed, field, other())
        return self._change(node, changed)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:  # noqa: N802
        if not isinstance(node.operand, ast.Constant):  # of -1 only the sign: in a shape, -2 means the same
            self.generic_visit(node)
        return self._change(node, copy.deepcopy(node.operand))

    def visit_If(self, node: ast.If) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        return self._negated(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        return self._negated(node)

    def _negated(self, node: ast.If | ast.IfExp) -> ast.AST:
        if isinstance(node.test, ast.Compare | ast.UnaryOp):
            return node  # changed by itself
        node.test = self._change(node.test, ast.UnaryOp(ast.Not(), copy.deepcopy(node.test)))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in FUNCTIONS:
            changed = copy.deepcopy(node)
            changed.func.attr = FUNCTIONS[node.func.attr]
            return self._change(node, changed)
        return node


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every change of a source, one at a time."""
    index = 0
    while True:
        tree = ast.parse(source)
        changer = _Changer(index)
        changed = changer.visit(tree)
        if changer.found is None:
            return
        line, before, after = changer.found
        yield Mutant(line, before.split("\n")[0], after.split("\n")[0], ast.unparse(ast.fix_missing_locations(changed)))
        index += 1


class _ChangedSource(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Import one module from a changed source."""

    def __init__(self, module: str, path: Path, source: str):
        super().__init__(module, str(path))
        self.module = module
        self.source = source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> object:
        if fullname != self.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> object:
        return compile(self.source, self.path, "exec")


def tests_fail(path: str, source: str, tests: list[str], seconds: int) -> bool:
    """Run the tests of a file with another source in a forked process, and say whether one fails or takes too long."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        signal.alarm(seconds)  # ends the process
        code = 1
        try:
            import pytest

            module = path.removesuffix(".py").replace("/", ".")
            sys.meta_path.insert(0, _ChangedSource(module, ROOT / path, source))
            options = ["-q", "-x", "-p", "no:cacheprovider", "-m", "not slow and not realdata"]
            code = int(pytest.main([*options, *tests]))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status != 0


def measure(path: str, sample: int | None, seed: int) -> dict:
    """Try the changes of a file; return counts and what survived."""
    source = (ROOT / path).read_text(encoding="utf-8")
    tests = TESTS[path]
    started = time.monotonic()
    if tests_fail(path, source, tests, 600):
        sys.exit(f"error: the tests of {path} fail without any change: {' '.join(tests)}")
    limit = 20 + 5 * round(time.monotonic() - started)
    found = list(mutants(source))
    total = len(found)
    if sample is not None and sample < total:
        found = random.Random(seed).sample(found, sample)
    survived = []
    for mutant in found:
        if not tests_fail(path, mutant.source, tests, limit):
            survived.append(mutant)
            print(f"survived  {path}:{mutant.line}  {mutant.before}  ->  {mutant.after}", flush=True)
    killed = len(found) - len(survived)
    print(
        f"{100 * killed / max(1, len(found)):5.1f} %  {killed} of {len(found)} killed ({total} in all)  {path}",
        flush=True,
    )
    rows = [{name: value for name, value in asdict(one).items() if name != "source"} for one in survived]
    return {"tried": len(found), "killed": killed, "all": total, "survived": rows}


def _import_libraries() -> None:
    """Import what all forks need; TensorFlow starts no thread before its first operation."""
    for name in (
        "pytest",
        "hypothesis.extra.numpy",
        "keras",
        "h5py",
        "nltk",
        "scipy.ndimage",
        "PIL.Image",
        "tqdm",
        "av",
    ):
        importlib.import_module(name)


def main() -> int:
    """Run the command; exit code 1 for a score below the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=list(TESTS), help="files of TESTS (default: all)")
    parser.add_argument("--sample", type=int, help="changes to try in each file (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the sample")
    parser.add_argument("--min-score", type=float, default=90.0, help="bar in per cent (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    unknown = set(args.files) - set(TESTS)
    if unknown:
        parser.error(f"no tests are listed for {', '.join(sorted(unknown))}")
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # faster
    _import_libraries()
    results = {}
    for path in args.files:
        results[path] = measure(path, args.sample, args.seed)
        if args.out:
            args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    tried = sum(one["tried"] for one in results.values())
    score = 100 * sum(one["killed"] for one in results.values()) / max(1, tried)
    print(f"{score:.1f} % of {tried} changes killed, expected {args.min_score:g} or more")
    return int(score < args.min_score)


if __name__ == "__main__":
    sys.exit(main())
