"""TensorFlow's notes never reach the user, in commands, in the library and in scripts that import both."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_a_script_that_uses_the_library_and_keras_writes_nothing_on_stderr():
    use = "captioner.caption_images(captioner.load_model(), np.zeros((60, 80, 3), np.uint8))"
    assert run(f"import numpy as np, captioner, vislang, keras; keras.ops.ones(3); {use}").stderr == ""


@pytest.mark.slow
def test_a_training_that_reports_a_mistake_writes_one_line_on_stderr(tmp_path):
    words = ["train", "captioner", "--data", str(tmp_path), "--cache", "no.h5", "--out", str(tmp_path / "out")]
    done = run(f"import sys; from app.cli import main; print(main({words!r}), 'tensorflow' in sys.modules)")
    assert done.stdout == "2 True\n"
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_level_that_the_user_chose_is_kept(monkeypatch):
    code = "import vislang, os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    for chosen, expected in ((None, "3"), ("0", "0")):
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
        if chosen is not None:
            monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", chosen)
        done = run(code)
        assert done.stdout == f"{expected}\n"


@pytest.mark.parametrize("words", [["caption"], ["explain"], ["regions"], ["unusual"], ["search", "--text", "a dog"]])
def test_a_missing_image_is_one_line_without_loading_the_backend(words, tmp_path):
    words = [*words, "--images", str(tmp_path / "no.jpg")]
    code = f"import sys; from app.cli import main; code = main({words!r}); print(code, 'tensorflow' in sys.modules)"
    done = run(code)
    assert done.stderr == f"error: {tmp_path / 'no.jpg'}: no such file or folder\n"
    assert done.stdout == "2 False\n"


@pytest.mark.slow
def test_commands_import_keras_without_matplotlib_and_can_use_it_afterwards():
    body = "import gc, keras; print('matplotlib' in sys.modules, gc.isenabled(), gc.get_freeze_count() > 100_000)"
    code = (
        f"import sys; from vislang.core.cli import run_command; run_command(lambda: exec({body!r})); import matplotlib"
    )
    assert run(code).stdout == "False True True\n"
