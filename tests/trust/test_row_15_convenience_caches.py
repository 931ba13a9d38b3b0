"""Row 15 of docs/trust.md: a cache that only saves time costs no answer where it cannot be kept."""

import logging
from pathlib import Path

import numpy as np
import pytest

import vse
from vislang.core import files
from vislang.core.errors import DataError
from vse.index import folder, images


@pytest.fixture(scope="module")
def model(tiny_ranker):
    return vse.load_model(tiny_ranker)


@pytest.fixture
def searched(model, album, tmp_path):
    def search(store=None):
        return images.index_images(model, [album], folder=store)

    return search


def test_row_15_an_index_that_cannot_be_written_costs_only_the_index(searched, tmp_path, caplog):
    expected = searched(tmp_path / "kept")
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "below", "/dev/full", "/proc/nowhere"):
        caplog.clear()
        found = searched(Path(place))
        np.testing.assert_array_equal(found.vectors, expected.vectors)
        assert found.names == expected.names
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "the index is not kept, only this search has it: cannot write" in record.getMessage()


def test_row_15_a_full_disk_costs_only_the_index(searched, tmp_path, monkeypatch, caplog):
    expected = searched(tmp_path / "kept")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(folder.os, "pwrite", full)
        found = searched(tmp_path / "full")
    np.testing.assert_array_equal(found.vectors, expected.vectors)
    assert "No space left on device" in caplog.text
    np.testing.assert_array_equal(searched(tmp_path / "full").vectors, expected.vectors)


def test_row_15_an_index_that_is_complete_is_read_from_a_read_only_folder(searched, tmp_path, monkeypatch, caplog):
    expected = searched(tmp_path)
    caplog.clear()
    monkeypatch.setattr(folder.FolderStore, "_add", lambda *_: pytest.fail("nothing has changed"))
    np.testing.assert_array_equal(searched(tmp_path).vectors, expected.vectors)
    assert not [record for record in caplog.records if record.name == "vse.index.images"]


def test_row_15_without_a_home_folder_there_is_no_index(searched, tmp_path, monkeypatch):
    expected = searched(tmp_path)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("VISLANG_INDEX", raising=False)
    monkeypatch.setattr(files.Path, "home", no_home)
    np.testing.assert_array_equal(searched().vectors, expected.vectors)
    from eval.metrics.captions import meteor_paraphrases

    monkeypatch.delenv("VISLANG_CACHE", raising=False)
    monkeypatch.setattr(meteor_paraphrases, "jar_file", lambda name: tmp_path)
    assert meteor_paraphrases.load_index() is None
    with pytest.raises(DataError, match="set VISLANG_CACHE to a folder"):
        meteor_paraphrases.make_index()
