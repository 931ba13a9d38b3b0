"""Row 1 of docs/trust.md: a cache that was opened gives the numbers of the file that was opened."""

import h5py
import keras
import numpy as np
import pytest

from vislang.core.errors import DataError
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache

IDS = ("a", "b", "c")
POOLED = FeatureKey("toy", "pooled", "none", "f" * 64)
ROWS = np.arange(12, dtype=np.float16).reshape(3, 4)


@pytest.fixture
def path(tmp_path):
    import_rows(tmp_path / "c.h5", IDS, ROWS, POOLED)
    return tmp_path / "c.h5"


def add_grid(path):
    """Move the rows that are there: the new layer comes before them in the file."""
    grid = FeatureKey("toy", "grid", "none", "f" * 64)
    import_rows(path, IDS, np.full((3, 2, 2, 500), 7.0), grid)


def other_images(path):
    path.unlink()
    import_rows(path, ("x", "y", "z", "w"), np.full((4, 4), 9.0), POOLED)


@pytest.mark.parametrize("happens", [add_grid, other_images])
def test_row_1_another_process_that_replaces_the_file_changes_no_number(path, happens):
    before = open_cache(path)
    streamed = before.resident("toy", "pooled", budget_bytes=0)
    happens(path)
    np.testing.assert_array_equal(before.read("toy", "pooled"), ROWS)
    np.testing.assert_array_equal(before.read("toy", "pooled", ["c", "a"]), ROWS[[2, 0]])
    np.testing.assert_array_equal(before.mapped(POOLED), ROWS)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(streamed.rows(np.array([1, 0]))), ROWS[[1, 0]])
    assert len(before.layers()) == 1
    assert open_cache(path).ids != IDS or len(open_cache(path).layers()) == 2


def test_row_1_rows_outlive_the_cache_that_gave_them(path):
    with open_cache(path) as cache:
        streamed = cache.resident("toy", "pooled", budget_bytes=0)
    del cache
    other_images(path)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(streamed.rows(np.array([2]))), ROWS[[2]])


def test_row_1_a_program_that_writes_into_the_open_file_is_an_error(path):
    cache = open_cache(path)
    streamed = cache.resident("toy", "pooled", budget_bytes=0)
    streamed.rows(np.array([0]))
    with h5py.File(path, "r+") as file:
        file["toy/pooled"][:] = 5
    for read in (lambda: cache.read("toy", "pooled"), lambda: streamed.rows(np.array([0]))):
        with pytest.raises(DataError, match="'a' is damaged, its checksum differs"):
            read()
