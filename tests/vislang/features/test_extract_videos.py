"""The extraction of frames of videos: repeated, with other numbers of frames, and with videos that are gone or bad."""

import json
import os

import pytest
from clips import write_clip

from vislang.features import extract_videos
from vislang.features.cache.reader import open_cache


@pytest.fixture
def clips(tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / "clips" / name)
    return tmp_path / "clips"


@pytest.fixture
def cache(clips, tmp_path, capsys):
    assert extract_videos.main(words(clips, tmp_path / "c.h5")) == 0
    capsys.readouterr()
    return tmp_path / "c.h5"


def words(clips, cache, frames=2):
    start = ["--videos", str(clips), "--cache", str(cache), "--backbone", "compact_scenes"]
    return [*start, "--frames", str(frames)]


def fails(capsys, command, message):
    assert extract_videos.main(command) == 2
    error = capsys.readouterr().err
    assert message in error
    return error


def test_videos_that_are_there_are_not_encoded_again(clips, cache, capsys):
    before = cache.read_bytes()
    assert extract_videos.main(words(clips, cache)) == 0
    assert f"nothing to do: {cache} holds 2 frames of 2 videos" in capsys.readouterr().out
    assert cache.read_bytes() == before


def test_a_changed_video_is_encoded_once(clips, cache, capsys):
    with (clips / "b.mp4").open("ab") as stream:
        stream.write(bytes(8))
    assert extract_videos.main([*words(clips, cache), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["changed"], told["computed"], told["videos"]) == (["b"], 1, 2)


def test_another_number_of_frames_is_refused(clips, cache, capsys):
    fails(capsys, words(clips, cache, frames=3), "c.h5: holds 2 frames of each video, not 3; use another --cache")
    assert open_cache(cache).shape("compact_scenes", "frames")[1] == 2


def test_a_missing_video_is_refused_before_any_is_encoded(clips, cache, capsys):
    (clips / "b.mp4").unlink()
    for frames in (2, 3):
        fails(capsys, words(clips, cache, frames), f"c.h5: holds b, not found in {clips}; give the folder")
    assert sorted(os.listdir(clips.parent)) == ["c.h5", "clips"]


def test_a_video_that_is_new_is_left_out(clips, cache, capsys):
    write_clip(clips / "c.mp4")
    assert extract_videos.main(words(clips, cache)) == 3
    assert "c: not in the cache, whose videos are those" in capsys.readouterr().err


def test_a_bad_video_that_the_cache_holds_ends_the_run(clips, cache, capsys):
    (clips / "b.mp4").write_bytes(b"no film")
    error = fails(capsys, words(clips, cache), "the cache holds this video, so restore it")
    assert "strict" not in error
