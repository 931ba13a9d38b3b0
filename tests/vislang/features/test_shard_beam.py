"""Shards on Apache Beam: the same results as in one process. `make test-beam` runs it in an environment of its own."""

from pathlib import Path

import pytest

from vislang.core.errors import DataError
from vislang.features.extract import main
from vislang.features.reading_options import ReadingOptions
from vislang.features.shards.job import Input
from vislang.features.shards.run import Engine, run_shards

pytest.importorskip("apache_beam", reason="Apache Beam has an environment of its own: make test-beam")
pytestmark = pytest.mark.filterwarnings("ignore")

DIRECT = ("--runner", "DirectRunner", "--direct_running_mode")
TWO_PROCESSES = (*DIRECT, "multi_processing", "--direct_num_workers", "2")


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six images, of which one is broken."""
    import numpy as np
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "3.png").write_text("hello")
    return folder


def contents(shards: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shards.iterdir() if path.suffix != ".mark"}


@pytest.mark.parametrize("options", [(*DIRECT, "in_memory"), TWO_PROCESSES], ids=["one process", "two"])
def test_beam_writes_what_one_process_writes(photos, tmp_path, options):
    words = ["--images", str(photos), "--backbone", "compact_scenes", "--shard-size", "2", "--layers", "pooled"]
    assert main([*words, "--shards", str(tmp_path / "one")]) == 3
    assert main([*words, "--shards", str(tmp_path / "beam"), "--apache-beam", *options]) == 3
    assert contents(tmp_path / "one") == contents(tmp_path / "beam")
    (tmp_path / "beam" / "00001.json").unlink()
    assert main([*words, "--shards", str(tmp_path / "beam"), "--apache-beam", *options]) == 3
    assert contents(tmp_path / "one") == contents(tmp_path / "beam")


def test_an_error_of_a_shard_ends_the_run_with_its_message(photos, tmp_path):
    from shard_jobs import NamesJob, model_folder

    job = NamesJob(tmp_path / "s", Input(photos), False, model_folder(tmp_path / "m"), ReadingOptions(), "fails")
    with pytest.raises(DataError, match="the disk is full"):
        run_shards(job, Engine(beam=("--runner", "DirectRunner")), progress=False)
