"""Imports point one way only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOOR = {"common"}
MAY_IMPORT = {
    "common": set(),
    "features": FLOOR,
    "datasets": FLOOR,
    "eval": FLOOR,
    "vse": FLOOR | {"features"},
    "captioner": FLOOR | {"features"},
    "naturalness": FLOOR | {"features"},
    "saliency": FLOOR | {"features", "captioner"},
    "preimage": FLOOR | {"features", "naturalness"},
}
PUBLIC_ONLY = {"saliency": "captioner", "preimage": "naturalness"}  # of this package only its `api` is imported
RUNS_OTHERS = {"vse/demo.py", "eval/pack.py"}  # commands that run other commands, as a user would
COMMANDS = {
    "common/doctor.py",
    "features/extract.py",
    "features/extract_frames.py",
    "features/convert.py",
    "features/train_compact_scenes.py",
    "features/distill.py",
    "datasets/fetch.py",
    "vse/train.py",
    "vse/search.py",
    "vse/demo.py",
    "captioner/train.py",
    "captioner/train_alignment.py",
    "captioner/snippets.py",
    "captioner/regions.py",
    "captioner/generate.py",
    "naturalness/train.py",
    "naturalness/map.py",
    "naturalness/changes.py",
    "saliency/explain.py",
    "preimage/invert.py",
    "preimage/maximize.py",
    "preimage/caricature.py",
    "preimage/deconv.py",
    "preimage/style.py",
    "preimage/compare.py",
    "preimage/gallery.py",
    "preimage/classify.py",
    "preimage/measure.py",
    "preimage/train.py",
    "eval/run.py",
    "eval/compare.py",
    "eval/pack.py",
    "eval/tour.py",
    "eval/document_frequencies.py",
    "eval/metric_agreement.py",
}
# Pieces of commands, in files of their own: they may import what commands may, and nobody else imports them.
PIECES = {
    "eval/run_captions.py": "eval/run.py",
    "eval/run_alignment.py": "eval/run.py",
    "eval/run_regions.py": "eval/run.py",
    "eval/run_pointing.py": "eval/run.py",
    "eval/run_fixations.py": "eval/run.py",
    "eval/run_classification.py": "eval/run.py",
    "eval/explained_pictures.py": "eval/run.py saliency/explain.py",
    "eval/run_captioners.py": "eval/run.py",
    "eval/run_baselines.py": "eval/run.py",
    "captioner/train_rewards.py": "captioner/train.py",
    "preimage/command.py": "preimage/invert.py preimage/maximize.py preimage/caricature.py preimage/deconv.py"
    " preimage/style.py preimage/compare.py preimage/gallery.py preimage/classify.py"
    " preimage/measure.py",
    "preimage/panels.py": "preimage/compare.py preimage/gallery.py",
    "preimage/compare_page.py": "preimage/compare.py",
    "preimage/gallery_parts.py": "preimage/gallery.py",
    "features/training_data.py": "vse/train.py captioner/train.py captioner/train_alignment.py",
}


def modules():
    return sorted(path for package in MAY_IMPORT for path in (ROOT / package).glob("**/*.py"))


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}  # `from common import checkpoints`
            submodules = {name for name in names if (ROOT / f"{name.replace('.', '/')}.py").is_file()}
            found |= submodules or {node.module}
    return {name for name in found if name.split(".")[0] in MAY_IMPORT}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_only(path):
    package, name = path.parent.name, str(path.relative_to(ROOT))
    for module in imported_modules(path):
        other = module.split(".")[0]
        assert module != other, f"{name} imports the package root {module!r}; import the module that holds the name"
        file = f"{module.replace('.', '/')}.py"
        assert name in RUNS_OTHERS or file not in COMMANDS, f"{name} imports the command {module}"
        if file in PIECES:
            assert PIECES.get(name, name) in PIECES[file].split(), f"{name} imports {module}, a piece of {PIECES[file]}"
        if name not in COMMANDS | set(PIECES):
            assert other == package or other in MAY_IMPORT[package], f"{name} must not import {module}"
        if PUBLIC_ONLY.get(package) == other:
            assert module == f"{other}.api", f"{name} imports {module}, expected {other}.api alone"


def test_the_table_of_commands_is_true():
    for name in COMMANDS:
        assert "def main(" in (ROOT / name).read_text(), f"{name} is listed as a command and has no main"


@pytest.mark.parametrize("name", sorted(COMMANDS | {"datasets/scenes.py"}))
def test_help_comes_before_anything_heavy_is_loaded(name):
    module = name.removesuffix(".py").replace("/", ".")
    heavy = "[m for m in ('tensorflow', 'keras', 'h5py', 'scipy') if m in sys.modules]"
    code = f"import sys, {module} as m\ntry: m.main(['--help'])\nexcept SystemExit: print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n"), done.stdout[-200:]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_package_roots_only_re_export(package):
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    kinds = (ast.Expr, ast.ImportFrom, ast.Import, ast.Assign)
    assert all(isinstance(node, kinds) for node in tree.body), f"{package}/__init__.py does more than re-export"


def test_nothing_in_the_tree_reads_pickles_or_lets_numpy_do_so():
    for path in modules():
        source = path.read_text()
        for forbidden in ("pickle" + ".load", "allow_pickle" + "=True", "safe_mode" + "=False"):
            assert forbidden not in source, f"{path} holds {forbidden!r}"
