"""Every odd kind of picture, and every refusal, of the one decoder."""

import contextlib
import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eval.tasks.saliency_maps import read_map
from vislang.core.errors import DataError
from vislang.draw.html.thumbnails import thumbnail
from vislang.images.decode import FORMATS, decode_image, image_size

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def corners_picture() -> np.ndarray:
    """Give uint8 [24, 32, 3] whose four quarters differ, so that any turn or mirroring shows."""
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[:12, :16], picture[:12, 16:], picture[12:, :16] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(orientation, kind):
    upright = corners_picture()
    stored = {  # EXIF 2.3: where row 0 and column 0 of the stored pixels lie in the picture
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options)
    tolerance = 12 if kind == "JPEG" else 0
    got = np.asarray(decode_image(content)).astype(int)
    assert got.shape == upright.shape
    assert abs(got[4:8, 4:8] - upright[4:8, 4:8].astype(int)).max() <= tolerance
    assert abs(got[4:8, 24:28] - upright[4:8, 24:28].astype(int)).max() <= tolerance
    assert abs(got[16:20, 4:8] - upright[16:20, 4:8].astype(int)).max() <= tolerance


def test_broken_exif_does_not_spoil_good_pixels():
    content = encoded(Image.new("RGB", (8, 8), RED), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert decode_image(content).getpixel((0, 0)) == RED


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_every_format_becomes_rgb(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = decode_image(encoded(Image.new("RGB", (9, 7), RED), kind, **options))
    assert (image.mode, image.size) == ("RGB", (9, 7))
    assert np.abs(np.asarray(image).astype(int) - RED).max() <= 4


def test_grey_is_tiled():
    assert decode_image(encoded(Image.new("L", (4, 4), 77), "PNG")).getpixel((1, 1)) == (77, 77, 77)


def test_one_bit_becomes_black_and_white():
    assert decode_image(encoded(Image.new("1", (4, 4), 1), "PNG")).getpixel((1, 1)) == WHITE


def test_cmyk_keeps_its_colours():
    red = decode_image(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=98)).getpixel((8, 8))
    assert np.abs(np.array(red) - RED).max() <= 4


def test_transparent_pixels_show_white():
    image = Image.new("RGBA", (4, 4), (0, 0, 255, 0))
    image.putpixel((0, 0), (0, 0, 255, 255))
    image.putpixel((1, 0), (0, 0, 255, 128))
    got = decode_image(encoded(image, "PNG"))
    assert got.getpixel((3, 3)) == WHITE
    assert got.getpixel((0, 0)) == BLUE
    assert got.getpixel((1, 0)) == (127, 127, 255)


@pytest.mark.parametrize("mode", ["LA", "PA"])
def test_grey_and_palette_with_alpha(mode):
    image = Image.new("LA", (4, 4), (10, 0)) if mode == "LA" else Image.new("RGBA", (4, 4), (9, 9, 9, 0)).convert("PA")
    assert decode_image(image).getpixel((2, 2)) == WHITE


def test_palette_with_and_without_transparency():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert decode_image(encoded(image, "PNG")).getpixel((0, 0)) == RED
    assert decode_image(encoded(image, "PNG", transparency=1)).getpixel((0, 0)) == WHITE


def test_transparent_colour_of_a_grey_png():
    assert decode_image(encoded(Image.new("L", (4, 4), 5), "PNG", transparency=5)).getpixel((0, 0)) == WHITE


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    got = np.asarray(decode_image(encoded(Image.fromarray(values), "PNG")))[0, :, 0]
    assert got.tolist() == [0, 1, 128, 255]


def test_thirty_two_bits_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match=r"grey values 0..70000 do not fit 16 bits, expected 0..65535"):
        decode_image(encoded(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF"))


def test_float_pixels_are_refused():
    with pytest.raises(DataError, match="range of floating-point pixels is not known, expected 8 or 16 bits"):
        decode_image(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode_image(content).getpixel((4, 4)) == RED


def test_large_jpegs_are_decoded_at_a_fraction():
    content = encoded(Image.new("RGB", (1600, 1200), RED), "JPEG")
    assert decode_image(content, shorter_side=448).size == (800, 600)
    assert decode_image(content).size == (1600, 1200)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(10000, 9000), (12000, 10000), (20000, 20000)])
def test_a_bomb_is_refused_before_decoding(width, height):
    with pytest.raises(
        DataError, match=r"(megapixels, expected at most 80; shrink it first|too many pixels to decode)"
    ):
        decode_image(png_header(width, height))


@pytest.mark.slow
def test_a_bomb_costs_little_memory(tmp_path):
    bomb = tmp_path / "bomb.png"
    rows = b"".join(b"\x00" + bytes(20000 * 3) for _ in range(1))
    squeezed = zlib.compressobj(9)
    body = b"".join(squeezed.compress(rows) for _ in range(20000)) + squeezed.flush()
    header = (20000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    parts = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    chunks = (len(c).to_bytes(4, "big") + k + c + zlib.crc32(k + c).to_bytes(4, "big") for k, c in parts)
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    program = (
        "import resource, sys\nfrom vislang.core.errors import DataError\n"
        "from vislang.images.decode import decode_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    decode_image(sys.argv[1])\nexcept DataError:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, bomb], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000  # kilobytes; decoded it would take 1.2 million


def test_the_cap_is_a_setting():
    content = encoded(Image.new("RGB", (100, 100)), "PNG")
    with pytest.raises(DataError, match="100x100 is 0 megapixels, expected at most 0; shrink it first"):
        decode_image(content, max_pixels=9_999)
    assert decode_image(content, max_pixels=10_000).size == (100, 100)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_truncated_file_is_an_error(kind, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / f"cut.{kind.lower()}"
    content = encoded(Image.fromarray(noise), kind)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"cut.{kind.lower()}: (damaged|not an) image") as raised:
        decode_image(path)
    assert "\n" not in str(raised.value)


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DataError, match=r"empty.jpg: empty file, expected an image; fetch it again or remove it"):
        decode_image(tmp_path / "empty.jpg")


def test_text_called_jpg_is_an_error(tmp_path):
    (tmp_path / "note.jpg").write_text("hello")
    with pytest.raises(DataError, match=r"note.jpg: not an image, expected one of JPEG"):
        decode_image(str(tmp_path / "note.jpg"))


def test_a_program_called_jpg_is_not_run(tmp_path, monkeypatch):
    """Pillow reads EPS by running Ghostscript."""

    def no_process(*args, **options):
        raise AssertionError(f"runs {args}")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    page = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) print\nshowpage\n%%EOF\n"
    (tmp_path / "page.jpg").write_text(page)
    for read in (decode_image, image_size):
        with pytest.raises(DataError, match="page.jpg: not an image"):
            read(tmp_path / "page.jpg")
    assert thumbnail(tmp_path / "page.jpg") is None
    (tmp_path / "page.jpg").rename(tmp_path / "page.png")
    with pytest.raises(DataError, match="page.png is no map"):
        read_map(tmp_path / "page.png")


def test_heic_images_are_read_or_name_the_library(tmp_path):
    heif = pytest.importorskip("pillow_heif") if "HEIF" in FORMATS else None
    path = tmp_path / "phone.heic"
    if heif is None:
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        with pytest.raises(DataError, match="phone.heic: HEIC images need pillow-heif, .*; pip install pillow-heif"):
            decode_image(path)
        return
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48), RED).save(path, "HEIF", exif=exif.tobytes())
    image = decode_image(path)
    assert image.mode == "RGB"
    assert image.size == image_size(path)
    assert np.abs(np.asarray(image).astype(int) - RED).max() <= 4


@pytest.mark.parametrize("path", ["nowhere.jpg", "a\0b.jpg", "."])
def test_an_unreadable_path_is_an_error(path):
    with pytest.raises(DataError, match="cannot be read"):
        decode_image(path)


def test_arrays_of_every_accepted_shape():
    assert decode_image(np.full((3, 5), 7, np.uint8)).getpixel((0, 0)) == (7, 7, 7)
    assert decode_image(np.full((3, 5, 1), 7, np.uint8)).size == (5, 3)
    assert decode_image(np.full((3, 5, 3), 7, np.uint8)).getpixel((0, 0)) == (7, 7, 7)
    assert decode_image(np.full((3, 5, 4), 0, np.uint8)).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 4, 3), np.float32), r"range of float32 pixels is not known, expected uint8 0..255; .*np.uint8"),
        (np.ones((4, 4), np.uint16), "range of uint16 pixels is not known"),
        (np.ones((4, 4, 2), np.uint8), r"uint8 array \[4, 4, 2\]: expected \[H, W\], \[H, W, 3\] or \[H, W, 4\]"),
        (np.ones(4, np.uint8), r"expected \[H, W\]"),
        (np.ones((0, 4, 3), np.uint8), "holds no pixel"),
        (np.broadcast_to(np.uint8(0), (10, 9_000_000)), "90 megapixels, expected at most 80"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(DataError, match=message):
        decode_image(array)


def test_pil_images_are_taken_and_judged():
    assert decode_image(Image.new("L", (4, 4), 9)).getpixel((0, 0)) == (9, 9, 9)
    with pytest.raises(DataError, match="L image 4x4: 4x4 is 0 megapixels"):
        decode_image(Image.new("L", (4, 4)), max_pixels=3)
    with pytest.raises(DataError, match="0x4 holds no pixel"):
        decode_image(Image.new("L", (0, 4)))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]), st.data())
def test_any_damage_gives_an_image_or_our_error(kind, data):
    noise = np.random.default_rng(1).integers(0, 255, (12, 9, 3), np.uint8)
    content = bytearray(encoded(Image.fromarray(noise), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        assert decode_image(bytes(content), max_pixels=10_000).mode == "RGB"


def test_the_size_of_an_image_is_that_of_the_upright_one(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "phone.jpg"
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert image_size(path) == decode_image(path).size == (30, 40)
    Image.new("RGB", (40, 30)).save(path)
    assert image_size(path) == (40, 30)
    path.write_text("no image")
    with pytest.raises(DataError, match="not an image"):
        image_size(path)
