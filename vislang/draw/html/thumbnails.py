"""Images inside an HTML page, as data URIs."""

import base64
import io
from pathlib import Path

from PIL import Image

from vislang.core.errors import DataError
from vislang.images.decode import decode_image

THUMBNAIL_SIDE = 320


def thumbnail(path: Path | None, *, side: int = THUMBNAIL_SIDE) -> str | None:
    """Return an image file as a JPEG in a data URI, its longest side `side`; None where there is no readable image."""
    if path is None:
        return None
    try:
        image = decode_image(path, shorter_side=side)
    except DataError:
        return None
    return data_uri(image, side=side)


def data_uri(image: Image.Image, *, side: int | None = None) -> str:
    """Encode an image of mode RGB, RGBA or L in a data URI, as a JPEG, or as a PNG where it has transparency."""
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
