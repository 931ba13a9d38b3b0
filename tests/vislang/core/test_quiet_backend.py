"""TensorFlow's notes never reach the user, in commands and in the library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

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


COMMANDS = {
    "app.album": "--images photo.png",
    "app.bundle.train": "--data none --run none",
    "app.demo": "--images photo.png --out demo/index.html",
    "captioner.alignment.train": "--data none --cache none --out run",
    "captioner.generate": "--images photo.png",
    "captioner.regions": "--images photo.png",
    "captioner.train": "--data none --cache none --out run",
    "naturalness.changes": "--data none --out results",
    "naturalness.map": "--images photo.png",
    "naturalness.train": "--images photo.png --out run",
    "preimage.caricature": "--images photo.png --out out.png",
    "preimage.classify": "--images photo.png",
    "preimage.compare": "compact compact --images photo.png --out out.html",
    "preimage.deconv": "--images photo.png --out out.png",
    "preimage.gallery": "--images photo.png --out out.html",
    "preimage.invert": "--images photo.png --out out.png",
    "preimage.maximize": "--channels 1 --out out.png",
    "preimage.measure": "--images photo.png --layers grid",
    "preimage.style": "--images photo.png --style photo.png --out out.png",
    "preimage.train": "--data none --domains photo --out run",
    "saliency.explain": "--images photo.png",
    "vislang.features.extract": "--images photo.png --backbone compact --cache c.h5",
    "vse.search": "--images photo.png",
    "vse.train": "--data none --cache none --out run",
}
FIRST_IMPORT = """
import importlib, io, contextlib, json, sys, traceback

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("keras", "tensorflow"):
            callers = [frame.name for frame in traceback.extract_stack()]
            raise SystemExit("quiet" if "import_backend_quietly" in callers else " < ".join(callers[-5:-1]))

sys.meta_path.insert(0, Watch())
found = {}
for name, words in json.loads(sys.argv[1]).items():
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            importlib.import_module(name).main(words.split())
        found[name] = said.getvalue()
    except SystemExit as ended:
        found[name] = f"{ended.code} {said.getvalue()}"
open("found.json", "w").write(json.dumps(found))
"""


def test_every_command_loads_the_backend_quietly(tmp_path):
    Image.new("RGB", (64, 48), "red").save(tmp_path / "photo.png")
    command = [sys.executable, "-c", FIRST_IMPORT, json.dumps(COMMANDS)]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert {name: said for name, said in found.items() if not said.startswith("quiet")} == {}
