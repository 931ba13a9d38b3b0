from collections import Counter

import pytest

from datasets import registry
from datasets.captions.flickr import read_flickr8k, read_flickr30k
from datasets.records import of_split
from vislang.core.errors import DataError


def token_lines(names):
    return [f"{name}#{number}\tcaption {number} of {name} ." for name in names for number in range(5)]


@pytest.fixture
def flickr8k(tmp_path):
    """Three images in splits, one in none, and the published file's misprinted caption of an unpublished image."""
    lines = token_lines(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "2258277193_586949ec62.jpg"])
    lines[20] = lines[20].replace(".jpg#0", ".jpg.1#0")
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    for split, name in (("train", "b.jpg"), ("dev", "a.jpg"), ("test", "c.jpg")):
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_text(f"{name}\n")
    (tmp_path / "Images").mkdir()
    for name in "abcd":
        (tmp_path / "Images" / f"{name}.jpg").touch()
    return tmp_path


def change(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def test_reads_splits_in_order(flickr8k):
    records = read_flickr8k(flickr8k)
    assert [(record.image_id, record.split) for record in records] == [
        ("b.jpg", "train"),
        ("a.jpg", "dev"),
        ("c.jpg", "test"),
    ]
    assert records[0].path == flickr8k / "Images" / "b.jpg"
    assert records[0].captions == tuple(f"caption {number} of b.jpg ." for number in range(5))
    assert registry.read("flickr8k", str(flickr8k)) == records


def test_unused_images_are_given_on_request_without_the_unpublished_one(flickr8k):
    unused = of_split(read_flickr8k(flickr8k, keep_unused=True), "unused")
    assert [record.image_id for record in unused] == ["d.jpg"]


def test_captions_are_ordered_by_number_and_cleaned(flickr8k):
    change(flickr8k / "Flickr8k.token.txt", "b.jpg#0\tcaption 0", "b.jpg#7\tlast\u2028one\x0b")
    captions = read_flickr8k(flickr8k)[0].captions
    assert captions[0].startswith("caption 1")
    assert captions[4] == "last one  of b.jpg ."


def test_the_layout_of_the_published_archives_is_read(flickr8k):
    texts = flickr8k / "Flickr8k_text"
    texts.mkdir()
    for path in flickr8k.glob("*.txt"):
        path.rename(texts / path.name)
    (flickr8k / "Images").rename(flickr8k / "Flicker8k_Dataset")
    assert len(read_flickr8k(flickr8k)) == 3


def test_windows_line_ends(flickr8k):
    for path in flickr8k.glob("*.txt"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_flickr8k(flickr8k)[2].captions[4] == "caption 4 of c.jpg ."


def test_too_few_captions(flickr8k):
    change(flickr8k / "Flickr8k.token.txt", "c.jpg#4\tcaption 4 of c.jpg .\n", "")
    with pytest.raises(
        DataError, match=r"'c.jpg' has 4 captions, expected 5 \(24 lines for 5 images\).*run: make data-f8k"
    ):
        read_flickr8k(flickr8k)


def test_a_truncated_file(flickr8k):
    path = flickr8k / "Flickr8k.token.txt"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="expected"):
        read_flickr8k(flickr8k)


def test_a_repeated_caption_number(flickr8k):
    change(flickr8k / "Flickr8k.token.txt", "a.jpg#1", "a.jpg#0")
    with pytest.raises(DataError, match="token.txt:2: caption 0 of 'a.jpg' comes twice, expected once"):
        read_flickr8k(flickr8k)


@pytest.mark.parametrize("line", ["a.jpg#1 no tab", "a.jpg\tno number", "a.jpg#1\t \x00", ""])
def test_a_malformed_line(flickr8k, line):
    change(flickr8k / "Flickr8k.token.txt", "a.jpg#1\tcaption 1 of a.jpg .", line)
    with pytest.raises(DataError, match="token.txt:2: got .*, expected 'image.jpg#0<tab>caption'"):
        read_flickr8k(flickr8k)


def test_overlapping_splits(flickr8k):
    (flickr8k / "Flickr_8k.testImages.txt").write_text("c.jpg\nb.jpg\n")
    with pytest.raises(DataError, match="splits 'train' and 'test' share 1 images, first 'b.jpg'"):
        read_flickr8k(flickr8k)


def test_a_listed_image_without_captions(flickr8k):
    (flickr8k / "Flickr_8k.testImages.txt").write_text("c.jpg\nx.jpg\n")
    with pytest.raises(DataError, match="testImages.txt: image 'x.jpg' has no caption in Flickr8k.token.txt"):
        read_flickr8k(flickr8k)


def test_a_missing_photograph(flickr8k):
    (flickr8k / "Images" / "a.jpg").unlink()
    with pytest.raises(DataError, match="1 of 3 listed images are missing, first 'a.jpg'; run: make data-f8k"):
        read_flickr8k(flickr8k)
    paths = [record.path is None for record in read_flickr8k(flickr8k, require_images=False)]
    assert paths == [False, True, False]


def test_no_photographs_at_all(flickr8k):
    (flickr8k / "Images").rename(flickr8k / "elsewhere")
    with pytest.raises(DataError, match="has no image folder, expected Images or"):
        read_flickr8k(flickr8k)
    assert all(record.path is None for record in read_flickr8k(flickr8k, require_images=False))


@pytest.mark.parametrize("suffix", ["", ".jpg"])
def test_flickr30k(tmp_path, suffix):
    (tmp_path / "results_20130124.token").write_text("\n".join(token_lines(["1.jpg", "2.jpg", "3.jpg"])))
    for split, name in (("train", "3"), ("val", "1"), ("test", "2")):
        (tmp_path / f"imgs_{split}.txt").write_text(f"{name}{suffix}\n")
    (tmp_path / "flickr30k-images").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "flickr30k-images" / f"{number}.jpg").touch()
    records = read_flickr30k(tmp_path)
    assert [(record.image_id, record.split) for record in records] == [
        ("3.jpg", "train"),
        ("1.jpg", "dev"),
        ("2.jpg", "test"),
    ]


@pytest.mark.realdata
def test_the_published_flickr8k(real_data):
    records = read_flickr8k(real_data / "flickr8k", keep_unused=True)
    assert Counter(record.split for record in records) == {"train": 6000, "dev": 1000, "test": 1000, "unused": 91}
    assert {len(record.captions) for record in records} == {5}
    assert records[0].image_id == "2513260012_03d33305cf.jpg"
