"""The feature cache: what goes in comes out, in any order; everything else is a clear error."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vislang.core.errors import DataError
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache, resident_rows
from vislang.features.cache.rows import gather

KEY = FeatureKey("mobilenet_v2", "pooled", "squash-224-tf/v1", "ab" * 32, {"keras": "3"})
GRID = FeatureKey("mobilenet_v2", "grid", "squash-224-tf/v1", "ab" * 32)
IDS = tuple(f"bild-{number}-ü.jpg" for number in range(7))


def values(*shape) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(3, 2, shape).astype(np.float16)


@pytest.fixture
def path(tmp_path):
    import_rows(tmp_path / "c.h5", IDS, values(7, 5), KEY)
    import_rows(tmp_path / "c.h5", IDS, values(7, 2, 3, 4), GRID)
    return tmp_path / "c.h5"


def test_what_goes_in_comes_out(path):
    with open_cache(path) as cache:
        assert cache.ids == IDS
        assert set(cache.layers()) == {KEY, GRID}
        assert cache.key("mobilenet_v2", "pooled").versions == {"keras": "3"}
        assert cache.shape("mobilenet_v2", "grid") == (7, 2, 3, 4)
        read = cache.read("mobilenet_v2", "grid", IDS)
        assert read.dtype == np.float16
        np.testing.assert_array_equal(read, values(7, 2, 3, 4))
        np.testing.assert_array_equal(cache.read("mobilenet_v2", "layer:pooled"), values(7, 5))


def test_the_file_is_plain_hdf5_with_contiguous_rows(path):
    with h5py.File(path) as file:
        dataset = file["mobilenet_v2/pooled"]
        assert dataset.chunks is None
        assert dataset.dtype == np.float16
        np.testing.assert_array_equal(dataset[:], values(7, 5))
        assert [name.decode() for name in file["ids"][:]] == list(IDS)


@settings(max_examples=50, deadline=None)
@given(order=st.lists(st.integers(0, 6), max_size=30))
def test_any_order_and_repeats(tmp_path_factory, order):
    path = tmp_path_factory.getbasetemp() / "any-order.h5"
    if not path.exists():
        import_rows(path, IDS, values(7, 5), KEY)
    read = open_cache(path).read("mobilenet_v2", "pooled", [IDS[number] for number in order])
    np.testing.assert_array_equal(read, values(7, 5)[order])


def test_large_requests_are_gathered_slab_by_slab(monkeypatch):
    monkeypatch.setattr("vislang.features.cache.rows.SLAB_BYTES", 64)
    stored, order = values(50, 5), np.random.default_rng(0).integers(0, 50, 200)
    np.testing.assert_array_equal(gather(stored, order), stored[order])


def test_resident_and_streamed_rows_are_equal(path):
    with open_cache(path) as cache:
        chosen = [IDS[3], IDS[0], IDS[3], IDS[6]]
        resident = cache.resident("mobilenet_v2", "grid", chosen)
        streamed = cache.resident("mobilenet_v2", "grid", chosen, budget_bytes=4 * 24 * 2 - 1)
        assert (resident.is_resident, streamed.is_resident) == (True, False)
        for rows in (resident, streamed):
            assert rows.shape == (4, 2, 3, 4)
            assert len(rows) == 4
            batch = rows.rows(np.array([3, 1, 0, 2, 2]))
            assert keras.backend.standardize_dtype(batch.dtype) == "float32"
            expected = values(7, 2, 3, 4)[[6, 0, 3, 3, 3]].astype(np.float32)
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(batch), expected)


def test_rows_of_several_caches_follow_each_other(path, tmp_path):
    others = ("1.jpg", "2.jpg", "3.jpg")
    import_rows(tmp_path / "d.h5", others, values(3, 2, 3, 4), GRID)
    sources = [(open_cache(path), IDS[5:2:-1]), (open_cache(tmp_path / "d.h5"), others[1:])]
    expected = np.concatenate([values(7, 2, 3, 4)[5:2:-1], values(3, 2, 3, 4)[1:]]).astype(np.float32)
    size = 24 * 2
    for budget, is_resident in ((5 * size, True), (5 * size - 1, False)):
        rows = resident_rows(sources, "mobilenet_v2", "grid", budget_bytes=budget)
        assert rows.is_resident == is_resident
        assert rows.shape == (5, 2, 3, 4)
        for order in ([4, 0, 3, 3, 1], [0], list(range(5))):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(rows.rows(np.array(order))), expected[order])


def test_caches_of_different_features_are_not_joined(path, tmp_path):
    import_rows(tmp_path / "d.h5", IDS, values(7, 5), dataclasses.replace(KEY, weights="cd" * 32))
    import_rows(tmp_path / "e.h5", IDS, values(7, 6), KEY)
    for name, message in (("d.h5", "weights is cd"), ("e.h5", "another shape")):
        with pytest.raises(DataError, match=f"{name}: mobilenet_v2/pooled is not as in .*c.h5: {message}"):
            resident_rows([(open_cache(path), IDS), (open_cache(tmp_path / name), IDS)], "mobilenet_v2", "pooled")


def test_features_of_another_preprocessing_get_a_group_of_their_own(path):
    other = FeatureKey("mobilenet_v2", "pooled", "center-crop-224-tf/v1", "ab" * 32)
    import_rows(path, IDS, values(7, 6), other)
    with open_cache(path) as cache:
        assert cache.key("mobilenet_v2@center-crop-224-tf/v1", "pooled") == other
        assert cache.key("mobilenet_v2", "pooled") == KEY
        assert cache.holds(other)


def test_foreign_backbones_have_flat_names(path):
    foreign = FeatureKey("hub:https://tfhub.dev/some/net/1", "pooled", "squash-224-unit/v1", "cd" * 32)
    import_rows(path, IDS, values(7, 3), foreign)
    assert open_cache(path).key("hub:https://tfhub.dev/some/net/1", "pooled") == foreign


def test_import_reorders_to_the_ids_that_are_there(path):
    key = FeatureKey("vgg16", "fc7", "squash-224-bgr-mean/v1", "?")
    import_rows(path, IDS[::-1], values(7, 8)[::-1].astype(np.float64), key)
    np.testing.assert_array_equal(open_cache(path).read("vgg16", "fc7"), values(7, 8))


def test_beyond_half_precision_is_the_largest_number(tmp_path):
    import_rows(tmp_path / "c.h5", ["a"], np.array([[1e9, -np.inf, 1.0]]), KEY)
    assert open_cache(tmp_path / "c.h5").read("mobilenet_v2", "pooled").tolist() == [[65504, -65504, 1]]


def test_a_file_depends_on_its_contents_only(tmp_path):
    for name, order in (("a.h5", (0, 1)), ("b.h5", (1, 0))):
        parts = [(values(7, 5), KEY), (values(7, 2, 3, 4), GRID)]
        for number in order:
            import_rows(tmp_path / name, IDS, *parts[number])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        (IDS, values(6, 5), r"rows have shape \(6, 5\), expected \[7, ...\], one for each id"),
        (IDS, values(7), r"rows have shape \(7,\)"),
        ((), values(0, 5), "no ids to store, expected one for each row"),
        (("a", "a"), values(2, 5), "id 'a' occurs twice, expected one row for each image"),
        (("a", ""), values(2, 5), "id '' cannot be stored, expected 1 to 4096 characters of UTF-8"),
        (("a", "b\0"), values(2, 5), "cannot be stored"),
        (("a", "b\udcff"), values(2, 5), "cannot be stored"),
        (
            ("a",),
            np.full((1, 2), np.nan),
            "features mobilenet_v2/pooled of a hold NaN; the weights or the images are broken",
        ),
    ],
)
def test_rows_that_cannot_be_imported(tmp_path, ids, rows, message):
    with pytest.raises(DataError, match=message):
        import_rows(tmp_path / "c.h5", ids, rows, KEY)
    assert not (tmp_path / "c.h5").exists()


def test_import_of_other_images_is_refused(path):
    with pytest.raises(DataError, match="holds 7 other images than the 2 ids; use a new file"):
        import_rows(path, ["x", "y"], values(2, 5), GRID)


def test_import_over_another_kind_is_refused(path):
    other = FeatureKey("mobilenet_v2", "pooled", "squash-224-tf/v1", "other")
    with pytest.raises(DataError, match=r"mobilenet_v2/pooled is there already.*weights is abab.*, expected other"):
        import_rows(path, IDS, values(7, 5), other)


def test_unknown_ids_say_what_is_there_and_what_to_run(path):
    with pytest.raises(DataError, match=r"no features of 'x.jpg' and 1 more; it holds 7 images such as 'bild-0-ü.jpg'"):
        open_cache(path).read("mobilenet_v2", "pooled", ["x.jpg", IDS[0], "y.jpg"])


def test_unknown_layers_say_what_is_there_and_what_to_run(path):
    with pytest.raises(
        DataError,
        match=r"no vgg16/fc7, it holds mobilenet_v2/grid, mobilenet_v2/pooled; add it with: "
        r"python -m vislang.features.extract --images DIR --backbone vgg16 --layers fc7 --cache .*c.h5",
    ):
        open_cache(path).shape("vgg16", "fc7")


def test_an_unexpected_kind_is_refused(path):
    expected = FeatureKey("mobilenet_v2", "pooled", "squash-224-tf/v1", "other")
    with pytest.raises(
        DataError, match=r"another kind: weights is abab.*, expected other; use another file: python"
    ) as e:
        open_cache(path).read("mobilenet_v2", "pooled", expect=expected)
    assert "\n" not in str(e.value)
    assert open_cache(path).read("mobilenet_v2", "pooled", expect=KEY).shape == (7, 5)


def test_a_missing_cache_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError, match="no such feature cache; make it with: python -m vislang.features.extract"):
        open_cache(tmp_path / "none.h5")


def test_a_key_reads_back_and_compares_without_versions():
    assert FeatureKey.from_json(KEY.to_json()) == KEY
    assert FeatureKey.from_json(KEY.to_json()).versions == KEY.versions
    assert FeatureKey("mobilenet_v2", "pooled", "squash-224-tf/v1", "ab" * 32, {"keras": "4"}) == KEY


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"backbone": 1, "layer": "", "preprocessing": "", "weights": "", "versions": {}}']
)
def test_a_broken_key_is_an_error(text):
    with pytest.raises(DataError, match="not a feature key"):
        FeatureKey.from_json(text)
