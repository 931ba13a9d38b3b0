"""TensorFlow's notes never reach the user, in commands and in the library."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
USES = {
    "library": "import captioner; captioner.caption_images(captioner.load_model(), np.zeros((60, 80, 3), np.uint8))",
    "command": "from vislang.core.cli import import_backend_quietly as load; load(); import keras; keras.ops.ones(3)",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_nothing_is_written_on_stderr(use):
    code = f"import numpy as np; {use}; import logging; logging.getLogger('absl').warning('no')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_level_that_the_user_chose_is_kept(monkeypatch):
    code = "import vislang, os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    for chosen, expected in ((None, "3"), ("0", "0")):
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
        if chosen is not None:
            monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", chosen)
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout == f"{expected}\n"
