import numpy as np
import pytest

from datasets import registry
from datasets.records import ImageRecord, captions_of, check_splits, data_fingerprint, of_split
from datasets.registry import READERS
from datasets.text_files import clean_caption, first_existing, read_lines
from vislang.core.errors import ConfigError, DataError


def record(name, split="train", captions=("one", "two")):
    return ImageRecord(name, None, split, captions)


def test_of_split_keeps_the_order():
    records = (record("b"), record("z", "test"), record("a"))
    assert [one.image_id for one in of_split(records, "train")] == ["b", "a"]


def test_of_split_says_which_splits_there_are():
    with pytest.raises(DataError, match=r"no image is in split 'dev', the data set has: train \(2\), test \(1\)"):
        of_split((record("b"), record("z", "test"), record("a")), "dev")
    with pytest.raises(DataError, match="no images at all"):
        of_split((), "dev")


def test_a_split_of_another_name_is_refused():
    with pytest.raises(DataError, match="image 'x' is in split 'val', expected one of train, dev, test"):
        record("x", "val")


def test_splits_that_overlap_are_named():
    records = (record("a"), record("b"), record("b", "test"), record("a", "test"), record("c", "dev"))
    with pytest.raises(DataError, match="splits 'train' and 'test' share 2 images, first 'a'"):
        check_splits(records)


def test_an_image_listed_twice_is_named():
    with pytest.raises(DataError, match="1 images are listed more than once, first 'b' in split 'dev'"):
        check_splits((record("a"), record("b", "dev"), record("b", "dev")))


def test_captions_of_points_back_to_rows():
    sentences, rows = captions_of((record("a", captions=("p", "q")), record("b", captions=("r",))))
    assert sentences == ["p", "q", "r"]
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, [0, 0, 1])
    assert captions_of(())[1].shape == (0,)


def test_fingerprint_sees_captions_splits_order_but_not_places(tmp_path):
    base = (record("a"), record("b", "test"))
    moved = (ImageRecord("a", tmp_path, "train", ("one", "two")), base[1])
    assert data_fingerprint(base) == data_fingerprint(moved)
    others = [
        (base[1], base[0]),
        (record("a", "dev"), base[1]),
        (record("a", captions=("one two",)), base[1]),
        base[:1],
    ]
    assert len({data_fingerprint(base), *map(data_fingerprint, others)}) == 5


def test_lines_are_cut_at_newlines_only(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\u2028still\x0bone\r\ntwo\x85too\n\nfour\n\n".encode())
    assert read_lines(path, "x") == ["one\u2028still\x0bone", "two\x85too", "", "four"]


def test_captions_are_one_printable_line():
    assert clean_caption(" a\u2028dog\x00\x0b runs cafe\u0301 \x7f") == "a dog  runs café"


def test_unreadable_text_is_reported(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"good \xff")
    with pytest.raises(DataError, match="bad.txt: byte 5 is not UTF-8 text; run: this"):
        read_lines(tmp_path / "bad.txt", "run: this")
    with pytest.raises(DataError, match="cannot read .*absent.txt: No such file"):
        read_lines(tmp_path / "absent.txt", "run: this")


def test_missing_parts_list_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="has no caption file, expected a.txt or b.txt; run: this"):
        first_existing(tmp_path, ("a.txt", "b.txt"), "caption file", "run: this")
    with pytest.raises(DataError, match="is no folder, so it has no caption file"):
        first_existing(tmp_path / "absent", ("a.txt",), "caption file", "run: this")


def test_catalog_knows_the_formats():
    assert set(READERS) == {"flickr8k", "flickr30k", "karpathy", "coco", "precomputed", "msrvtt", "scenes"}


def test_catalog_suggests_names(tmp_path):
    with pytest.raises(ConfigError, match="unknown data set 'flikr8k'; did you mean flickr8k"):
        registry.read("flikr8k", tmp_path)
    with pytest.raises(ConfigError, match="unknown option of data set 'karpathy' 'restvl'; did you mean restval"):
        registry.read("karpathy", tmp_path, options={"restvl": "drop"})
