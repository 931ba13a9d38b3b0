"""OpenCV's reader of Caffe networks, the independent one that ours is compared with.

OpenCV 5 has dropped it, and two OpenCVs cannot live in one environment. So a version that still has it is installed
into a folder of its own and runs in a process of its own:

    python tests/helpers/opencv_caffe.py --install     put it into VISLANG_ORACLES, or else into the user's cache
    python tests/helpers/opencv_caffe.py --run DIR...  in each folder: net.prototxt, net.caffemodel, input.npy ->
    output.npy

`make test` sets VISLANG_ORACLES and installs it there; where that is set, the comparison must run. Elsewhere a test
installs OpenCV by itself and is skipped if it cannot be had.
"""

import os
import subprocess
import sys
from pathlib import Path

VERSION = "4.10.0.84"
VARIABLE = "VISLANG_ORACLES"


def home() -> Path:
    """Give the folder of this version of OpenCV."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vislang-toolkit"
    return Path(os.environ.get(VARIABLE) or cache) / f"opencv-{VERSION}"


def install() -> Path:
    """Install OpenCV into its folder unless it is there."""
    folder = home()
    if not (folder / "cv2").is_dir():
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        only = ["--no-deps", "--only-binary", ":all:", "--target", str(part)]
        subprocess.run([*pip, *only, f"opencv-python-headless=={VERSION}"], check=True, capture_output=True, text=True)
        part.replace(folder)
    return folder


def run(folders: list[Path]) -> None:
    """Let OpenCV compute output.npy, [N, C, H, W] or [N, C], in each folder, in one process."""
    environment = {**os.environ, "PYTHONPATH": str(install())}
    command = [sys.executable, __file__, "--run", *map(str, folders)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


def _run_here(folders: list[str]) -> None:
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    for folder in map(Path, folders):
        network = cv2.dnn.readNetFromCaffe(str(folder / "net.prototxt"), str(folder / "net.caffemodel"))
        network.enableFusion(False)
        network.setInput(np.load(folder / "input.npy"), "data")
        np.save(folder / "output.npy", network.forward())


if __name__ == "__main__":
    print(install()) if sys.argv[1:2] == ["--install"] else _run_here(sys.argv[2:])
