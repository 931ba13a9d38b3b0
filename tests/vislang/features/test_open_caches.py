"""Files given as a feature cache that are none, and caches that other programs touch, cut or damage."""

import os

import h5py
import numpy as np
import pytest

import vislang
from vislang.core.errors import DataError
from vislang.features.cache.reader import CacheWriter, FeatureKey, open_cache
from vislang.features.cache.records import RECORD

IDS = ("a.jpg", "b.jpg")
KEY = FeatureKey("toy", "pooled", "none", "f" * 64)
ROWS = np.arange(1, 9, dtype=np.float16).reshape(2, 4)


@pytest.fixture
def path(tmp_path):
    """A cache of two rows that were computed from files."""
    records = np.zeros(2, RECORD)
    records["size"], records["mtime_ns"], records["ctime_ns"], records["sha256"] = 77, 5, 6, b"ab" * 32
    with CacheWriter(tmp_path / "c.h5", [KEY], {}) as writer:
        writer.append(IDS, {KEY: ROWS}, done=2, records=records)
        writer.finish()
    return tmp_path / "c.h5"


def test_a_folder_is_no_cache(tmp_path):
    message = "is a folder, not an HDF5 file, so no feature cache; name another file"
    with pytest.raises(DataError, match=message):
        open_cache(tmp_path)
    with pytest.raises(DataError, match=message):
        vislang.extract_features([tmp_path / "a.jpg"], backbone="compact_scenes", cache=tmp_path)


def test_a_text_file_is_no_cache(tmp_path):
    (tmp_path / "mine.txt").write_text("buy milk")
    with pytest.raises(DataError, match="mine.txt: not an HDF5 file, so no feature cache; name another file"):
        open_cache(tmp_path / "mine.txt")


def test_a_cut_cache_is_damaged(path):
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged HDF5 file .*; make the cache again"):
        open_cache(path)


def test_a_touch_does_not_end_a_reader(path):
    streamed = open_cache(path).resident("toy", "pooled", budget_bytes=0)
    before = np.asarray(streamed.rows(np.array([1, 0])))
    os.utime(path, (5, 5))
    np.testing.assert_array_equal(np.asarray(streamed.rows(np.array([1, 0]))), before)


def test_a_cache_that_is_cut_while_it_is_open_is_an_error(path):
    cache = open_cache(path)
    cache.read("toy", "pooled")
    os.truncate(path, 100)
    with pytest.raises(DataError, match="another program cut it while it was read; make the cache again"):
        cache.read("toy", "pooled")


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "sha256"])
def test_damaged_records_of_files_are_an_error(path, field):
    with h5py.File(path, "r+") as file:
        records = file["records/toy/pooled"][:]
        records[field][1] = np.zeros((), RECORD[field])
        file["records/toy/pooled"][:] = records
    with pytest.raises(DataError, match="/records/toy/pooled is damaged, its checksum differs; make the cache again"):
        open_cache(path).changed({})


def test_records_without_a_checksum_of_their_own_are_read(path):
    with h5py.File(path, "r+") as file:
        del file["records/toy/pooled"].attrs["checksum"]
    np.testing.assert_array_equal(open_cache(path).read("toy", "pooled"), ROWS)
