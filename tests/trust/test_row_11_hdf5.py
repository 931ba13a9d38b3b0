"""Row 11 of docs/trust.md: no damaged cache hangs or crashes the HDF5 library in the reader."""

import os
import subprocess

import h5py
import numpy as np
import pytest
from old_caches import write_old_cache

from vislang.core.errors import DataError
from vislang.features.cache import layout
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache

IDS = ("a", "b", "c")
KEY = FeatureKey("mobilenet_v2", "pooled", "squash-224-tf/v1", "ab" * 32, {"keras": "3"})
ROWS = np.ones((3, 4), np.float16)


def test_row_11_caches_are_written_without_texts_of_variable_length(tmp_path):
    import_rows(tmp_path / "c.h5", IDS, ROWS, KEY)
    import_rows(tmp_path / "c.h5", IDS, ROWS, FeatureKey("näh/net", "grid", "none", "?"))
    variable = []

    def look(name, item):
        kinds = [item.attrs.get_id(attribute).get_type() for attribute in item.attrs]
        if isinstance(item, h5py.Dataset):
            kinds.append(item.id.get_type())
        variable.extend(name for kind in kinds if kind.detect_class(h5py.h5t.VLEN) or "vlen" in repr(kind.dtype))

    with h5py.File(tmp_path / "c.h5") as file:
        file.visititems(look)
        assert file["mobilenet_v2/pooled"].attrs.get_id("key").dtype.kind == "S"
    assert not variable
    assert b"GCOL" not in (tmp_path / "c.h5").read_bytes(), "the heap of such texts"
    assert open_cache(tmp_path / "c.h5").key("mobilenet_v2", "pooled").versions == {"keras": "3"}


def test_row_11_a_key_of_variable_length_is_refused_before_it_is_read(tmp_path, monkeypatch):
    import_rows(tmp_path / "c.h5", IDS, ROWS, KEY)
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        file["mobilenet_v2/pooled"].attrs["key"] = KEY.to_json()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it is read"))
    with pytest.raises(DataError, match="/mobilenet_v2/pooled has a key of variable length, expected a fixed one"):
        open_cache(tmp_path / "c.h5")


@pytest.mark.parametrize("value", [3, np.array([b"a", b"b"])])
def test_row_11_a_key_that_is_no_text_is_refused(tmp_path, value):
    import_rows(tmp_path / "c.h5", IDS, ROWS, KEY)
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        file["mobilenet_v2/pooled"].attrs["key"] = value
    with pytest.raises(DataError, match="/mobilenet_v2/pooled does not say where it comes from"):
        open_cache(tmp_path / "c.h5")


def test_row_11_old_caches_open(tmp_path):
    write_old_cache(tmp_path / "c.h5", IDS, {KEY: ROWS, FeatureKey("mobilenet_v2", "grid", "x", "y"): ROWS})
    cache = open_cache(tmp_path / "c.h5")
    assert cache.key("mobilenet_v2", "pooled") == KEY
    assert cache.key("mobilenet_v2", "pooled").versions == {"keras": "3"}
    assert cache.key("mobilenet_v2", "grid").preprocessing == "x"


def test_row_11_a_damaged_old_cache_that_hangs_the_library_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "OLD_KEYS_SECONDS", 3)
    write_old_cache(tmp_path / "c.h5", IDS, {KEY: ROWS})
    content = bytearray((tmp_path / "c.h5").read_bytes())
    size_of_key = content.index(b"GCOL") + 24
    content[size_of_key] = 255
    (tmp_path / "c.h5").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged feature cache \(the keys of its layers took more than 3 s\)"):
        open_cache(tmp_path / "c.h5")


def test_row_11_a_pipe_does_not_wait_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "c.h5")
    with pytest.raises(DataError, match="not an HDF5 file"):
        open_cache(tmp_path / "c.h5")
