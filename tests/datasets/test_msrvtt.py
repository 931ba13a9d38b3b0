"""MSR-VTT's layout, drawn by the test: clips, their frames in a cache, and a captioner trained on them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import saliency
from captioner import train
from captioner.api import load_model
from datasets import registry
from vislang.core.errors import DataError
from vislang.features import extract_videos
from vislang.features.cache import writer
from vislang.features.cache.reader import open_cache
from vislang.images import video
from vislang.images.video import spread_frames

av = pytest.importorskip("av")

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Eight clips of one colour, of which the last is no video, and their sentences."""
    folder = tmp_path_factory.mktemp("msrvtt")
    (folder / "videos").mkdir()
    videos, sentences = [], []
    for number in range(8):
        colour, name = COLOURS[number % 4], f"video{number}"
        with av.open(str(folder / "videos" / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=5)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(6):
                container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 48), colour))))
            container.mux(stream.encode())
        videos.append({"video_id": name, "id": number, "split": "train", "category": 1})
        for text in (f"a {colour} clip", f"something  is {colour} ."):
            sentences.append({"video_id": name, "caption": text, "sen_id": len(sentences)})
    (folder / "videos" / "video7.mp4").write_bytes(b"broken")
    (folder / "videodatainfo.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    return folder


def test_clips_come_with_their_sentences_and_files(clips):
    records = registry.read("msrvtt", clips)
    assert [record.image_id for record in records] == [f"video{number}" for number in range(8)]
    assert records[1].captions == ("a green clip", "something is green .")
    assert records[1].path == clips / "videos" / "video1.mp4"
    assert {record.split for record in records} == {"train"}
    moved = registry.read("msrvtt", clips, options={"dev": "3"})
    assert [record.split for record in moved] == 5 * ["train"] + 3 * ["dev"]


def test_the_published_files_are_read_together(tmp_path):
    for name, split in (("train_val", "validate"), ("test", "test")):
        document = {"videos": [{"video_id": name, "split": split}], "sentences": [{"video_id": name, "caption": "a"}]}
        (tmp_path / f"{name}_videodatainfo.json").write_text(json.dumps(document))
    records = registry.read("msrvtt", tmp_path)
    assert [(record.image_id, record.split, record.path) for record in records] == [
        ("train_val", "dev", None),
        ("test", "test", None),
    ]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "has no list 'videos'"),
        ({"videos": [{"video_id": "a", "split": "train"}]}, "has no list 'sentences'"),
        ({"videos": [{"video_id": "a", "split": "x"}], "sentences": [{"video_id": "a", "caption": "b"}]}, "split 'x'"),
        (
            {"videos": [{"video_id": "a", "split": "test"}], "sentences": [{"video_id": "b", "caption": "b"}]},
            "no sentence",
        ),
    ],
)
def test_what_is_not_in_the_layout_is_said(tmp_path, document, reason):
    (tmp_path / "videodatainfo.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=reason):
        registry.read("msrvtt", tmp_path)


@pytest.mark.parametrize("dev", ["8", "some"])
def test_more_clips_than_there_are_cannot_be_held_out(clips, dev):
    with pytest.raises(DataError, match=f"option dev got '?{dev}"):
        registry.read("msrvtt", clips, options={"dev": dev})
    with pytest.raises(DataError, match="holds none of videodatainfo.json"):
        registry.read("msrvtt", clips / "videos")


@pytest.mark.slow
def test_a_captioner_is_trained_on_frames_and_explains_clips(clips, capsys):
    cache = clips / "frames.h5"
    words = ["--videos", str(clips / "videos"), "--backbone", "compact_scenes", "--cache", str(cache), "--frames", "5"]
    assert extract_videos.main([*words, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["videos"], told["frames"]) == (7, 5)
    assert "video7.mp4" in told["skipped"][0]["source"]
    with open_cache(cache) as opened:
        rows = opened.read("compact_scenes", "frames", ["video0", "video1", "video4"])
    assert rows.shape == (3, 5, 128)
    np.testing.assert_array_equal(rows[0], rows[2])  # both red
    assert np.abs(rows[0] - rows[1]).max() > 0.01
    small = ["layers=frames", "hidden_dim=24", "word_dim=12", "epochs=3", "min_count=1", "scorers=0", "scorer_weight=0"]
    small += ["consensus_images=0", "consensus_weight=0"]
    out = clips / "captioner"
    words = ["--dataset", "msrvtt", "--data", str(clips), "--option", "dev=3", "--cache", str(cache), "--out", str(out)]
    words += ["--preset", "s2vt", "--backbone", "compact_scenes", *[word for one in small for word in ("--set", one)]]
    assert train.main(words) == 0
    model = load_model(out)
    found = saliency.explain_video(model, clips / "videos" / "video2.mp4", "a blue clip", fps=5, method="gradient")
    assert found.maps.shape == (6, 3, 8, 8)
    assert not any(found.unknown)


def test_strict_ends_at_the_first_bad_video(clips, tmp_path, capsys):
    words = ["--videos", str(clips / "videos"), "--backbone", "compact_scenes", "--cache", str(tmp_path / "a.h5")]
    assert extract_videos.main([*words, "--frames", "2", "--strict"]) == 2
    assert "strict: the first bad video ends the run" in capsys.readouterr().err
    assert extract_videos.main([*words, "--frames", "0"]) == 2
    assert "--frames got 0, expected 1 or more" in capsys.readouterr().err


def test_a_clip_that_changed_since_an_interrupted_run_is_encoded_again(clips, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("video0", "video1", "video2"):
        shutil.copy2(clips / "videos" / f"{name}.mp4", folder)
    words = [
        "--videos",
        str(folder),
        "--backbone",
        "compact_scenes",
        "--cache",
        str(tmp_path / "a.h5"),
        "--frames",
        "2",
    ]

    def interrupted(path, count):
        if path.stem == "video2":
            raise KeyboardInterrupt
        return spread_frames(path, count)

    monkeypatch.setattr(writer, "MARK_SECONDS", 0)
    monkeypatch.setattr(video, "spread_frames", interrupted)
    assert extract_videos.main(words) == 130
    monkeypatch.undo()
    shutil.copy2(clips / "videos" / "video1.mp4", folder / "video0.mp4")
    capsys.readouterr()
    assert extract_videos.main(words) == 0
    assert "starting again, videos or options changed since the interrupted run" in capsys.readouterr().err
    rows = open_cache(tmp_path / "a.h5").read("compact_scenes", "frames", ["video0", "video1"])
    np.testing.assert_array_equal(rows[0], rows[1])


def test_two_clips_of_one_name_are_refused_and_a_link_to_a_folder_is_not(tmp_path):
    document = {"videos": [{"video_id": "a", "split": "test"}], "sentences": [{"video_id": "a", "caption": "b"}]}
    (tmp_path / "videodatainfo.json").write_text(json.dumps(document))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "TestVideo").symlink_to(tmp_path / "videos")
    assert registry.read("msrvtt", tmp_path)[0].path == tmp_path / "videos" / "a.mp4"
    (tmp_path / "Test").mkdir()
    (tmp_path / "Test" / "a.mp4").touch()
    with pytest.raises(DataError, match="Test/a.mp4 and .*videos/a.mp4 have the same name"):
        registry.read("msrvtt", tmp_path)
