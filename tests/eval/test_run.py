"""The dispatch of eval.run: one parser for each task."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from eval.run import TASKS, main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("task", TASKS)
def test_help_loads_nothing_heavy(task):
    heavy = "[m for m in ('numpy', 'tensorflow', 'keras', 'h5py', 'scipy', 'PIL') if m in sys.modules]"
    code = f"import sys, eval.run as m\ntry: m.main(['{task}', '--help'])\nexcept SystemExit: print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n"), done.stdout[-200:]
    assert f"python -m eval.run {task}" in done.stdout
    assert "--out" in done.stdout


def test_help_is_fast():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "eval.run", "captions", "--help"], cwd=ROOT, check=True, stdout=-3)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "the following arguments are required: TASK"),
        (["rank"], "invalid choice: 'rank'"),
        (["retrieval"], "the following arguments are required: --model"),
        (["retrieval", "--model", "x", "--blur", "0.1"], "unrecognized arguments: --blur 0.1"),
        (["retrieval", "--model", "x", "--protocl", "full"], "did you mean --protocol?"),
        (["captions", "--maps", "x"], "unrecognized arguments: --maps x"),
        (["fixations", "--data", "x", "--beam", "3"], "unrecognized arguments: --beam 3"),
        (["pointing", "--model", "x", "--results", "y"], "unrecognized arguments: --results y"),
    ],
)
def test_wrong_options_end_with_one_line(words, error, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert error in said
    assert said.count("\n") == 1
