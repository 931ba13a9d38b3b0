"""The one image decoder: any odd file, bytes, PIL image or array to an upright 8-bit RGB image."""

import io
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vislang.core.errors import DataError, brief
from vislang.core.files import read_bytes

try:
    import pillow_heif
except ImportError:
    pillow_heif = None

ImageSource = str | os.PathLike | bytes | Image.Image | np.ndarray

# Larger images are decoded one at a time, whatever the number of threads, and are converted in strips.
_LARGE = 16_000_000  # pixels
_STRIP = 4_000_000
_one_large = threading.Lock()
MAX_PIXELS = 80_000_000  # a 20000x20000 PNG of 48 KB would otherwise cost 1.2 GB
# Pillow tries no other: for EPS, for one, it would run Ghostscript. A phone's MPO opens as JPEG.
FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF"]
if pillow_heif is not None:
    pillow_heif.register_heif_opener()
    FORMATS.append("HEIF")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
MAX_BYTES = 2**28  # of a file, read whole; 80 megapixels of 24 bits without compression
MAX_SCANS = 100  # of a JPEG, each of which costs as much as decoding a whole image; cameras and editors write up to 20
WHITE = (255, 255, 255, 255)

_HEIF_BRANDS = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1")  # bytes 4 to 11 of the file
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")  # but for those within the data of a scan
_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"
_ORIENTATION_TAG = 0x0112
_DATE_TAG = 0x0132  # of the file's last change
_EXIF_TAGS = 0x8769
_ORIGINAL_DATE_TAG = 0x9003
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
# Of damaged metadata, which the pixels do without.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


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
    content = _read(name, source)
    with _guarded(name, lambda: Image.open(io.BytesIO(content), formats=FORMATS)) as image:
        _require_size(name, image, max_pixels)
        if image.format in ("JPEG", "MPO"):
            _require_few_scans(name, content)
            if shorter_side:
                image.draft(image.mode, (shorter_side, shorter_side))
        if image.width * image.height <= _LARGE:
            return _guarded(name, lambda: _upright_rgb(image))
        with _one_large:
            return _guarded(name, lambda: _upright_rgb(image))


def image_size(source: str | os.PathLike | bytes) -> tuple[int, int]:
    """Return (width, height) of an image as `decode_image` returns it, from its header alone."""
    name = source_name(source)
    content = _read(name, source)
    with _guarded(name, lambda: Image.open(io.BytesIO(content), formats=FORMATS)) as image:
        width, height = image.size
        lies = _orientation(image) >= 5  # EXIF orientations 5 to 8 swap the sides
    if lies:
        return (height, width)
    return (width, height)


def date_taken(path: str | os.PathLike) -> str:
    """Return when a photograph was taken, as "2024-05-01T12:30:00", by its EXIF data; "" where they do not say."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            exif = image.getexif()
            text = exif.get_ifd(_EXIF_TAGS).get(_ORIGINAL_DATE_TAG) or exif.get(_DATE_TAG)
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S").isoformat()
    except Exception:  # broken metadata does not spoil good pixels, and Pillow raises many kinds of errors on it
        return ""


class NamedBytes(bytes):
    """The bytes of an image file that has a name, such as one in an archive."""

    name: str

    def __new__(cls, content: bytes, name: str) -> "NamedBytes":
        """Return the bytes with the name by which messages call them."""
        named = super().__new__(cls, content)
        named.name = name
        return named


def source_name(source: ImageSource) -> str:
    """Return the path of an image, or what kind of object it is."""
    if isinstance(source, NamedBytes):
        return source.name
    if isinstance(source, bytes):
        return f"image of {len(source)} bytes"
    if isinstance(source, np.ndarray):
        return f"{source.dtype} array {list(source.shape)}"
    if isinstance(source, Image.Image):
        return f"{source.mode} image {source.width}x{source.height}"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    raise DataError(f"got {type(source).__name__}, expected an image: a path, bytes, a PIL image or a uint8 array")


def _read(name: str, source: str | os.PathLike | bytes) -> bytes:
    try:
        content = source if isinstance(source, bytes) else read_bytes(Path(source), MAX_BYTES)
    except MemoryError as error:
        raise _no_memory(name) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not content:
        raise DataError(f"{name}: empty file, expected an image; fetch it again or remove it")
    if content[4:12] in _HEIF_BRANDS and "HEIF" not in FORMATS:
        raise DataError(f"{name}: HEIC images need pillow-heif, which is not installed; pip install pillow-heif")
    return content


def _guarded(name: str, step: Callable[[], Any]) -> Any:
    """Run a step of Pillow; its decoders raise a dozen kinds of errors on damaged files."""
    try:
        return step()
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except MemoryError as error:
        raise _no_memory(name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name}: too many pixels to decode ({error})") from error
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{name}: not an image, expected one of {', '.join(FORMATS)}") from error
    except Exception as error:
        raise DataError(f"{name}: damaged image ({brief(error)}); fetch it again or remove it") from error


def _no_memory(name: str) -> DataError:
    return DataError(f"{name}: does not fit into the memory that is left; shrink it, or close other programs")


def _require_few_scans(name: str, content: bytes) -> None:
    """Refuse a progressive JPEG that takes minutes, since each scan may change every pixel again."""
    if content.count(_JPEG_SCAN) <= MAX_SCANS:
        return
    scans = 0  # without those that are metadata, or lie behind the end of the image
    place = 2
    while scans <= MAX_SCANS:
        marker = _JPEG_MARKER.search(content, place)
        if marker is None or marker[0] == _JPEG_END:
            return
        scans += marker[0] == _JPEG_SCAN
        length = int.from_bytes(content[marker.end() : marker.end() + 2])
        place = marker.end() + max(length, 2)
    raise DataError(f"{name}: a JPEG of more than {MAX_SCANS} scans, expected about 10; save it again")


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
        return _over_white(image)
    if image.mode == "RGB":
        return image
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion clips at 255."""
    values = np.asarray(image)  # [H, W]
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"grey values {values.min():.0f}..{values.max():.0f} do not fit 16 bits, expected 0..65535")
    levels = np.empty(values.shape, np.uint8)
    for top, bottom in _strips(image):
        levels[top:bottom] = np.round(values[top:bottom].astype(np.float32) / 257.0)
    return Image.fromarray(levels)


def _over_white(image: Image.Image) -> Image.Image:
    """Return an image as RGB, with white behind what is transparent."""
    opaque = Image.new("RGB", image.size)
    for top, bottom in _strips(image):
        strip = image.crop((0, top, image.width, bottom)).convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", strip.size, WHITE), strip)
        opaque.paste(strip.convert("RGB"), (0, top))
    return opaque


def _strips(image: Image.Image) -> Iterator[tuple[int, int]]:
    """Yield the first row and the row after the last of parts of an image that take little memory."""
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        yield top, min(top + rows, image.height)
