"""Shards in several processes: shared, ended together, and none left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shard_jobs import job_of, names_of, write_photos

from vislang.core.errors import DataError
from vislang.features.cache.manifest import read_manifest
from vislang.features.shards.job import Shard, process_shard
from vislang.features.shards.processes import _Worker
from vislang.features.shards.run import Engine, run_shards


@pytest.fixture
def photos(tmp_path) -> Path:
    return write_photos(tmp_path / "photos")


def contents(shards: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shards.iterdir()}


def test_processes_share_the_shards(photos, tmp_path):
    run_shards(job_of(tmp_path / "one", photos, shard_size=1), Engine(), progress=False)
    run_shards(job_of(tmp_path / "two", photos, shard_size=1), Engine(jobs=2), progress=False)
    marks = list((tmp_path / "two").glob("*.mark"))
    assert len(marks) == 7, "each shard is worked on once"
    assert len({mark.name.split("-")[0] for mark in marks}) == 2, "each of two processes has some"
    for folder in ("one", "two"):
        for mark in (tmp_path / folder).glob("*.mark"):
            mark.unlink()
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert names_of(tmp_path / "two") == ["0/0.png", "0/2.png", "0/4.png", "0/6.png", "1/1.png", "1/5.png"]
    states_of_broken = [shard for shard in read_manifest(tmp_path / "two").shards if shard.state == "damaged"]
    assert [shard.reason.partition(";")[0] for shard in states_of_broken] == ["none of 1 images could be used"]


@pytest.mark.parametrize(
    ("trouble", "kind", "message"),
    [
        ("killed", DataError, "a working process ended with -9, .*; run again to go on, with fewer --jobs"),
        ("fails", DataError, "the disk is full"),
        ("breaks", RuntimeError, r"shard 0000\d: ZeroDivisionError\('a fault'\)"),
    ],
)
def test_trouble_in_a_process_ends_the_run_which_goes_on_later(photos, tmp_path, trouble, kind, message):
    shards = tmp_path / "shards"
    with pytest.raises(kind, match=message):
        run_shards(job_of(shards, photos, trouble, shard_size=2), Engine(jobs=2), progress=False)
    assert {shard.state for shard in read_manifest(shards).shards} == {"unfinished"}
    done = run_shards(job_of(shards, photos), Engine(jobs=2), progress=False)
    assert done.worked_on == 4
    assert len(names_of(shards)) == 6


def test_a_process_that_is_gone_before_it_has_a_shard_is_an_error(photos, tmp_path):
    """A broken pipe would pass for a reader of our output that has seen enough, and end well."""
    worker = _Worker(job_of(tmp_path / "shards", photos), 2)
    worker.process.kill()
    worker.process.join()
    with pytest.raises(DataError, match="a working process ended with -9"):
        worker.give(Shard("00000", ""))


def test_relative_paths_are_those_of_the_command(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_shards(job_of(Path("shards"), Path("photos")), Engine(jobs=2), progress=False)
    assert [shard.rows for shard in done.manifest.shards] == [6]


def test_of_two_processes_with_one_shard_one_waits_and_does_nothing(photos, tmp_path):
    shards = tmp_path / "shards"
    job = job_of(shards, photos).absolute()
    run_shards(job, Engine(), progress=False)
    (mark,) = shards.glob("*.mark")
    mark.unlink()
    assert process_shard(Shard("00000", ""), job).result.rows == 6
    assert not list(shards.glob("*.mark"))


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from vislang.core.cli import run_command
if __name__ == "__main__":
    from shard_jobs import job_of
    from vislang.features.shards.run import Engine, run_shards
    job = job_of(Path(sys.argv[2]), Path(sys.argv[3]), "slow", shard_size=2)
    sys.exit(run_command(lambda: run_shards(job, Engine(jobs=2), progress=False) and 0))
"""


def heed_interrupts():
    """Let a process heed ctrl-C, which those that a shell starts in the background ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_behind(photos, tmp_path, number):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    helpers = Path(__file__).resolve().parents[2] / "helpers"
    command = [sys.executable, str(script), str(helpers), str(tmp_path / "shards"), str(photos)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_interrupts
    )
    waited = time.monotonic()
    while len(marks := list((tmp_path / "shards").glob("*.mark"))) < 2:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() - waited < 60
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert err == "interrupted; run the same command again to go on\n"
    workers = [int(mark.name.split("-")[0]) for mark in marks]
    waited = time.monotonic()
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() - waited < 20, "a worker lives on"
        time.sleep(0.05)
    done = run_shards(job_of(tmp_path / "shards", photos), Engine(), progress=False)
    assert len(done.manifest.of_state("finished")) == 4
