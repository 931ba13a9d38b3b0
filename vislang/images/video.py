"""Frames of videos, decoded one at a time with PyAV: upright, in order, by time and not by number."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vislang.core.cli import printable
from vislang.core.errors import DataError, brief
from vislang.core.files import path_of
from vislang.images.decode import SUFFIXES as IMAGE_SUFFIXES
from vislang.images.folders import files_below, without_foreign_thumbnails
from vislang.images.own_drawings import without_own_drawings

SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".wmv", ".flv", ".ogv"})
LARGEST_SIDE = 8192
MOST_FRAMES = 250_000  # that are sampled of a video: 8 a second of nearly nine hours
_LARGE_SIDE = 4096  # frames beyond it are halved, since up to CLIP_FRAMES are in memory
CLIP_FRAMES = 26  # that stand for a whole video, as in Ramanishka et al. 2017, arXiv:1612.07360
# Neither playlists nor ffconcat scripts, which open other files, and no protocol but that of local files.
_OPENING = {
    "format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,m4v,gif,asf,flv,ogg",
    "protocol_whitelist": "file",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """One RGB image of a video, upright, and its time in seconds after the first frame."""

    seconds: float
    image: Image.Image


@dataclass(frozen=True)
class VideoFacts:
    """What decoding a whole video shows."""

    frames: int  # how many could be decoded
    seconds: float  # the time of the last of them
    cut: str  # why decoding ended before the end of the file; "" if it did not


def read_frames(path: str | os.PathLike) -> Iterator[Frame]:
    """Decode a video from its first frame to its last, one frame in memory at a time.

    A file that breaks off yields the frames before the break; `survey` reports it.

    Raises:
        DataError: no file, no video in it, or no frame of it can be decoded.
    """
    for seconds, frame in _decoded(path_of(path, "the video"), []):
        yield Frame(seconds, _upright(frame))


def sampled_frames(path: str | os.PathLike, rate: float) -> Iterator[Frame]:
    """Yield the frame that is shown at times 0, 1/rate, 2/rate, ... until the last frame.

    That is the last frame whose time has come, so that a video of any or no constant rate plays at its own speed.

    Raises:
        DataError: as for `read_frames`, or more than MOST_FRAMES: a small file may show its last frame for years.
    """
    number = 0
    shown = None
    for frame in _decoded(path_of(path, "the video"), []):
        if frame[0] * rate > MOST_FRAMES:
            raise DataError(
                f"{path}: has a frame at {frame[0]:,.0f} s, {frame[0] * rate:,.0f} frames at {rate:g} a second,"
                f" expected at most {MOST_FRAMES:,}; take fewer a second, or cut the video"
            )
        while shown is not None and number / rate < frame[0] - 1e-6:
            yield Frame(number / rate, _upright(shown[1]))
            number += 1
        shown = frame
    if shown is not None and number / rate <= shown[0] + 1e-6:
        yield Frame(number / rate, _upright(shown[1]))


def spread_frames(path: str | os.PathLike, count: int = CLIP_FRAMES) -> list[Image.Image]:
    """Return `count` frames spread evenly from the first to the last: indices round(linspace(0, F - 1, count)).

    A video of fewer frames returns some of them several times; of a file that breaks off, a warning says so. Errors are
    those of `read_frames`.
    """
    facts = survey(path)
    if facts.cut:
        _log.warning("%s %s; only the part before is used", printable(os.fspath(path)), facts.cut)
    wanted = np.round(np.linspace(0, facts.frames - 1, count)).astype(int)
    chosen: list[Image.Image] = []
    for number, (_, frame) in enumerate(_decoded(path_of(path, "the video"), [])):
        times = int((wanted == number).sum())
        if times:
            chosen += [_upright(frame)] * times
    return chosen


def survey(path: str | os.PathLike) -> VideoFacts:
    """Decode a video once without converting its frames; errors are those of `read_frames`."""
    trouble: list[str] = []
    times = [seconds for seconds, _ in _decoded(path_of(path, "the video"), trouble)]
    return VideoFacts(len(times), times[-1], "".join(trouble))


def is_video(path: str | os.PathLike) -> bool:
    """Return whether a file is a video by its name; a GIF is an image."""
    suffix = Path(path).suffix.lower()
    return suffix in SUFFIXES and suffix not in IMAGE_SUFFIXES


def list_videos(folder: str | os.PathLike) -> list[Path]:
    """List the videos of a folder, searched to the bottom, sorted, without drawings of this toolkit and thumbnails.

    Raises:
        DataError: nothing there.
    """
    paths = without_foreign_thumbnails(files_below(folder, SUFFIXES), folder)
    if not paths:
        raise DataError(f"{folder}: holds no video, expected files ending in {', '.join(sorted(SUFFIXES))}")
    return without_own_drawings(paths, folder)


def require_av() -> Any:
    """Import PyAV, which includes FFmpeg."""
    try:
        import av
    except ImportError as error:
        raise DataError("videos need PyAV, which is not installed; pip install av") from error
    av.logging.set_level(av.logging.PANIC)  # our one line says what is wrong with a file
    return av


def _decoded(path: Path, trouble: list[str]) -> Iterator[tuple[float, Any]]:
    """Yield (seconds, frame); what ends the decoding too early is added to `trouble`."""
    av = require_av()
    try:
        container = av.open(f"file:{path}", options=_OPENING)
    except Exception as error:  # FFmpeg's errors are of many kinds
        reason = getattr(error, "strerror", None) or brief(error)
        if path.is_file() and path.stat().st_size == 0:
            reason = "it is empty"
        raise DataError(f"{path}: no video that can be read ({reason}); expected a file such as clip.mp4") from error
    with container:
        if not container.streams.video:
            raise DataError(f"{path}: holds no video stream, only sound or text; give a file with images")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise DataError(f"{path}: FFmpeg knows no decoder for its images; convert it, such as to MP4 with H.264")
        if max(stream.width, stream.height) > LARGEST_SIDE:
            raise DataError(f"{path}: frames of {stream.width}x{stream.height}, expected sides up to {LARGEST_SIDE}")
        first = None
        last = -1.0
        usual = 0.04
        if stream.average_rate:
            usual = float(1 / stream.average_rate)
        decoder = container.decode(stream)
        while True:
            try:
                frame = next(decoder, None)
            except Exception as error:  # as above; a file that breaks off
                trouble.append(f"breaks off after {max(last, 0.0):.1f} s ({brief(error)})")
                frame = None
            if frame is None:
                break
            seconds = float(frame.time) if frame.time is not None else (first or 0.0) + last + usual
            first = seconds if first is None else first
            if seconds - first <= last:  # times that repeat or run back are replaced by the usual distance
                seconds = first + last + usual
            last = seconds - first
            yield last, frame
    if first is None:
        raise DataError(f"{path}: no frame can be decoded ({''.join(trouble) or 'it is empty'}); get the file again")


def _upright(frame: Any) -> Image.Image:
    """Rotate a decoded frame by its display matrix, which counts anticlockwise."""
    image = frame.to_image()
    if max(image.size) > _LARGE_SIDE:
        image = image.reduce(2)
    turn = int(round(frame.rotation)) % 360
    if turn:
        return image.rotate(turn, expand=True)
    return image
