"""Many pictures to features: order, bad files, streaming; and what counts as a list of pictures."""

import os
import threading

import numpy as np
import pytest
from PIL import Image

from vislang.backbones.base import LoadedBackbone
from vislang.core.errors import ConfigError, DataError
from vislang.features.pipeline import encode_batches, encode_images
from vislang.images.preprocess import find_preprocessing, prepare
from vislang.images.sources import find_images, list_images


class Average(LoadedBackbone):
    """A network of no weights: the mean colour, and the picture itself at a sixteenth of its size."""

    def __init__(self):
        super().__init__("average", find_preprocessing("squash-64-unit/v1"), {"pooled": (3,), "grid": (4, 4, 3)})
        self.batches = []

    def _arrays(self):
        return []

    def _forward(self, batch, layers):
        self.batches.append(len(batch))
        grid = batch.reshape(len(batch), 4, 16, 4, 16, 3).mean(axis=(2, 4))
        return [{"pooled": grid.mean(axis=(1, 2)), "grid": grid}[layer] for layer in layers]


def flat(level: int) -> np.ndarray:
    return np.full((20, 30, 3), level, np.uint8)


def sources_of_every_kind(folder):
    Image.fromarray(flat(0)).save(folder / "a.png")
    Image.fromarray(flat(51)).save(folder / "b.png")
    (folder / "bad.jpg").write_text("hello")
    content = (folder / "b.png").read_bytes()
    return [
        folder / "a.png",
        str(folder / "b.png"),
        folder / "bad.jpg",
        content,
        Image.fromarray(flat(102)),
        flat(255),
        b"x",
    ]


def test_every_kind_of_source_keeps_its_place(tmp_path):
    encoded = encode_images(Average(), sources_of_every_kind(tmp_path), ["pooled", "grid"], batch_size=2)
    assert encoded.kept == [0, 1, 3, 4, 5]
    assert encoded.features["grid"].shape == (5, 4, 4, 3)
    assert encoded.features["pooled"].dtype == np.float32
    np.testing.assert_allclose(encoded.features["pooled"][:, 0], [0, 0.2, 0.2, 0.4, 1], atol=1e-6)
    assert [one.source for one in encoded.skipped] == [str(tmp_path / "bad.jpg"), "image of 1 bytes"]
    assert "not an image" in encoded.skipped[0].reason


def test_the_batch_size_changes_nothing():
    sources = [flat(level) for level in range(37)]
    whole = encode_images(Average(), sources, ["pooled"], batch_size=64)
    pieces = encode_images(Average(), sources, ["pooled"], batch_size=5)
    np.testing.assert_array_equal(whole.features["pooled"], pieces.features["pooled"])


def test_a_batch_of_bad_files_is_passed_over():
    backbone = Average()
    batches = list(encode_batches(backbone, [b"x", b"y", flat(1)], ["pooled"], batch_size=2))
    assert [batch.kept for batch in batches] == [[], [2]]
    assert batches[0].features == {}
    assert backbone.batches == [1]


def test_strict_ends_at_the_first_bad_picture(tmp_path):
    with pytest.raises(DataError, match=r"bad.jpg: not an image.*\(strict: the first bad image ends the run\)"):
        encode_images(Average(), sources_of_every_kind(tmp_path), ["pooled"], strict=True)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "none of 0 images could be encoded; the list is empty"),
        ([b"x"], "none of 1 images .*; the first: .*not an image"),
    ],
)
def test_nothing_usable_is_an_error(sources, message):
    with pytest.raises(DataError, match=message):
        encode_images(Average(), sources, ["pooled"])


def test_a_batch_size_of_nothing_is_an_error():
    with pytest.raises(DataError, match="batch size is 0, expected at least 1"):
        encode_images(Average(), [flat(1)], ["pooled"], batch_size=0)


def test_sources_are_taken_as_they_are_needed():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield flat(3)

    stream = encode_batches(Average(), endless(), ["pooled"], batch_size=4)
    next(stream)
    assert len(taken) <= 4 * 4
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_batches_are_what_prepare_gives():
    seen = []

    class Spy(Average):
        def _forward(self, batch, layers):
            seen.append(batch)
            return super()._forward(batch, layers)

    source = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
    encode_images(Spy(), [source], ["pooled"])
    np.testing.assert_array_equal(seen[0][0], prepare(source, "squash-64-unit/v1"))


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "sub/c.webp", "notes.txt", "sub/d.tiff", "e.jpg.bak"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("b.jpg\n\n  sub/c.webp \n")
    (tmp_path / "folder.jpg").mkdir()
    return tmp_path


def test_a_folder_is_searched_to_the_bottom(folder):
    assert [path.relative_to(folder).as_posix() for path in list_images(folder)] == [
        "a.PNG", "b.jpg", "sub/c.webp", "sub/d.tiff"]  # fmt: skip


def test_what_other_programs_left_is_skipped_and_counted(folder, caplog, monkeypatch):
    others = ["@eaDir/b.jpg/SYNOPHOTO_THUMB_M.jpg", ".thumbnails/large/x.png", "._b.jpg", "sub/__MACOSX/y.jpeg"]
    for name in [*others, "phone.HEIC", "old.jfif"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "linked").symlink_to(folder / "sub", target_is_directory=True)
    (folder / "locked").mkdir()
    scandir = os.scandir

    def guarded(where):
        if str(where).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(where))
        return scandir(where)

    monkeypatch.setattr(os, "scandir", guarded)  # root, which runs tests in containers, may read everything
    found = ["a.PNG", "b.jpg", "old.jfif", "phone.HEIC", "sub/c.webp", "sub/d.tiff"]
    assert [path.relative_to(folder).as_posix() for path in list_images(folder)] == found
    assert [record.getMessage().removeprefix(f"{folder}: ") for record in caplog.records] == [
        "skipped 1 linked folder; name them, too",
        "skipped 1 folders that cannot be read; change their permissions",
        "skipped 4 thumbnails of other programs; to use one, name the file",
    ]
    assert list_images(folder / "*.jpg") == [folder / "b.jpg"]
    assert list_images(folder / others[2]) == [folder / others[2]]
    assert len(list_images(folder / "@eaDir")) == 1, "a folder of thumbnails that is named"


def test_patterns_lists_and_single_pictures(folder):
    assert list_images(folder / "*.jpg") == [folder / "b.jpg"]
    assert list_images(str(folder / "**" / "*.[wt]*")) == [folder / "sub/c.webp", folder / "sub/d.tiff"]
    assert list_images(folder / "notes.txt") == [folder / "b.jpg", folder / "sub/c.webp"]
    assert list_images(folder / "notes.txt", root="/x")[0].as_posix() == "/x/b.jpg"
    assert list_images(folder / "b.jpg") == [folder / "b.jpg"]


def test_places_without_pictures_are_errors(folder):
    (folder / "empty").mkdir()
    (folder / "binary.dat").write_bytes(b"\xff\xfe\x00")
    for where, message in [
        (folder / "empty", "empty: holds no image, expected files ending in .avif, .bmp, .gif, .heic"),
        (folder / "*.xyz", "holds no image"),
        (folder / "nowhere", "nowhere: no such file or folder"),
        (folder / "binary.dat", "neither an image nor a list of images in UTF-8 text"),
    ]:
        with pytest.raises(DataError, match=message):
            list_images(where)


def test_arguments_are_files_folders_patterns_or_lists_each_image_once(tmp_path):
    for name in ("a.jpg", "b.png", "sub/c.jpg", "odd.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.txt").write_text("a.jpg\nmissing.jpg\n")
    words = [
        str(tmp_path / word) for word in ("b.png", "*.jpg", "sub", "list.txt", "nothing*.jpg", "odd.bin", "none.jpg")
    ]
    paths, missing = find_images(words)
    names = [path.relative_to(tmp_path).as_posix() for path in paths]
    assert names == ["b.png", "a.jpg", "sub/c.jpg", "missing.jpg", "odd.bin"]
    assert [one.source for one in missing] == [str(tmp_path / name) for name in ("nothing*.jpg", "none.jpg")]
    with pytest.raises(DataError, match="nothing"):
        find_images(words, strict=True)
    with pytest.raises(DataError, match="no image was found; the first: .*nothing.*holds no image"):
        find_images([str(tmp_path / name) for name in ("nothing*.jpg", "none.jpg")])
    with pytest.raises(DataError, match="^none.jpg: no such file or folder$"):
        find_images(["none.jpg"])
    with pytest.raises(ConfigError, match="--images FILE"):
        find_images([])
