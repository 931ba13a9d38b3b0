"""The `vislang` command: its table, its help, the names in usage lines, and mistakes."""

import importlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vislang
from app.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_whose_usage_has_its_short_name(name, capsys):
    module = importlib.import_module(COMMANDS[name].module)
    assert callable(module.build_parser)
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: vislang {name} [")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_overview_lists_every_command(words, capsys):
    assert main(words) == 0
    output = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name} " in output
        assert command.help in output


def test_a_family_lists_its_members(capsys):
    assert main(["train"]) == 0
    output = capsys.readouterr().out
    assert "train captioner" in output
    assert "explain" not in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["captoin", "a.jpg"], "unknown command 'captoin'; did you mean caption"),
        (["train", "rankr"], "unknown command 'train rankr'; did you mean train ranker"),
        (["xyzzy"], "more; see vislang --help"),
        (
            ["search", "--tpo", "3"],
            "unrecognized arguments: --tpo (did you mean --top?); see vislang search --help",
        ),
    ],
)
def test_mistakes_are_one_line_with_the_nearest_name(words, message, capsys):
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vislang {vislang.__version__}\n"


def test_the_examples_of_a_help_have_the_name_that_was_called(capsys):
    for name in ("invert", "explain"):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        output = capsys.readouterr().out
        assert f"  vislang {name} --images" in output
        assert "python -m" not in output
        assert "Command:" not in output


def test_help_is_fast_and_imports_nothing_heavy():
    heavy = "('numpy', 'tensorflow', 'keras', 'h5py', 'PIL')"
    code = f"import sys, app.cli; app.cli.main(['--help']); print([m for m in {heavy} if m in sys.modules])"
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
    assert done.stdout.endswith("[]\n")
    assert min(seconds) < 0.3
