"""Damaged feature caches: an error or the true numbers, never other ones, a crash or a hang."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent / "helpers" / "cache_damage.py"


@pytest.mark.parametrize("seed", [1, 2])
def test_no_damage_changes_a_number_or_stops_the_reader(tmp_path, seed):
    done = subprocess.run([sys.executable, PROGRAM, tmp_path, "300", str(seed)], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["other numbers"] == []
    assert found["refused"] > 50
    assert found["true numbers"] > 50  # bytes that nothing uses
