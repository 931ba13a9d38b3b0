"""Row 5 of docs/trust.md: damaged rows and ids, NaN, infinity and clipped numbers are told by name."""

import re

import h5py
import keras
import numpy as np
import pytest
from old_caches import write_old_cache

from vislang.core.errors import DataError
from vislang.features.cache.reader import CacheWriter, FeatureKey, import_rows, open_cache

IDS = ("a.jpg", "b.jpg", "c.jpg")
KEY = FeatureKey("toy", "pooled", "none", "f" * 64)
ROWS = np.arange(1, 13, dtype=np.float16).reshape(3, 4)


@pytest.fixture
def path(tmp_path):
    import_rows(tmp_path / "c.h5", IDS, ROWS, KEY)
    return tmp_path / "c.h5"


def change(path, old: bytes, new: bytes, times: int = 1):
    """Change the bytes of a file, as a failing disk does."""
    content = path.read_bytes()
    assert content.count(old) == times
    path.write_bytes(content.replace(old, new))


def damaged(read, message):
    with pytest.raises(DataError, match=message) as raised:
        read()
    assert "\n" not in str(raised.value)


def test_row_5_a_damaged_row_is_an_error_that_names_its_image(path):
    change(path, ROWS[1].tobytes(), ROWS[1, ::-1].tobytes())
    message = "toy/pooled of 'b.jpg' is damaged, its checksum differs; make the cache again"
    cache = open_cache(path)
    np.testing.assert_array_equal(cache.read("toy", "pooled", ["c.jpg", "a.jpg"]), ROWS[[2, 0]])
    damaged(lambda: cache.read("toy", "pooled"), message)
    damaged(lambda: cache.mapped(KEY), message)
    damaged(lambda: cache.resident("toy", "pooled"), message)
    streamed = cache.resident("toy", "pooled", budget_bytes=0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(streamed.rows(np.array([0]))), ROWS[[0]])
    damaged(lambda: streamed.rows(np.array([0, 1])), message)
    damaged(lambda: import_rows(path, IDS, ROWS, FeatureKey("toy", "grid", "none", "f" * 64)), message)


def test_row_5_rows_of_another_image_layer_or_shape_are_damaged(path, tmp_path):
    content = path.read_bytes()
    rows = (content.index(ROWS[0].tobytes()), ROWS.nbytes)
    swapped = bytearray(content)
    swapped[rows[0] : sum(rows)] = ROWS[[1, 0, 2]].tobytes()
    path.write_bytes(swapped)
    damaged(lambda: open_cache(path).read("toy", "pooled"), "'a.jpg' is damaged")
    import_rows(tmp_path / "d.h5", IDS, np.ones((3, 2, 6)), KEY)
    change(tmp_path / "d.h5", np.array([3, 2, 6], "<u8").tobytes(), np.array([3, 6, 2], "<u8").tobytes(), 2)
    damaged(lambda: open_cache(tmp_path / "d.h5").read("toy", "pooled"), "'a.jpg' is damaged")


def test_row_5_damaged_ids_are_an_error(path):
    change(path, b"b.jpg", b"e.jpg")
    damaged(lambda: open_cache(path), "/ids is damaged, its checksum differs; make the cache again")


def test_row_5_a_damaged_checksum_or_key_is_an_error(path):
    with h5py.File(path, "r+") as file:
        records = file["records/toy/pooled"][:]
        records["checksum"][2] ^= 1
        file["records/toy/pooled"][:] = records
    damaged(lambda: open_cache(path).read("toy", "pooled"), "'c.jpg' is damaged")
    import_rows(path.with_name("d.h5"), IDS, ROWS, KEY)
    change(path.with_name("d.h5"), b"f" * 64, b"e" + b"f" * 63)
    damaged(lambda: open_cache(path.with_name("d.h5")).read("toy", "pooled"), "'a.jpg' is damaged")


@pytest.mark.parametrize("missing", ["records/toy/pooled", "records/toy", "records", "toy"])
def test_row_5_checksums_or_layers_that_are_gone_are_an_error(path, missing):
    with h5py.File(path, "r+") as file:
        del file[missing]
    damaged(lambda: open_cache(path), "make (the cache|it) again")


def test_row_5_a_cache_that_lost_its_checksums_does_not_pass_for_an_old_one(path):
    with h5py.File(path, "r+") as file:
        del file["ids"].attrs["checksum"]
    damaged(lambda: open_cache(path), "/ids is damaged")
    with h5py.File(path, "r+") as file:
        file["ids"].attrs["checksum"] = "a text, which is not read"
    damaged(lambda: open_cache(path), "/ids is damaged")


def test_row_5_a_row_is_checked_once(path, monkeypatch):
    from vislang.features.cache import rows

    checked = []
    monkeypatch.setattr(rows, "row_checksum", lambda row, name, start, real=rows.row_checksum: (
        checked.append(name), real(row, name, start))[1])  # fmt: skip
    streamed = open_cache(path).resident("toy", "pooled", budget_bytes=0)
    for numbers in ([0, 2], [2, 0], [0, 1, 2]):
        streamed.rows(np.array(numbers))
    assert checked == ["a.jpg", "c.jpg", "b.jpg"]


def test_row_5_a_cache_without_checksums_is_read_and_gets_them(tmp_path):
    write_old_cache(tmp_path / "c.h5", IDS, {KEY: ROWS})
    np.testing.assert_array_equal(open_cache(tmp_path / "c.h5").read("toy", "pooled"), ROWS)
    import_rows(tmp_path / "c.h5", IDS, np.ones((3, 2)), FeatureKey("toy", "fc7", "none", "f" * 64))
    np.testing.assert_array_equal(open_cache(tmp_path / "c.h5").read("toy", "pooled"), ROWS)
    change(tmp_path / "c.h5", ROWS[1].tobytes(), ROWS[1, ::-1].tobytes())
    damaged(lambda: open_cache(tmp_path / "c.h5").read("toy", "pooled"), "'b.jpg' is damaged")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_row_5_nan_and_infinity_of_a_cache_are_told_by_name(tmp_path, number):
    rows = ROWS.copy()
    rows[1, 2] = number
    write_old_cache(tmp_path / "c.h5", IDS, {KEY: rows})
    damaged(lambda: open_cache(tmp_path / "c.h5").read("toy", "pooled"), "of 'b.jpg' holds NaN or infinity")
    np.testing.assert_array_equal(open_cache(tmp_path / "c.h5").read("toy", "pooled", ["c.jpg"]), ROWS[[2]])


def write(path, features):
    with CacheWriter(path, [KEY], {}) as writer:
        writer.append(["a.jpg"], {KEY: np.ones((1, 4))}, done=1)
        writer.append(["b.jpg", "c.jpg"], {KEY: features}, done=3)
        writer.finish()


def test_row_5_nan_of_an_extraction_is_told_by_name(tmp_path):
    features = np.ones((2, 4), np.float32)
    features[1, 3] = np.nan
    damaged(lambda: write(tmp_path / "c.h5", features), "features toy/pooled of c.jpg hold NaN")
    message = re.escape("features toy/pooled of b.jpg, c.jpg hold NaN")
    damaged(lambda: write(tmp_path / "d.h5", np.full((2, 4), np.nan)), message)


@pytest.mark.parametrize("number", [1e6, np.inf, -65520.0])
def test_row_5_clipped_numbers_are_told_by_name_at_writing_and_reading(tmp_path, caplog, number):
    features = np.ones((2, 4), np.float32)
    features[0, 1] = number
    write(tmp_path / "c.h5", features)
    told = "features toy/pooled of b.jpg go beyond float16's largest number; clipped to 65504"
    assert [one.getMessage() for one in caplog.records] == [told]
    caplog.clear()
    for dtype in (np.float32, np.float16):
        with np.errstate(over="ignore"):
            import_rows(tmp_path / f"{np.dtype(dtype)}.h5", ["b.jpg", "c.jpg"], features.astype(dtype), KEY)
        assert [one.getMessage() for one in caplog.records] == [told]
        caplog.clear()
    cache = open_cache(tmp_path / "c.h5")
    assert cache.read("toy", "pooled", ["a.jpg", "c.jpg"]).max() == 1
    assert not caplog.records
    assert np.abs(cache.read("toy", "pooled")).max() == 65504
    (told,) = caplog.records
    assert told.getMessage().endswith("c.h5: toy/pooled of b.jpg holds float16's largest number, 65504")


def test_row_5_numbers_that_float16_holds_are_not_told(tmp_path, caplog):
    rows = np.array([[65503.0, -65472.0, 6e-8, 0.0], [1, 2, 3, 4]])
    import_rows(tmp_path / "c.h5", ["a", "b"], rows, KEY)
    np.testing.assert_array_equal(open_cache(tmp_path / "c.h5").read("toy", "pooled"), rows.astype(np.float16))
