"""Imports point one way only, from room to room and from file to file."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each room may import its own files and any room of an earlier line; `test_architecture.py` draws this table.
LAYERS = (
    ("vislang.core",),
    ("vislang.text", "vislang.images"),
    ("datasets", "eval.metrics"),
    ("vislang.draw", "vislang.backbones"),
    ("vislang.features",),
    ("vislang.training",),
    ("eval.published", "eval.results"),
    ("vse", "naturalness"),
    ("captioner", "preimage"),
    ("saliency",),
    ("eval.tables",),
    ("eval.pages",),
    ("eval.tasks",),
    ("eval",),
    ("app",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
PACKAGES = sorted({room.split(".")[0] for room in LEVEL})
PUBLIC_ONLY = {"saliency": "captioner", "preimage": "naturalness"}  # its API and the types of its models alone
MAY_IMPORT_COMMANDS = ("app.", "eval.run")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


FILES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).glob("**/*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
COMMANDS = sorted(
    name for name, tree in TREES.items() if any(getattr(node, "name", "") == "main" for node in tree.body)
)


def room_of(module: str) -> str:
    parts = module.split(".")
    two = ".".join(parts[:2])
    return two if two in LEVEL else parts[0]


def imported_modules(name: str, *, at_run_time: bool = False) -> set[str]:
    found = set()
    typing_only: set[ast.AST] = set()
    if at_run_time:
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                typing_only |= set(ast.walk(node))
    for node in ast.walk(TREES[name]):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            names = {
                f"{node.module}.{alias.name}" for alias in node.names
            }  # `from vislang.training import checkpoints`
            submodules = names & FILES.keys()
            found |= submodules or {node.module}
    return {module for module in found if module.split(".")[0] in PACKAGES}


MODULES = sorted(name for name in FILES if not name.endswith("__init__"))


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down_only(name):
    room, package = room_of(name), name.split(".")[0]
    for module in imported_modules(name):
        other = room_of(module)
        assert module in FILES, f"{name} imports the package root {module!r}; import the module that holds the name"
        assert other == room or LEVEL[other] < LEVEL[room], f"{name} must not import {module}"
        if module in COMMANDS:
            assert name.startswith(MAY_IMPORT_COMMANDS), f"{name} imports the command {module}"
        if PUBLIC_ONLY.get(package) == other:
            types = (f"{other}.inference", f"{other}.alignment.inference")
            assert module in (f"{other}.api", *types), f"{name} imports {module}, expected {other}.api"


INFERENCE = (
    *("captioner.generate", "captioner.regions", "vse.search", "saliency.explain", "naturalness.map", "app.album"),
    *("captioner.api", "vse.api", "saliency.api", "naturalness.api", "preimage.api", "vislang.features.extract"),
)


@pytest.mark.parametrize("start", INFERENCE)
def test_inference_imports_no_reader_of_data_sets(start):
    """A folder `datasets` of the user's own in the working directory must not matter: only training reads data sets."""
    found = {start}
    following = [start]
    while following:
        name = following.pop()
        for module in imported_modules(name, at_run_time=True) - found:
            assert module.split(".")[0] != "datasets", f"{start} imports {module} in {name}"
            found.add(module)
            following.append(module)
    assert len(found) > 20, "the walk ended early"


def test_no_file_imports_itself_by_way_of_others():
    graph = {name: imported_modules(name) & set(MODULES) for name in MODULES}
    finished: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, "circle: " + " -> ".join([*above[above.index(name) :], name])
        if name not in finished:
            for other in sorted(graph[name]):
                visit(other, (*above, name))
            finished.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_comes_before_anything_heavy_is_loaded(name):
    heavy = "[m for m in ('tensorflow', 'keras', 'h5py', 'scipy') if m in sys.modules]"
    code = f"import sys, {name} as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\nprint({heavy})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n"), done.stdout[-200:]


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.endswith("__init__")))
def test_package_roots_only_re_export(name):
    kinds = (ast.Expr, ast.ImportFrom, ast.Import, ast.Assign)
    for node in TREES[name].body:
        is_lazy = getattr(node, "name", "") == "__getattr__" or "TYPE_CHECKING" in ast.dump(getattr(node, "test", node))
        assert isinstance(node, kinds) or is_lazy, f"{name} does more than re-export"


def test_nothing_in_the_tree_reads_pickles_or_lets_numpy_do_so():
    for path in FILES.values():
        source = path.read_text(encoding="utf-8")
        for forbidden in ("pickle" + ".load", "allow_pickle" + "=True", "safe_mode" + "=False"):
            assert forbidden not in source, f"{path} holds {forbidden!r}"
