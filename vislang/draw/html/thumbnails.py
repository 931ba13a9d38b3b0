"""Images inside an HTML page, as data URIs."""

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
        image = decode_image(path, shorter_side=side)
    except DataError:
        return None
    return data_uri(image, side=side)


def data_uri(image: Image.Image, *, side: int | None = None) -> str:
    """Encode an image in a data URI: as a JPEG, or as a PNG where it has transparency.

    Args:
        image: PIL image of mode RGB, RGBA or L.
        side: longest side, in pixels; larger images are made smaller. None: as it is.
    """
    if side is not None and max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side))
    encoded = io.BytesIO()
    if image.mode == "RGBA":
        kind = "png"
        image.save(encoded, "PNG", optimize=True)
    else:
        kind = "jpeg"
        image.save(encoded, "JPEG", quality=80, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
