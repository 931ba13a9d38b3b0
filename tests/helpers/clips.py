"""Videos for tests."""

from pathlib import Path

import pytest
from PIL import Image


def write_clip(path: Path) -> None:
    """Write a video of 11 frames of one colour each, five a second; skips the test without PyAV."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 66, 48, "yuv420p"
        for number in range(11):
            frame = Image.new("RGB", (66, 48), (20 * number, 100, 50))
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
