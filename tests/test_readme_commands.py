"""Every command of the README is one that works: make targets exist, module commands parse, examples run."""

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.split("  #")[0].strip() for line in joined.split("\n") if line.strip() and not line.startswith("#")]


MAKE = [line for line in shell_lines() if line.startswith("make")]
MODULES = [line for line in shell_lines() if "python -m" in line]


def test_the_readme_has_its_two_commands_and_nothing_unchecked():
    assert {"make demo", "make test"} <= set(MAKE)
    known = set(MAKE) | set(MODULES)
    rest = [
        line
        for line in shell_lines()
        if line not in known and not line.startswith(("git clone", "cd ", "source .venv/bin/activate"))
    ]
    assert not rest, f"no test runs {rest}"


@pytest.mark.parametrize("line", MAKE)
def test_make_knows_the_target(line):
    done = subprocess.run([*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", MODULES)
def test_module_commands_parse(line):
    words = shlex.split(line[line.index("python -m") :])
    parser = importlib.import_module(words[2]).build_parser()
    parser.parse_args(words[3:])


def test_python_examples_name_what_exists():
    for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        compile(block, "README.md", "exec")
        for package, name in re.findall(r"\b(vse|captioner|saliency|naturalness|preimage)\.(\w+)\(", block):
            assert hasattr(importlib.import_module(package), name), f"README uses {package}.{name}"


def test_every_table_number_has_its_result_file():
    for name in re.findall(r"`(results/[\w.-]+\.json)`", README):
        assert (ROOT / name).is_file(), f"README cites {name}"


def test_make_looks_for_photographs_where_the_reader_does():
    from datasets.captions.flickr import FLICKR8K

    folders = re.search(r"^F8K_FOLDERS := (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE).group(1)
    assert set(folders.split()) == set(FLICKR8K.images)
