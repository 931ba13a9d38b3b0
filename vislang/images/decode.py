"""The one image decoder: any odd file, bytes, PIL image or array to an upright 8-bit RGB image."""

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vislang.core.errors import DataError, brief

try:
    import pillow_heif
except ImportError:
    pillow_heif = None

ImageSource = str | os.PathLike | bytes | Image.Image | np.ndarray

MAX_PIXELS = 80_000_000  # a 20000x20000 PNG of 48 KB would otherwise cost 1.2 GB
# Pillow tries no other: for EPS, for one, it would run Ghostscript. A phone's MPO opens as JPEG.
FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF"]
if pillow_heif is not None:
    pillow_heif.register_heif_opener()
    FORMATS.append("HEIF")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
WHITE = (255, 255, 255, 255)

_HEIF_BRANDS = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1")  # bytes 4 to 11 of the file
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {  # EXIF 2.3, table 6: what undoes each stored orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Our own limit is lower and is an error; Pillow's warning beside it would only be a second voice.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, shorter_side: int | None = None) -> Image.Image:
    """Decode one image.

    The header is checked before any pixel is read. EXIF orientation is applied, transparency becomes white, 16-bit grey
    is scaled to 8 bits, CMYK and palettes become RGB, of an animation the first frame is taken.

    Args:
        source: a path, the bytes of a file, a PIL image, or a uint8 array [H, W], [H, W, 3] or [H, W, 4].
        max_pixels: larger images are refused.
        shorter_side: a JPEG may be decoded at a half, quarter or eighth of its size, as long as both sides keep at
            least this many pixels.

    Returns:
        A PIL image of mode RGB.

    Raises:
        DataError: no image, damaged, empty or too large; the message is one line that names the source.
    """
    name = source_name(source)
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(name, source, max_pixels))
    if isinstance(source, Image.Image):
        _require_size(name, source, max_pixels)
        return _guarded(name, lambda: _upright_rgb(source))
    file = _open_bytes(name, source)
    with _guarded(name, lambda: Image.open(file, formats=FORMATS)) as image:
        _require_size(name, image, max_pixels)
        if shorter_side and image.format in ("JPEG", "MPO"):
            image.draft(image.mode, (shorter_side, shorter_side))
        return _guarded(name, lambda: _upright_rgb(image))


def image_size(source: str | os.PathLike | bytes) -> tuple[int, int]:
    """Return (width, height) of an image as `decode_image` returns it, from its header alone."""
    name = source_name(source)
    file = _open_bytes(name, source)
    with _guarded(name, lambda: Image.open(file, formats=FORMATS)) as image:
        width, height = image.size
        lies = _orientation(image) >= 5  # EXIF orientations 5 to 8 swap the sides
    if lies:
        return (height, width)
    return (width, height)


def source_name(source: ImageSource) -> str:
    """Return the path of an image, or what kind of object it is."""
    if isinstance(source, bytes):
        return f"image of {len(source)} bytes"
    if isinstance(source, np.ndarray):
        return f"{source.dtype} array {list(source.shape)}"
    if isinstance(source, Image.Image):
        return f"{source.mode} image {source.width}x{source.height}"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    raise DataError(f"got {type(source).__name__}, expected an image: a path, bytes, a PIL image or a uint8 array")


def _open_bytes(name: str, source: str | os.PathLike | bytes) -> io.BytesIO:
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not content:
        raise DataError(f"{name}: empty file, expected an image; fetch it again or remove it")
    if content[4:12] in _HEIF_BRANDS and "HEIF" not in FORMATS:
        raise DataError(f"{name}: HEIC images need pillow-heif, which is not installed; pip install pillow-heif")
    return io.BytesIO(content)


def _guarded(name: str, step: Callable[[], Any]) -> Any:
    """Run a step of Pillow; its decoders raise a dozen kinds of errors on damaged files."""
    try:
        return step()
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name}: too many pixels to decode ({error})") from error
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{name}: not an image, expected one of {', '.join(FORMATS)}") from error
    except Exception as error:
        raise DataError(f"{name}: damaged image ({brief(error)}); fetch it again or remove it") from error


def _require_size(name: str, image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(
            f"{name}: {width}x{height} is {width * height / 1e6:.0f} megapixels, expected at most"
            f" {max_pixels / 1e6:.0f}; shrink it first"
        )
    if width * height == 0:
        raise DataError(f"{name}: {width}x{height} holds no pixel")


def _from_array(name: str, array: np.ndarray, max_pixels: int) -> Image.Image:
    if array.dtype != np.uint8:
        raise DataError(
            f"{name}: the range of {array.dtype} pixels is not known, expected uint8 0..255;"
            " for values in [0, 1] pass np.uint8(np.round(255 * array))"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise DataError(f"{name}: expected [H, W], [H, W, 3] or [H, W, 4]")
    if array.shape[0] * array.shape[1] == 0:
        raise DataError(f"{name}: holds no pixel")
    image = Image.fromarray(np.ascontiguousarray(array))
    _require_size(name, image, max_pixels)
    return image


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    image = _to_rgb(image)
    if turn is None:
        return image
    return image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken metadata does not spoil good pixels, and Pillow raises many kinds of errors on it
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Turn any mode of Pillow into RGB; transparent pixels show white."""
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode == "F":
        raise DataError("the range of floating-point pixels is not known, expected 8 or 16 bits a channel")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB")
    if image.mode == "RGB":
        return image
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion clips at 255."""
    values = np.asarray(image, np.float32)  # [H, W]
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"grey values {values.min():.0f}..{values.max():.0f} do not fit 16 bits, expected 0..65535")
    return Image.fromarray(np.round(values / 257.0).astype(np.uint8))
