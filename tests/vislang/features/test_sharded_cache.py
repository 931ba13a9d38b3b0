"""A folder of shards reads like one cache file with the same rows; everything else is a clear error."""

import dataclasses
import json
import logging
import shutil

import keras
import numpy as np
import pytest

from vislang.core.errors import DataError
from vislang.features.cache import sharded_cache
from vislang.features.cache.manifest import (
    DAMAGED,
    FEATURES,
    FINISHED,
    UNFINISHED,
    Manifest,
    ShardState,
    read_manifest,
    write_manifest,
)
from vislang.features.cache.reader import FeatureKey, import_rows, is_cache, open_cache, resident_rows
from vislang.features.descriptors import CachedDescriptors

KEY = FeatureKey("mobilenet_v2", "pooled", "squash-224-tf/v1", "ab" * 32, {"keras": "3"})
GRID = dataclasses.replace(KEY, layer="grid")
IDS = tuple(f"{number // 4}/bild-{number}-ü.jpg" for number in range(11))
CUTS = (0, 4, 5, 11)  # shards of 4, 1 and 6 images
POOLED = np.random.default_rng(0).normal(3, 2, (11, 5)).astype(np.float16)
GRIDS = np.random.default_rng(1).normal(3, 2, (11, 2, 3, 5)).astype(np.float16)


def write_shards(folder, keys=((KEY, POOLED), (GRID, GRIDS)), states=(FINISHED,) * 3):
    folder.mkdir(exist_ok=True)
    shards = []
    for number, (first, last) in enumerate(zip(CUTS, CUTS[1:], strict=False)):
        name = f"{number:05d}"
        for key, rows in keys:
            import_rows(folder / f"{name}.h5", IDS[first:last], rows[first:last], key)
        shards.append(ShardState(name, "", states[number], last - first))
    write_manifest(folder, Manifest(FEATURES, "path", tuple(shards)))
    return folder


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards")


@pytest.fixture
def single(tmp_path):
    import_rows(tmp_path / "c.h5", IDS, POOLED, KEY)
    import_rows(tmp_path / "c.h5", IDS, GRIDS, GRID)
    return tmp_path / "c.h5"


@pytest.mark.parametrize("most_open", [1, 512])
@pytest.mark.parametrize("named", ["", "manifest.json"])
def test_it_reads_like_one_file(shards, single, most_open, named, monkeypatch):
    monkeypatch.setattr(sharded_cache, "MOST_OPEN", most_open)
    assert is_cache(shards / named)
    with open_cache(shards / named) as cache, open_cache(single) as other:
        assert cache.path == shards
        assert cache.ids == other.ids == IDS
        assert cache.layers() == other.layers()
        assert cache.key("mobilenet_v2", "grid") == GRID
        assert cache.holds(KEY)
        assert not cache.holds(dataclasses.replace(KEY, layer="fc7"))
        assert cache.shape("mobilenet_v2", "grid") == (11, 2, 3, 5)
        for chosen in (None, IDS[::-1], [IDS[4]], [IDS[10], IDS[0], IDS[10], IDS[5]], []):
            np.testing.assert_array_equal(
                cache.read("mobilenet_v2", "grid", chosen), other.read("mobilenet_v2", "grid", chosen)
            )
        np.testing.assert_array_equal(cache.mapped(KEY), POOLED)
        np.testing.assert_array_equal(cache.positions(IDS[::-1]), np.arange(11)[::-1])
        assert cache.changed({}) == other.changed({}) == []
        assert cache.layers_without_files() == other.layers_without_files()
        for budget in (2**20, 0):
            rows = cache.resident("mobilenet_v2", "pooled", IDS[8:1:-2], budget_bytes=budget)
            assert rows.is_resident == (budget > 0)
            found = keras.ops.convert_to_numpy(rows.rows(np.array([2, 0, 2, 3])))
            np.testing.assert_array_equal(found, POOLED[8:1:-2][[2, 0, 2, 3]].astype(np.float32))


def test_it_joins_with_a_file_in_one_training(shards, tmp_path):
    import_rows(tmp_path / "d.h5", ["x", "y"], POOLED[:2] + 1, KEY)
    sources = [(open_cache(shards), IDS[3:6]), (open_cache(tmp_path / "d.h5"), ("y",))]
    expected = np.concatenate([POOLED[3:6], POOLED[1:2] + 1]).astype(np.float32)
    rows = resident_rows(sources, "mobilenet_v2", "pooled", budget_bytes=0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(rows.rows(np.arange(4))), expected)
    descriptors = CachedDescriptors(sources, "mobilenet_v2", ["pooled"])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(descriptors.rows(np.arange(4)))[:, 0], expected)


def test_rows_of_a_batch_are_read_once_a_shard(shards, monkeypatch):
    cache = open_cache(shards)
    asked = []
    read = sharded_cache.StoredRows.__getitem__
    monkeypatch.setattr(
        sharded_cache.StoredRows, "__getitem__", lambda rows, chosen: asked.append(len(chosen)) or read(rows, chosen)
    )
    cache.read("mobilenet_v2", "pooled", [IDS[number] for number in (10, 0, 4, 1, 9, 3)])
    assert asked == [3, 1, 2]


def test_files_are_opened_when_rows_are_read(shards):
    cache = open_cache(shards)
    assert not cache._open
    cache.read("mobilenet_v2", "pooled", [IDS[4]])
    assert list(cache._open) == [1]


def test_damaged_shards_are_left_out_with_a_warning(tmp_path, caplog):
    write_shards(tmp_path / "shards", states=(FINISHED, DAMAGED, FINISHED))
    with caplog.at_level(logging.WARNING):
        cache = open_cache(tmp_path / "shards")
    assert "without 1 of 3 shards (00001), which are damaged" in caplog.text
    assert cache.ids == IDS[:4] + IDS[5:]
    np.testing.assert_array_equal(cache.read("mobilenet_v2", "pooled"), np.delete(POOLED, 4, axis=0))


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (
            (FINISHED, UNFINISHED, UNFINISHED),
            r"2 of 3 shards \(00001, 00002\) are not finished; run the extraction again",
        ),
        ((DAMAGED,) * 3, "none of 3 shards could be used; the first: "),
    ],
)
def test_shards_that_are_not_there_are_an_error(tmp_path, states, message):
    write_shards(tmp_path / "shards", states=states)
    with pytest.raises(DataError, match=message):
        open_cache(tmp_path / "shards")


def test_an_image_in_two_shards_is_named(shards):
    shutil.copy(shards / "00000.h5", shards / "00002.h5")
    manifest = read_manifest(shards)
    last = dataclasses.replace(manifest.shards[2], rows=4)
    write_manifest(shards, dataclasses.replace(manifest, shards=(*manifest.shards[:2], last)))
    with pytest.raises(DataError, match=r"shards 00000 and 00002 both hold '0/bild-0-ü.jpg', .*--ids path"):
        open_cache(shards)


@pytest.mark.parametrize(
    ("key", "rows", "message"),
    [
        (dataclasses.replace(KEY, weights="cd" * 32), POOLED[5:], "pooled is not as in 00000.h5: weights is cd"),
        (KEY, POOLED[5:, :3], "pooled is not as in 00000.h5: another shape"),
    ],
)
def test_shards_of_different_features_are_refused(shards, key, rows, message):
    (shards / "00002.h5").unlink()
    import_rows(shards / "00002.h5", IDS[5:], rows, key)
    with pytest.raises(DataError, match=f"00002.h5: mobilenet_v2/{message}"):
        open_cache(shards)


def test_a_layer_that_a_shard_lacks_is_not_held(shards):
    (shards / "00001.h5").unlink()
    import_rows(shards / "00001.h5", IDS[4:5], POOLED[4:5], KEY)
    cache = open_cache(shards)
    assert cache.layers() == [KEY]
    with pytest.raises(
        DataError, match="has no mobilenet_v2/grid, it holds mobilenet_v2/pooled; add it with: .*--shards"
    ):
        cache.read("mobilenet_v2", "grid")


def test_a_missing_or_replaced_file_is_an_error(shards):
    cache = open_cache(shards)
    again = open_cache(shards)
    again.read("mobilenet_v2", "pooled")
    shutil.copy(shards / "00001.h5", shards / "other.h5")
    (shards / "other.h5").replace(shards / "00001.h5")
    with pytest.raises(DataError, match="00001.h5: another process changed it after the cache was opened; run again"):
        cache.read("mobilenet_v2", "pooled")
    np.testing.assert_array_equal(again.read("mobilenet_v2", "pooled"), POOLED)  # its files were open
    (shards / "00001.h5").unlink()
    with pytest.raises(DataError, match="00001.h5: no such feature cache"):
        open_cache(shards)


def test_a_manifest_with_other_numbers_is_refused(shards):
    manifest = read_manifest(shards)
    first = dataclasses.replace(manifest.shards[0], rows=3)
    write_manifest(shards, dataclasses.replace(manifest, shards=(first, *manifest.shards[1:])))
    with pytest.raises(DataError, match="00000.h5: holds 4 images, its manifest says 3; extract again"):
        open_cache(shards)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.update(format="other"), "has format 'other', expected 'vislang shards/v1'"),
        (lambda row: row.update(kind="captions"), "holds shards of captions, not of features"),
        (lambda row: row["shards"][0].update(name="../../secret"), "damaged manifest of shards"),
        (lambda row: row["shards"][0].update(name="00001"), "names a shard twice"),
        (lambda row: row["shards"][0].update(state="well"), "state of shard 00000 is 'well'"),
        (lambda row: row["shards"][0].update(rows="4"), "rows of shard 00000 are '4'"),
        (lambda row: row["shards"][0].update(skipped=[{"source": 3, "reason": ""}]), "3 is no text"),
        (lambda row: row["shards"][0].pop("reason"), "damaged manifest of shards"),
        (lambda row: row.update(shards=7), "damaged manifest of shards"),
    ],
)
def test_a_damaged_or_hostile_manifest_is_refused(shards, change, message):
    path = shards / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=message):
        open_cache(shards)


def test_a_manifest_that_is_no_json_is_refused(shards):
    (shards / "manifest.json").write_text("[")
    with pytest.raises(DataError, match="manifest of shards .*not JSON"):
        open_cache(shards)


def test_damaged_rows_are_named_by_their_shard(shards):
    path = shards / "00002.h5"
    content = path.read_bytes()
    place = content.index(POOLED[5:].tobytes())
    path.write_bytes(content[:place] + b"\x01" + content[place + 1 :])
    with pytest.raises(DataError, match=r"00002.h5: mobilenet_v2/pooled of '1/bild-5-ü.jpg' is damaged"):
        open_cache(shards).read("mobilenet_v2", "pooled")
