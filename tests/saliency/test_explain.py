"""The command and the library calls: pictures and videos in; drawings, maps, pages and JSON out."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from PIL import Image

import saliency
from captioner.api import load_model
from captioner.region_captions import Region
from saliency import explain
from saliency.draw import _ticks, draw_timeline
from saliency.grid_features import cell_layers, encoded_cells
from saliency.page import explained_clip, explained_image, strongest_frames, word_maps_page
from saliency.word_maps import Explanation, explain_cells
from vislang.core.errors import ConfigError
from vislang.features.reading_options import ReadingOptions
from vislang.images.video import read_frames

pytest.importorskip("av")


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path)
    return path


@pytest.mark.slow
def test_a_picture_is_explained_word_by_word(tiny_captioner, photo):
    model = load_model(tiny_captioner)
    found = saliency.explain_image(model, photo, "A red dog, a zebra", method="gradient")
    assert found.words == ("a", "red", "dog", "a", "zebra")
    assert found.unknown == (False, False, False, False, True)
    assert found.maps.shape == (1, 5, 8, 8)
    assert found.maps.min() >= 0.0
    np.testing.assert_allclose(found.maps.max(axis=(0, 2, 3)), 1.0)
    assert found.seen == (0.0, 0.0, 1.0, 1.0)
    again = saliency.explain_image(model, np.asarray(Image.open(photo)), "a red dog a zebra", method="gradient")
    np.testing.assert_array_equal(found.losses, again.losses)


@pytest.mark.slow
def test_evidence_compares_the_picture_with_the_average_one(tiny_captioner, photo):
    model = load_model(tiny_captioner)
    average = model.mean_descriptor()
    same = explain_cells(model, np.broadcast_to(average, (8, 8, len(average))), "a red dog")
    np.testing.assert_allclose(same.evidence, 0.0, atol=1e-5)
    assert np.abs(saliency.explain_image(model, photo, "a red dog").evidence).max() > 1e-3


@pytest.mark.slow
def test_without_a_sentence_the_models_own_caption_is_explained(tiny_captioner, photo):
    model = load_model(tiny_captioner)
    found = saliency.explain_image(model, photo)
    assert found.written
    (cells,) = encoded_cells(model, [photo])
    (captions,) = model.caption_descriptors(cells.reshape(1, 64, -1))
    assert list(found.words) == captions[0].words
    assert saliency.explain_image(model, photo, method="ramanishka").losses.min() > -1e-5  # divergences


@pytest.mark.slow
def test_a_video_is_explained_in_space_and_time(tiny_captioner, clip, capsys):
    model = load_model(tiny_captioner)
    options = ReadingOptions(progress=True)
    found = saliency.explain_video(model, clip, "a red dog", fps=5, method="gradient", options=options)
    assert found.maps.shape == (11, 3, 8, 8)
    assert found.in_time.shape == (11, 3)
    np.testing.assert_allclose(found.seconds, np.arange(11) / 5, atol=1e-3)
    assert "11frame" in capsys.readouterr().err.replace(" ", "")
    single = saliency.explain_image(model, next(iter(read_frames(clip))).image, "a red dog", method="gradient")
    np.testing.assert_allclose(found.losses[0], single.losses[0], atol=2e-3)  # kept in half precision
    np.testing.assert_allclose(found.whole[0], single.whole[0], atol=1e-5)
    by_ranker = saliency.explain_video(model, clip, "a red dog", fps=5)
    assert by_ranker.maps.shape == (11, 3, 14, 14)
    assert by_ranker.in_time.shape == (11, 3)
    original = saliency.explain_video(model, clip, "a red dog", fps=5, method="ramanishka")
    assert original.maps.shape == (11, 3, 8, 8)
    with pytest.raises(ConfigError, match="fps got 0, expected frames per second"):
        saliency.explain_video(model, clip, "a dog", fps=0)


@pytest.mark.slow
def test_the_command_draws_prints_and_writes_maps_and_a_page(tiny_captioner, photo, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, words = photo.parent, ["--model", str(tiny_captioner), "--method", "gradient", "--images", str(photo)]
    more = ["--html", str(folder / "p.html"), "--npy", str(folder / "p.npy"), "--sentence", "a red <zebra> dog"]
    assert explain.main([*words, *more]) == 0
    said = capsys.readouterr()
    assert ", given: a red zebra dog" in said.out
    assert "(unknown to the model)" in said.out
    assert not (tmp_path / "drawings").exists()
    assert np.load(folder / "p.npy").shape == (1, 4, 8, 8)
    page = (folder / "p.html").read_text()
    assert page.count('class="layer map"') == page.count("aria-pressed=") == 4
    assert page.count('aria-pressed="true"') == 1
    assert "http" not in re.sub(r"data:[^\"]*", "", page)
    assert "<title>Words of photo.png" in page
    assert str(folder) not in page
    assert explain.main(words) == 0
    capsys.readouterr()
    assert Image.open(tmp_path / "drawings" / "photo_words.png").size[0] > 400
    assert not (folder / "photo_words.png").exists(), "nothing is drawn beside the photograph"
    assert explain.main([*words, "--json", "--maps"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["images"]
    assert told["written_by_the_model"] is True
    assert np.array(told["words"][0]["maps"]).shape == (1, 8, 8)
    assert all(value == round(value, 4) for value in np.ravel(told["words"][0]["maps"]))
    assert explain.main([*words, "--json"]) == 0
    (shorter,) = json.loads(capsys.readouterr().out)["images"]
    del told["words"][0]["maps"]
    assert shorter["words"][0] == told["words"][0]


@pytest.mark.slow
def test_several_images_are_explained_and_bad_ones_skipped(tiny_captioner, photo, capsys, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(photo, folder / name)
    (folder / "bad.jpg").write_bytes(b"no image")
    words = ["--model", str(tiny_captioner), str(folder), "--sentence", "a red dog", "--out", str(tmp_path / "drawn")]
    assert explain.main([*words, "--html", str(tmp_path / "p.html"), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert [Path(one["image"]).name for one in document["images"]] == ["a.jpg", "b.jpg"]
    assert [Path(one["image"]).name for one in document["skipped"]] == ["bad.jpg"]
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a_words.png", "b_words.png"]
    assert (tmp_path / "p.html").read_text().count('class="card explained"') == 2
    assert explain.main([*words, "--npy", str(tmp_path / "m.npy")]) == 2
    assert "--npy writes the maps of one image, got 3 images" in capsys.readouterr().err
    assert explain.main([*words, "--strict"]) == 2


@pytest.mark.slow
def test_the_command_writes_a_video_of_its_speed_and_length(tiny_captioner, clip, capsys):
    out = clip.parent / "out.mp4"
    page = clip.parent / "out.html"
    words = ["--video", str(clip), "--sentence", "a red dog", "--fps", "5", "--out", str(out), "--tile", "64", "--json"]
    assert explain.main(["--model", str(tiny_captioner), *words, "--html", str(page)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["words"][0]["in_time"]) == len(told["seconds"]) == 11
    frames = list(read_frames(out))
    assert len(frames) == 11
    assert frames[-1].seconds == pytest.approx(2.0, abs=0.01)
    assert not list(out.parent.glob("*.part*"))
    assert page.read_text().count('class="frame"') == page.read_text().count("<polyline") == 3


@pytest.mark.slow
def test_the_cursor_runs_along_the_timeline(tiny_captioner, clip):
    found = saliency.explain_video(load_model(tiny_captioner), clip, "a red dog and a cat", fps=5)
    timeline = draw_timeline(found, 300)
    assert timeline.image.width == 300
    assert timeline.image.height % 2 == 0
    assert 0 < timeline.position(0.0) < timeline.position(1.0) < timeline.position(2.0) < 300


def clip_explanation(words):
    """Explain a clip in which each word is strongest in a frame of its own; the last word is unknown."""
    return Explanation(
        words=tuple(words),
        unknown=tuple(word == words[-1] for word in words),
        written=False,
        method="gradient",
        losses=np.zeros((len(words), len(words), 4, 4)),
        whole=-np.eye(len(words)),
        evidence=np.zeros(len(words), np.float32),
        seen=(0.0, 0.0, 1.0, 1.0),
        seconds=np.arange(len(words)) / 2,
    )


def test_the_page_of_a_clip_shows_each_word_in_its_strongest_frame():
    explanation = clip_explanation(["a", "red", "ball"])
    assert strongest_frames(explanation) == [0, 1, 2]
    frames = [Image.new("RGB", (40, 30), (80 * number, 0, 0)) for number in range(3)]
    card = explained_clip(frames, "clip.mp4", explanation)
    assert [part.split(" s</small>")[0] for part in card.split("strongest at ")[1:]] == ["0.0", "0.5", "1.0"]
    assert card.count('class="layer"') == card.count('class="frame"') == card.count('class="map"') == 3
    assert 'points="0.0,20.0 50.0,0.0 100.0,20.0"' in card, "the curve of the second word"


@pytest.mark.parametrize("width", [120, 1000])
def test_each_of_twelve_words_has_a_row_of_the_timeline_with_its_maximum(width):
    words = ["a", "woman", "in", "a", "red", "shirt", "talks", "and", "a", "boy", "sits", "incomprehensibilities" * 3]
    timeline = draw_timeline(clip_explanation(words), width)
    pixels = np.asarray(timeline.image).astype(int)
    assert pixels.shape[1] == width
    assert timeline.left < 0.6 * width, "long words are cut"
    blue = pixels[..., 2] - pixels[..., 0] > 100
    rows = np.flatnonzero(blue[:, timeline.left :].any(axis=1))
    assert len(np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)) == 11, "rows do not touch; unknown words are grey"
    first = rows[0] + 3  # the middle of the first word's dot
    assert blue[first, round(timeline.position(0.0))]
    assert not blue[first, round(timeline.position(3.0))]


def test_times_on_the_axis_are_round_and_within_the_clip():
    assert _ticks(11.0, 15) == list(range(12))
    assert _ticks(11.0, 4) == [0, 5, 10]
    assert _ticks(0.52, 15) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert _ticks(3600.0, 10) == [0, 500, 1000, 1500, 2000, 2500, 3000, 3500]
    assert _ticks(1e-6, 10) == [0], "a single frame"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--images", "nothing.jpg"], "nothing.jpg: no such file or folder"),
        (["--video", "nothing.mp4"], "no such file, expected a video"),
        (["--images", "PHOTO", "--fps", "3"], "--fps is for videos"),
        (["--video", "PHOTO", "--fps", "0"], "--fps got 0, expected frames per second, more than 0"),
        (["--video", "PHOTO", "--html", "x.html", "--regions"], "--regions shows regions of images on the page"),
        (["--images", "PHOTO", "--regions"], "--regions shows regions of images on the page"),
        (["--images", "PHOTO", "--tile", "3"], "--tile got 3 pixels"),
        (["--images", "PHOTO", "--out", "x.bmp"], "--out got x.bmp, expected a name such as out.png"),
        (["--images", "PHOTO", "--sentence", " . "], "has no words"),
        (["--video", "TEXT", "--sentence", "a dog"], "no video that can be read"),
        (["TEXT", "--sentence", "a dog"], "no video that can be read"),
        (["nothing.mp4"], "no such file, expected a video"),
    ],
)
def test_what_cannot_end_well_is_refused_in_one_line(
    tiny_captioner, photo, capsys, words, reason, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (photo.parent / "text.mp4").write_text("no video")
    places = {"PHOTO": str(photo), "TEXT": str(photo.parent / "text.mp4")}
    words = [places.get(word, word) for word in words]
    assert explain.main(["--model", str(tiny_captioner), *words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert reason in line
    assert not list(photo.parent.glob("*_words*"))


def test_captioners_of_vectors_are_asked_for_cells_and_those_of_regions_refused():
    assert cell_layers(("pooled@320",)) == ["grid@320"]
    assert cell_layers(("grid",)) == ["grid"]
    assert cell_layers(("frames@320",)) == ["grid@320"]
    assert cell_layers(("pooled@320", "pooled")) == ["grid@320", "pooled"]
    assert cell_layers(("grid", "pooled")) == ["grid", "pooled"]
    with pytest.raises(ConfigError, match="expected one of whole images"):
        cell_layers(("described-grid",))


def test_the_page_shows_what_it_is_given_and_escapes_it():
    explanation = Explanation(
        words=("<b>", "zebra"),
        unknown=(False, True),
        written=False,
        method="gradient",
        losses=np.random.default_rng(0).random((1, 2, 4, 4)),
        whole=np.zeros((1, 2)),
        evidence=np.array([1.25, -0.5], np.float32),
        seen=(0.1, 0.0, 0.9, 1.0),
        seconds=np.zeros(1),
    )
    region = Region((0.25, 0.5, 0.75, 1.0), "<u> dog", -1.0)
    image = Image.new("RGB", (400, 300))
    card = explained_image(image, "<i>.jpg", explanation, regions={"<s>": [region]}, side=100)
    page = word_maps_page("A & B", [card]).html()
    assert "A &amp; B" in page
    assert "&lt;b&gt;<small>+1.2</small>" in page
    assert "<b>" not in page
    assert 'aria-pressed="true">&lt;b&gt;' in page, "the word with the highest evidence shows at first"
    assert 'aria-pressed="false" class="unknown"' in page
    assert "<h3>&lt;s&gt;</h3>" in page
    assert ">&lt;u&gt; dog</button>" in page
    assert 'class="layer box" style="--l:25.00%;--t:50.00%;--w:50.00%;--h:50.00%"' in page
    assert "--ratio:1.3333" in page
    assert "zebra<small>\N{MINUS SIGN}0.5</small>" in page
    assert page.count('class="layer map"') == page.count("data:image/png") == 2
    assert "--l:10.00%;--t:0.00%;--w:80.00%;--h:100.00%" in page
