"""A run over shards that is killed by force again and again ends with the same bytes as an undisturbed one."""

import importlib.util
import io
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vislang.features.cache.reader import open_cache

SHARDS = 12
KILLS = 3


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Tar files and a folder of photographs, some damaged."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for number in range(SHARDS):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for index in range(40):
                stream = io.BytesIO()
                coarse = Image.fromarray(random.integers(0, 255, (9, 12, 3), np.uint8))
                coarse.resize((640, 480)).save(stream, "JPEG")
                content = stream.getvalue()[: 200 if index == number else None]
                info = tarfile.TarInfo(f"{number:05d}{index:04d}.jpg")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
                if index < 5:
                    (folder / "loose" / f"{number}").mkdir(parents=True, exist_ok=True)
                    (folder / "loose" / f"{number}" / f"{index}.jpg").write_bytes(content)
    cut = folder / "00003.tar"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    return folder


def run(images: Path, shards: Path, engine: list[str], kill_after: int | None = None) -> int:
    """Run the command, and kill it when so many more shards are done; return the exit code."""
    command = [sys.executable, "-m", "vislang.features.extract", "--images", str(images), "--shards", str(shards)]
    command += ["--backbone", "compact_scenes", "--batch-size", "8", "--shard-size", "20", *engine]
    reports = set(shards.glob("0*[0-9].json"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if kill_after is not None and len(set(shards.glob("0*[0-9].json")) - reports) >= kill_after:
            process.kill()
        time.sleep(0.01)
    return process.wait()


def contents(shards: Path) -> dict[str, bytes]:
    """Return the files, without what only a killed run leaves."""
    return {path.name: path.read_bytes() for path in shards.iterdir() if not path.name.startswith(".")}


BEAM = ["--apache-beam", "--runner", "DirectRunner"]
BEAM += ["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
ENGINES = [
    pytest.param([], id="one process"),
    pytest.param(["--jobs", "2"], id="two processes"),
    pytest.param(BEAM, id="beam", marks=pytest.mark.skipif(not HAS_BEAM, reason="run it by make test-beam")),
]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_is_killed_three_times_ends_equal(images, tmp_path, engine):
    assert run(images, tmp_path / "whole", []) == 3
    for number in range(KILLS):
        assert run(images, tmp_path / "killed", engine, kill_after=number + 1) == -9
    assert len(list((tmp_path / "killed").glob("*.h5"))) < len(list((tmp_path / "whole").glob("*.h5")))
    assert run(images, tmp_path / "killed", engine) == 3
    whole, killed = open_cache(tmp_path / "whole"), open_cache(tmp_path / "killed")
    assert len(whole.ids) == (SHARDS - 1) * 39 + 5 * SHARDS - 5
    assert whole.ids == killed.ids
    assert whole.layers() == killed.layers()
    for key in whole.layers():
        assert whole.mapped(key).tobytes() == killed.mapped(key).tobytes()
    assert contents(tmp_path / "whole") == contents(tmp_path / "killed")
