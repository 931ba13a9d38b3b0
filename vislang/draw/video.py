"""Videos written with PyAV, frame by frame; the file is whole or absent."""

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from PIL import Image

from vislang.core.errors import DataError
from vislang.core.files import whole_file
from vislang.images.own_drawings import SOFTWARE
from vislang.images.video import require_av

_CODECS = ("libx264", "mpeg4")  # the first that this build of FFmpeg has


@contextlib.contextmanager
def written_video(path: str | Path, size: tuple[int, int], rate: float) -> Iterator[Callable[[Image.Image], None]]:
    """Yield a function that adds a frame, an RGB image, to a new video; the file appears when all went well.

    Args:
        path: such as out.mp4; its suffix names the container.
        size: width and height of the frames, even numbers.
        rate: frames per second.

    Raises:
        DataError: a suffix that is no video's, or the file cannot be written.
    """
    av = require_av()
    with whole_file(path) as part:
        try:
            container = av.open(str(part), "w")
        except (ValueError, OSError) as error:
            raise DataError(f"cannot write the video {path} ({error}); expected a name such as out.mp4") from error
        container.metadata["comment"] = SOFTWARE
        with container:
            codec = next(name for name in _CODECS if name in av.codecs_available)
            stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000))
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"  # what browsers and phones can play

            def add(image: Image.Image) -> None:
                container.mux(stream.encode(av.VideoFrame.from_image(image)))

            yield add
            container.mux(stream.encode())
