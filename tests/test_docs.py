"""README and docs: every command parses, commands and examples that need no training run, links lead somewhere."""

import argparse
import functools
import importlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PAGES = [page for page in PAGES if not {"_build", "_generated"} & set(page.parts)]
PLAIN = ("git clone", "cd ", "source .venv/bin/activate", "find ", "pip install")
# What these name is not there without a training, a download or an extra package.
NEEDS_MORE = re.compile(
    r"runs/|data/|exported/|mine/|clips/|mobilenet|vgg|captions\.(?:json|txt)|lance:|anyones_maps|--video|\bclip\.mp4|album"
)
UNAVAILABLE = re.compile(r"deploy\.prototxt|coco\.npz")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def shell_lines(page: Path) -> list[str]:
    lines = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").split("\n"):
            command = re.split(r"\s{2,}#", line)[0].strip()
            if command and not command.startswith("#"):
                lines.append(command.split("| ")[-1] if command.startswith("find ") else command)
    return lines


LINES = sorted({line for page in PAGES for line in shell_lines(page)})
MAKE = [line for line in LINES if line.startswith("make")]
COMMANDS = [line for line in LINES if line.startswith(("vislang", "python -m"))]


def split_command(line: str) -> tuple[str, list[str]]:
    """Return the module that a command line runs, and its arguments."""
    from app.cli import COMMANDS as TABLE

    words = shlex.split(line)
    if words[0] == "python":
        return words[2], words[3:]
    for length in (2, 1):
        name = " ".join(words[1 : 1 + length])
        if name in TABLE:
            return TABLE[name].module, words[1 + length :]
    raise AssertionError(f"vislang has no command {words[1]!r}")


def test_every_shell_line_is_checked():
    rest = set(LINES) - set(MAKE) - set(COMMANDS)
    assert not [line for line in rest if not line.startswith(PLAIN)]
    assert {"make demo", "make test"} <= set(MAKE)


@pytest.mark.parametrize("line", MAKE)
def test_make_knows_the_target(line):
    done = subprocess.run([*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in COMMANDS if line not in ("vislang --help", "vislang doctor")])
def test_commands_parse(line):
    module, words = split_command(line)
    if "--help" not in words:
        importlib.import_module(module).build_parser().parse_args(words)


def option_names(parser: argparse.ArgumentParser) -> set[str]:
    names = set()
    for action in parser._actions:
        names.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                names |= option_names(inner)
    return names


@functools.cache
def command_options(module: str) -> set[str]:
    return option_names(importlib.import_module(module).build_parser())


def inline_code(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]


OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")


def is_command(code: str) -> bool:
    return code.startswith("python -m ") or bool(re.match(r"vislang [a-z]", code))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_options_named_in_sentences_are_there(page):
    """An option beside a command is one of this command; alone in a guide, of a command of the guide, else of any."""
    from app.cli import COMMANDS as TABLE

    codes = inline_code(page)
    options = set()
    for line in filter(is_command, [*codes, *shell_lines(page)]):
        of_command = command_options(split_command(line)[0])
        own = re.split(r"(?<=--apache-beam) ", line)[0]  # what follows are options of Beam
        unknown = set(OPTION.findall(own)) - of_command
        assert not unknown, f"{line}: no such option: {unknown}"
        options |= of_command
    if page.parent.name != "guide" or not options:
        options.update(*(command_options(command.module) for command in TABLE.values()))
    for code in codes:
        if code.startswith("--"):
            unknown = set(OPTION.findall(code)) - options
            assert not unknown, f"no such option: {unknown}"


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with the files that the examples name."""
    import matplotlib.cbook

    folder = tmp_path_factory.mktemp("desk")
    photograph = Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg")).convert("RGB")
    photograph.thumbnail((256, 256))
    painting = photograph.rotate(90)
    for name in ("dog.jpg", "photo.jpg", "photos/a.jpg", "Pictures/a.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        photograph.save(folder / name)
    for name in ("painting.jpg", "photos/b.jpg", "Pictures/b.jpg"):
        painting.save(folder / name)
    return folder


RUN = [line for line in COMMANDS if not NEEDS_MORE.search(line) and "stdin" not in line and "--jsonl" not in line]


@pytest.mark.slow
@pytest.mark.parametrize("line", RUN)
def test_commands_that_need_no_training_run(line, desk, monkeypatch):
    monkeypatch.chdir(desk)
    monkeypatch.setenv("HOME", str(desk))
    from app.cli import main

    words = shlex.split(line.replace("~", str(desk)))
    if words[0] == "vislang":
        assert main(words[1:]) in (0, 3)
    else:
        module, arguments = split_command(line.replace("~", str(desk)))
        assert importlib.import_module(module).main(arguments) in (0, 3)


EXAMPLES = [
    pytest.param(block, id=f"{page_name(page)}-{index}")
    for page in PAGES[1:]  # README's has a test of its own below
    for index, block in enumerate(blocks(page, "python"))
    if not UNAVAILABLE.search(block)
]


def run_example(block: str, desk: Path, folder: Path, monkeypatch) -> None:
    for source in desk.iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    shutil.copytree(desk / "photos", folder / "photos")
    monkeypatch.chdir(folder)
    exec(compile(block, "example", "exec"), {"__name__": "example"})


@pytest.mark.slow
@pytest.mark.parametrize("block", EXAMPLES)
def test_python_examples_run(block, desk, monkeypatch, tmp_path):
    run_example(block, desk, tmp_path, monkeypatch)


@pytest.mark.slow
def test_readmes_python_example_prints_its_results(desk, monkeypatch, tmp_path, capsys):
    (block,) = blocks(ROOT / "README.md", "python")
    run_example(block, desk, tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    assert len(re.findall(r"\b[ab]\.jpg", printed)) >= 2, "both photographs are found"
    assert "('a', 'dog', 'on', 'the', 'grass') (1, 5, " in printed
    width, height = Image.open(desk / "dog.jpg").size
    assert f"({height}, {width})" in printed
    assert "(1, 224, 224, 3)" in printed


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[\w-]*)?\)", text):
        assert (page.parent / target).exists(), f"{page_name(page)} links to {target}"
    for document in re.findall(r"\{doc\}`(?:[^`<]*<)?([\w./-]+)>?`", text):
        assert (page.parent / f"{document}.md").exists(), f"{page_name(page)} refers to {document}"


def test_every_number_names_a_result_file_that_is_there():
    for page in PAGES:
        for name in re.findall(r"`(results/[\w.-]+\.json)`", page.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{page_name(page)} cites {name}"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_make_looks_for_photographs_where_the_reader_does():
    from datasets.captions.flickr import FLICKR8K

    folders = re.search(r"^F8K_FOLDERS := (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE).group(1)
    assert set(folders.split()) == set(FLICKR8K.images)


@pytest.mark.parametrize("name", ["F8K", "COCO", "RUNS", "VISLANG_WEIGHTS", "SEEDS", "PHOTOS"])
@pytest.mark.parametrize(
    "attack", ["a;touch {}", "$(shell touch {})", "`touch {}`", "a$(touch {})", "'\"; touch {}; '\""]
)
def test_names_given_to_make_are_not_run(name, attack, tmp_path):
    """make or the shell would run them; PHOTOS may hold any character."""
    mark = tmp_path / "was-run"
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(shutil.which("echo"))
    (tmp_path / "setup.py").touch()
    (tmp_path / ".venv" / ".installed").touch()
    words = ["make", "-s", "-f", str(ROOT / "Makefile"), "demo", f"{name}={attack.format(mark)}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert not mark.exists()
    if name == "PHOTOS":
        assert f"--images {attack.format(mark)} --out" in done.stdout
    else:
        assert f"{name} holds " in done.stderr


@pytest.mark.parametrize("folders", [[], ["COCO=data/coco", "ENTITIES=data/entities", "OSIE=data/osie"]])
@pytest.mark.parametrize("target", ["train-f8k", "train-everyday", "pretrained"])
def test_commands_of_the_makefile_parse(target, folders):
    """Presets and options that the trainings name are there."""
    words = ["make", "--dry-run", target, "F8K=data/flickr8k", "F8K_IMAGES=data/flickr8k/Images", "SEEDS=0"]
    names = {folder.partition("=")[0] for folder in folders}
    absent = [f"{name}=" for name in ("COCO", "ENTITIES", "OSIE") if name not in names]
    done = subprocess.run([*words, *folders, *absent], cwd=ROOT, capture_output=True, text=True, check=True)
    text = done.stdout.replace("\\\n", " ").replace("$seed", "0")
    commands = re.findall(r"python -m ((?!pip|venv)[\w.]+)([^|;\n]*)", text)
    modules = {module for module, _ in commands}
    assert {"vse.train", "captioner.train", "captioner.alignment.train", "captioner.make_snippets"} <= modules
    assert ("vse.pseudo_captions" in modules) == (bool(folders) and target != "train-f8k")
    for module, options in commands:
        importlib.import_module(module).build_parser().parse_args(shlex.split(options))


@pytest.mark.parametrize("crops", ["1", "10"])
def test_vgg_is_extracted_as_published_and_read_by_the_published_presets(crops):
    words = ["make", "--dry-run", "train-f8k", "F8K=data/flickr8k", "F8K_IMAGES=data/flickr8k/Images", "SEEDS=0"]
    words += ["BACKBONE=vgg19", f"CROPS={crops}", "RANKER=kiros", "CAPTIONER=karpathy", "COCO="]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    text = done.stdout.replace("\\\n", " ").replace("$seed", "0")
    parsed: dict[str, list[argparse.Namespace]] = {}
    for module, options in re.findall(r"python -m ((?!pip|venv)[\w.]+)([^|;\n]*)", text):
        arguments = importlib.import_module(module).build_parser().parse_args(shlex.split(options))
        parsed.setdefault(module, []).append(arguments)
    extracted = {(args.layers, args.preprocessing) for args in parsed["vislang.features.extract"]}
    preprocessing = {"1": "center-crop-224-bgr-mean/v1", "10": "ten-crop-224-bgr-mean/v1"}[crops]
    assert {("pooled,grid,fc7", None), ("fc7", preprocessing), ("pooled,grid", "320")} <= extracted
    assert [args.set for args in parsed["vse.train"]] == [[f"layers=fc7@{preprocessing}"]]
    assert ["layers=fc7"] in [args.set for args in parsed["captioner.train"]]


@pytest.mark.slow
def test_the_site_builds_offline_without_warnings(tmp_path):
    import sys

    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for page in tmp_path.glob("**/*.html"):
        loaded = re.findall(r'(?:src|href)="(https?://[^"]+\.(?:js|css|woff2?))"', page.read_text(encoding="utf-8"))
        assert not loaded, f"{page.name} loads {loaded} from a network"
