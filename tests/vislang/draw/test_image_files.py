"""Drawings as files: formats by suffix, names that do not collide, and the mark that keeps them out of folders."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vislang.core.errors import ConfigError, DataError
from vislang.draw.image_files import check_image_path, drawing_paths, optional_drawings, plan_drawings, save_image
from vislang.images.own_drawings import is_own_drawing
from vislang.images.sources import list_images

PIXELS = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
PHOTO = Image.fromarray(PIXELS)


@pytest.mark.parametrize(
    ("name", "file_format"), [("a.png", "PNG"), ("b.JPG", "JPEG"), ("c.jpeg", "JPEG"), ("d.webp", "WEBP")]
)
def test_a_drawing_has_the_format_of_its_suffix_and_the_mark(tmp_path, name, file_format):
    for mode in ("RGB", "L", "RGBA"):
        save_image(tmp_path / name, PHOTO.convert(mode))
        with Image.open(tmp_path / name) as saved:
            assert saved.format == file_format
            assert saved.size == PHOTO.size
            saved.load()
        assert is_own_drawing(tmp_path / name)
    PHOTO.save(tmp_path / name)
    assert not is_own_drawing(tmp_path / name)


def test_a_png_keeps_every_pixel(tmp_path):
    save_image(tmp_path / "a.png", PHOTO)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), PIXELS)


def test_a_suffix_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    for name in ("a.bmp", "a", "a.png.txt"):
        with pytest.raises(ConfigError, match=rf"--out got {name}, expected a name such as out.png"):
            check_image_path(tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write into"):
        check_image_path(tmp_path / "file" / "a.png")


def test_own_drawings_are_left_out_of_folders_and_globs_and_the_log_says_how_many(tmp_path, caplog):
    PHOTO.save(tmp_path / "dog.jpg")
    save_image(tmp_path / "dog_regions.png", PHOTO)
    save_image(tmp_path / "dog_words.webp", PHOTO)
    for where in (tmp_path, f"{tmp_path}/*"):
        with caplog.at_level(logging.WARNING):
            assert list_images(where) == [tmp_path / "dog.jpg"]
        assert caplog.messages.pop() == f"{where}: skipped 2 drawings of this toolkit; to use one, name the file"
        caplog.clear()
    drawing = tmp_path / "dog_regions.png"
    assert list_images(drawing) == [drawing], "a file that is named is used"
    (tmp_path / "dog.jpg").unlink()
    with pytest.raises(DataError, match=r"holds only drawings of this toolkit \(2\), expected photographs"):
        list_images(tmp_path)


def test_drawings_keep_the_folders_of_their_photographs(tmp_path):
    sources = [tmp_path / name for name in ("tree/a/dog.jpg", "tree/b/dog.jpg", "tree/b/dog.png", "tree/cat.jpg")]
    names = [str(path) for path in drawing_paths(sources, tmp_path / "maps", "_map.png")]
    ends = ("a/dog_map.png", "b/dog.jpg_map.png", "b/dog.png_map.png", "cat_map.png")
    assert names == [f"{tmp_path}/maps/{end}" for end in ends]


def test_a_photograph_is_never_overwritten_by_a_default_name(tmp_path):
    theirs = tmp_path / "dog_regions.png"
    PHOTO.save(theirs)
    (path,) = drawing_paths([tmp_path / "dog.jpg"], tmp_path, "_regions.png")
    assert path == tmp_path / "dog_regions-2.png"
    save_image(path, PHOTO)
    assert drawing_paths([tmp_path / "dog.jpg"], tmp_path, "_regions.png") == [path], "our own drawing is replaced"


def test_drawings_go_where_out_says_and_never_beside_the_photographs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos = [tmp_path / "photos" / name for name in ("dog.jpg", "cat.jpg")]
    assert [str(path) for path in plan_drawings(None, photos, "_map.png")] == [
        "drawings/dog_map.png",
        "drawings/cat_map.png",
    ]
    out = tmp_path / "out"
    assert plan_drawings(out, photos, "_map.png") == [out / "dog_map.png", out / "cat_map.png"]
    assert plan_drawings(out / "one.jpg", photos[:1], "_map.png") == [out / "one.jpg"]
    with pytest.raises(ConfigError, match=r"--out got the file one.jpg for 2 drawings, expected a folder"):
        plan_drawings(out / "one.jpg", photos, "_map.png")
    with pytest.raises(ConfigError, match=r"--out got one.tiff, expected a name such as out.png"):
        plan_drawings(out / "one.tiff", photos[:1], "_map.png")


@pytest.mark.parametrize("requested", ["out", "html", "json", "npy", ""])
def test_without_out_a_command_draws_where_no_other_output_is_requested(tmp_path, monkeypatch, requested):
    monkeypatch.chdir(tmp_path)
    args = argparse.Namespace(out=None, json=False)
    if requested:
        setattr(args, requested, tmp_path / "name.png")
    drawings = optional_drawings(args, [tmp_path / "dog.jpg"], "_map.png")
    expected = {"out": tmp_path / "name.png", "": Path("drawings/dog_map.png")}
    assert drawings == {tmp_path / "dog.jpg": expected.get(requested)}


def test_videos_and_animations_carry_the_mark(tmp_path):
    pytest.importorskip("av")
    from preimage.cli import write_frames
    from vislang.images.video import list_videos

    frames = [PHOTO.rotate(90 * number) for number in range(4)]
    for name in ("search.gif", "search.mp4"):
        write_frames(tmp_path / name, frames)
        assert is_own_drawing(tmp_path / name)
    with pytest.raises(DataError, match="holds only drawings"):
        list_videos(tmp_path)


def test_the_drawing_of_a_video_has_the_name_of_a_video(tmp_path):
    clip = [tmp_path / "clip.mp4"]
    assert plan_drawings(tmp_path / "out.MOV", clip, "_words.mp4") == [tmp_path / "out.MOV"]
    for name in ("x.png", "x.txt"):
        with pytest.raises(ConfigError, match=f"--out got {name}, expected a name such as out.mp4"):
            plan_drawings(tmp_path / name, clip, "_words.mp4")
