"""Images as small JPEGs inside an HTML page."""

import base64
import io
from pathlib import Path

from PIL import Image

from vislang.core.errors import DataError
from vislang.images.decode import decode_image

THUMBNAIL_SIDE = 320


def thumbnail(path: Path | None, *, side: int = THUMBNAIL_SIDE) -> str | None:
    """Read an image file as a small JPEG in a data URI.

    Args:
        path: the image file; None where only features are at hand.
        side: longest side, in pixels.

    Returns:
        The data URI, or None when there is no readable image: it leaves a gap on the page.
    """
    if path is None:
        return None
    try:
        small = decode_image(path, shorter_side=side)
    except DataError:
        return None
    small.thumbnail((side, side))
    return data_uri(small)


def data_uri(image: Image.Image) -> str:
    """Encode an RGB image as a JPEG in a data URI.

    Args:
        image: PIL image of mode RGB.
    """
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")
