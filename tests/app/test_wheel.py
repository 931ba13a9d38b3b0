"""The wheel works on its own: from any folder, beside the user's packages of the same names, with its models."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = ("common/__init__.py", "common/config.py", "features/__init__.py", "datasets/__init__.py")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A new environment that holds the wheel; the libraries that it needs come from this one, the checkout does not."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    packages = [path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]
    for name in packages:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    install = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (folder,) = environment.glob("lib/python*/site-packages")
    (folder / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)).save(path)
    return path


@pytest.fixture(params=["root", "folder with packages of the user"])
def folder(request, tmp_path):
    if request.param == "root":
        return Path("/")
    for name in FOREIGN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('raise RuntimeError("the package of the user was imported")\n')
    return tmp_path


def run(installed, folder, *words):
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VISLANG_WEIGHTS")}
    command = [str(installed / "bin" / words[0]), *map(str, words[1:])]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_the_checkout_is_not_importable_and_the_version_is(installed):
    done = run(installed, "/", "python", "-c", "import vislang; print(vislang.__file__)")
    assert done.stdout.startswith(str(installed)), done.stderr
    assert run(installed, "/", "vislang", "--version").stdout.startswith("vislang 0.")


def test_an_image_is_captioned_by_both_commands(installed, folder, photo):
    short = run(installed, folder, "vislang", "caption", photo, "--json")
    assert short.returncode == 0, short.stderr
    long = run(installed, folder, "python", "-m", "captioner.generate", "--image", photo, "--json")
    assert long.returncode == 0, long.stderr
    assert json.loads(short.stdout)["images"] == json.loads(long.stdout)["images"]


def test_images_are_encoded_from_python(installed, folder, photo):
    code = f"import vse; print(vse.encode_images(vse.load_model(), {str(photo)!r}).vectors.shape)"
    done = run(installed, folder, "python", "-c", code)
    assert done.stdout.startswith("(1, "), done.stderr


def test_the_doctor_finds_what_the_wheel_holds(installed, photo):
    done = run(installed, photo.parent, "vislang", "doctor", "--json")
    found = {one["part"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert found["bundled models"]["state"] == "ok"
    assert "make" not in " ".join(one["fix"] for one in found.values())
