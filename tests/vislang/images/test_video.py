"""Frames of videos that we write ourselves: order, time, turning, and files that are odd or broken."""

import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from vislang.core.errors import DataError
from vislang.images import video
from vislang.images.video import VideoFacts, is_video, list_videos, read_frames, sampled_frames, spread_frames, survey

av = pytest.importorskip("av")

RATE = 10


def write_clip(path, levels, *, size=(64, 48), times=None, codec="libx264"):
    """A clip whose frames are grey of the given levels; times in seconds, or a frame every tenth."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, level in enumerate(levels):
            frame = av.VideoFrame.from_image(Image.new("RGB", size, (level, level, level)))
            frame.pts = round(1000 * (number / RATE if times is None else times[number]))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def level(picture) -> int:
    return int(np.asarray(picture).mean())


LEVELS = list(range(20, 240, 20))  # 11 frames, one second from first to last


def test_frames_come_in_order_with_their_times(tmp_path):
    frames = list(read_frames(write_clip(tmp_path / "a.mp4", LEVELS)))
    np.testing.assert_allclose([level(frame.image) for frame in frames], LEVELS, atol=4)
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(11) / RATE, atol=1e-3)
    assert frames[0].image.size == (64, 48)


@pytest.mark.parametrize(
    ("rate", "shown"), [(10, range(11)), (5, range(0, 11, 2)), (20, [n // 2 for n in range(21)]), (1, [0, 10])]
)
def test_sampling_takes_the_frame_on_the_screen(tmp_path, rate, shown):
    frames = list(sampled_frames(write_clip(tmp_path / "a.mp4", LEVELS), rate))
    np.testing.assert_allclose([level(frame.image) for frame in frames], [LEVELS[n] for n in shown], atol=4)
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(len(frames)) / rate)


def test_a_variable_rate_plays_at_its_own_speed(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [40, 120, 200], times=[0.0, 0.1, 0.9])
    levels = [level(frame.image) for frame in sampled_frames(clip, 10)]
    np.testing.assert_allclose(levels, [40] + 8 * [120] + [200], atol=4)


def test_frames_are_spread_from_the_first_to_the_last(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", LEVELS)
    np.testing.assert_allclose(
        [level(one) for one in spread_frames(clip, 3)], [LEVELS[0], LEVELS[5], LEVELS[10]], atol=4
    )
    assert len(spread_frames(clip, 26)) == 26  # fewer frames than asked for: some come twice


def test_odd_sides_and_other_codecs_are_read(tmp_path):
    clip = write_clip(tmp_path / "a.avi", [60, 180], size=(34, 22), codec="mpeg4")
    assert [frame.image.size for frame in read_frames(clip)] == 2 * [(34, 22)]
    with av.open(str(tmp_path / "odd.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 33, 21, "yuv444p"
        container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (33, 21), "red"))))
        container.mux(stream.encode())
    assert [frame.image.size for frame in read_frames(tmp_path / "odd.mkv")] == [(33, 21)]


@pytest.mark.parametrize(
    ("matrix", "red_at"), [((0, 1, -1, 0), "top"), ((0, -1, 1, 0), "bottom"), ((-1, 0, 0, -1), "right")]
)
def test_the_turn_that_a_phone_stores_is_undone(tmp_path, matrix, red_at):
    """A phone writes its pictures lying down, and a matrix in the track header that turns them up."""
    path, picture = tmp_path / "a.mp4", Image.new("RGB", (64, 32), "blue")
    picture.paste("red", (0, 0, 32, 32))  # the left half is red
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version, flags, times, ids, layer, volume; then nine numbers of 32 bits
    a, b, c, d = (number << 16 for number in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    (frame,) = read_frames(path)
    pixels = np.asarray(frame.image)
    height, width = pixels.shape[:2]
    places = {"top": (0.25, 0.5), "bottom": (0.75, 0.5), "right": (0.5, 0.75)}
    down, across = places[red_at]
    assert (width, height) == ((64, 32) if red_at == "right" else (32, 64))
    red, _, blue = pixels[int(down * height), int(across * width)]
    assert red > 200 > 60 > blue


def test_a_file_that_breaks_off_gives_what_is_before(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", 4 * LEVELS)
    content = clip.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) * 2 // 3])
    whole, facts = survey(clip), survey(cut)
    assert whole.frames == 44
    assert whole.cut == ""
    assert whole.seconds == pytest.approx(4.3, abs=0.01)
    assert 10 < facts.frames < 44
    assert len(list(read_frames(cut))) == facts.frames


def test_a_warning_says_that_only_the_part_before_a_break_is_used(tmp_path, caplog, monkeypatch):
    clip = write_clip(tmp_path / "a.mp4", LEVELS)
    monkeypatch.setattr(video, "survey", lambda path: VideoFacts(6, 0.5, "breaks off after 0.5 s (broken)"))
    assert [level(one) for one in spread_frames(clip, 2)] == pytest.approx([LEVELS[0], LEVELS[5]], abs=4)
    (record,) = caplog.records
    assert record.getMessage() == f"{clip} breaks off after 0.5 s (broken); only the part before is used"


def test_videos_are_told_from_images_by_name():
    assert is_video("a.MP4")
    assert is_video("folder/a.webm")
    assert not is_video("a.gif"), "an image, of which the first frame is taken"
    assert not is_video("a.jpg")


def test_what_is_no_video_is_said_in_one_line(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    for name, reason in (
        ("text.mp4", "no video"),
        ("empty.mp4", "it is empty"),
        ("sound.mkv", "no video stream"),
        ("x", "no video"),
    ):
        with pytest.raises(DataError, match=reason) as caught:
            list(read_frames(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_a_list_of_files_called_mp4_opens_none(tmp_path):
    write_clip(tmp_path / "private.mp4", LEVELS)
    private = tmp_path / "private.mp4"
    for name, text in {
        "concat.mp4": "ffconcat version 1.0\nfile private.mp4\n",
        "playlist.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{private}\n#EXT-X-ENDLIST\n",
        "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=f"{name}: no video that can be read"):
            list(read_frames(tmp_path / name))
    with pytest.raises(DataError, match="no video that can be read"):
        list(read_frames(f"concat:{private}|{private}"))


@pytest.mark.parametrize(
    ("suffix", "codec"), [("avi", "mpeg4"), ("mkv", "libx264"), ("mpg", "mpeg2video"), ("flv", "flv"), ("mov", "mpeg4")]
)
def test_every_usual_container_is_read(tmp_path, suffix, codec):
    assert survey(write_mpeg(tmp_path / f"a.{suffix}", codec)).frames == 5


def write_mpeg(path, codec):
    """Write a clip of 5 frames at 25 frames per second, which MPEG-2 requires."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 48)))))
        container.mux(stream.encode())
    return path


def test_videos_are_listed_by_name(tmp_path):
    for name in ("b.mp4", "a.AVI", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_videos(tmp_path)] == ["a.AVI", "b.mp4"]
    with pytest.raises(DataError, match="holds no video"):
        list_videos(tmp_path / "nothing")


def test_two_videos_of_one_name_are_refused_and_none_is_lost(tmp_path):
    from vislang.features.extract_videos import videos_by_name

    first = tmp_path / "a" / "clip.mp4"
    second = tmp_path / "b" / "clip.mp4"
    assert videos_by_name([first, tmp_path / "other.avi"]) == {"clip": first, "other": tmp_path / "other.avi"}
    with pytest.raises(DataError, match="b/clip.mp4 and .*a/clip.mp4 have the same name"):
        videos_by_name([first, second])
