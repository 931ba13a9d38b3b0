"""Whole files, checkpoints on disk, exit codes, seeds."""

import errno
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from vislang.core.cli import run_command
from vislang.core.errors import DataError, ToolkitError
from vislang.core.files import read_json, require_writable_folder, whole_file, write_json
from vislang.core.seeds import stream


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"old": 1})

    def fail_halfway():
        with whole_file(target) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert read_json(target, "test file", "") == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_full_disk_is_one_clear_error(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"old": 1})
    with pytest.raises(DataError, match="No space left.*nothing was changed"), whole_file(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert read_json(target, "test file", "") == {"old": 1}


def test_an_unwritable_target_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for write in (
        lambda: write_json(tmp_path / "file" / "a.json", 1),
        lambda: require_writable_folder(tmp_path / "file"),
    ):
        with pytest.raises(DataError, match="cannot write.*file"):
            write()


def test_unreadable_json_names_the_way_out(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    for name in ("bad.json", "none.json"):
        with pytest.raises(DataError, match=f"settings .*{name}.*make it anew"):
            read_json(tmp_path / name, "settings", "make it anew")


def test_killed_while_writing_the_old_file_stays_whole(tmp_path):
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old" * 1000)
    code = (
        "import sys; from vislang.core.files import whole_file\n"
        "while True:\n"
        "    with whole_file(sys.argv[1]) as part: part.write_bytes(b'new' * 1000)\n"
    )
    for delay in (0.15, 0.2, 0.25, 0.3):
        writer = subprocess.Popen([sys.executable, "-c", code, str(target)])
        time.sleep(delay)
        writer.kill()
        writer.wait()
        assert target.read_bytes() in (b"old" * 1000, b"new" * 1000)


def test_commands_turn_errors_into_exit_codes(capsys):
    def fail():
        raise ToolkitError("what, got, expected, next")

    assert run_command(lambda: 0) == 0
    assert run_command(fail) == 2
    assert capsys.readouterr().err == "error: what, got, expected, next\n"
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


def test_streams_are_named_and_repeatable():
    assert stream(1, "batches", 0).integers(1 << 40) == stream(1, "batches", 0).integers(1 << 40)
    draws = {int(stream(seed, name, epoch).integers(1 << 40)) for seed in (1, 2) for name in "ab" for epoch in (0, 1)}
    assert len(draws) == 8
    assert isinstance(stream(1), np.random.Generator)
