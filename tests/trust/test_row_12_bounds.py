"""Row 12 of docs/trust.md: what comes in is bounded, whatever its size."""

import io
import os
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import captioner
from saliency.methods import gradient, single_descriptor
from saliency.word_maps import MOST_WORDS, cell_losses, read_sentence
from vislang.backbones.registry import load_backbone
from vislang.core.errors import ConfigError, DataError
from vislang.features import pipeline
from vislang.images import decode, video
from vislang.images.decode import decode_image
from vislang.images.sources import image_sources


@pytest.fixture(scope="module")
def model(tiny_captioner):
    return captioner.load_model(tiny_captioner)


@pytest.fixture(scope="module")
def cells(model):
    return np.random.default_rng(0).normal(size=(3, 2, 2, model.network.num_features)).astype(np.float32)


@pytest.mark.parametrize("method", ["gradient", "ramanishka"])
def test_row_12_long_sentences_are_explained_in_parts(model, cells, method, monkeypatch):
    words = np.random.default_rng(1).integers(4, 12, 40).astype(np.int32)
    expected = cell_losses(model, cells, words, method=method, written_from=None)
    for positions in (1, 120, 3000):  # less than a sentence, some of its words, several images
        monkeypatch.setattr(gradient, "_POSITIONS", positions)
        monkeypatch.setattr(single_descriptor, "_POSITIONS", positions)
        found = cell_losses(model, cells, words, method=method, written_from=None)
        np.testing.assert_allclose(found[0], expected[0], rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(found[1], expected[1], rtol=2e-4, atol=1e-5)


def test_row_12_a_sentence_has_a_largest_length(model):
    assert len(read_sentence(model, "dog " * MOST_WORDS)[0]) == MOST_WORDS
    with pytest.raises(ConfigError, match="the sentence has 600 words, expected at most 200; explain it in parts"):
        read_sentence(model, "dog " * 600)


@pytest.fixture(scope="module")
def photo():
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    return coarse.resize((600, 400), Image.Resampling.BICUBIC)


def jpeg(photo, *, progressive: bool, repeated: int = 0) -> bytes:
    """Write a JPEG whose last scan comes several times more."""
    stream = io.BytesIO()
    photo.save(stream, "JPEG", progressive=progressive)
    content = stream.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:-2] + repeated * content[last:-2] + content[-2:]


def test_row_12_a_jpeg_of_hundreds_of_scans_is_refused(photo):
    for progressive in (False, True):
        assert decode_image(jpeg(photo, progressive=progressive)).size == photo.size
    assert decode_image(jpeg(photo, progressive=True, repeated=50)).size == photo.size
    with pytest.raises(DataError, match=r"a JPEG of more than 100 scans, expected about 10; save it again"):
        decode_image(jpeg(photo, progressive=True, repeated=600))


def test_row_12_bytes_after_an_image_and_in_its_metadata_are_no_scans(photo):
    marks = b"\xff\xda\x00\x02" * 500
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = marks.decode("latin-1")
    photo.save(stream, "JPEG", exif=exif)
    assert decode_image(stream.getvalue() + marks).size == photo.size


def test_row_12_what_is_too_large_is_not_read(tmp_path, photo):
    path = tmp_path / "large.jpg"
    with path.open("wb") as stream:
        stream.write(jpeg(photo, progressive=False))
        stream.truncate(3 * 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"large.jpg: larger than 256 MiB; shrink it or leave it out"):
        decode_image(path)
    path.rename(tmp_path / "large.bin")
    with pytest.raises(DataError, match=r"large.bin: larger than 256 MiB"):
        image_sources(tmp_path / "large.bin")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024, "KiB"


def test_row_12_a_device_without_end_is_not_read_on(monkeypatch):
    monkeypatch.setattr(decode, "MAX_BYTES", 2**20)
    with pytest.raises(DataError, match=r"/dev/zero: larger than 1 MiB"):
        decode_image("/dev/zero")


def test_row_12_a_pipe_is_read(tmp_path, photo):
    os.mkfifo(tmp_path / "pipe.jpg")
    content = jpeg(photo, progressive=False)
    writer = threading.Thread(target=(tmp_path / "pipe.jpg").write_bytes, args=(content,))
    writer.start()
    assert decode_image(tmp_path / "pipe.jpg") == decode_image(content)
    writer.join()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "I;16", "I"])
def test_row_12_images_in_strips_are_what_they_are_as_a_whole(photo, mode, monkeypatch):
    random = np.random.default_rng(3)
    if mode.startswith("I"):
        image = Image.fromarray(random.integers(0, 65535, (37, 50), dtype=np.uint16))
        if mode == "I":
            image = image.convert("I")
    elif mode == "P":
        image = photo.resize((50, 37)).quantize(8)
        image.info["transparency"] = 3
    else:
        image = Image.fromarray(random.integers(0, 255, (37, 50, 4), dtype=np.uint8), "RGBA").convert(mode)
    expected = decode_image(image)
    monkeypatch.setattr(decode, "_STRIP", 50 * 5)
    assert decode_image(image) == expected


def test_row_12_large_images_are_decoded_one_at_a_time(photo, monkeypatch):
    monkeypatch.setattr(decode, "_LARGE", 1000)
    running = []
    whole = decode._upright_rgb

    def counted(image):
        running.append(1)
        assert len(running) == 1
        time.sleep(0.02)
        try:
            return whole(image)
        finally:
            running.pop()

    monkeypatch.setattr(decode, "_upright_rgb", counted)
    content = jpeg(photo, progressive=False)
    with ThreadPoolExecutor(4) as pool:
        sizes = [image.size for image in pool.map(decode_image, [content] * 6)]
    assert sizes == [photo.size] * 6


def test_row_12_an_image_without_memory_is_skipped_alone(tmp_path, photo, monkeypatch):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(jpeg(photo, progressive=False))
    whole = pipeline.prepare

    def prepare(source, *rest, **options):
        if Path(source).name == "b.jpg":
            raise MemoryError
        return whole(source, *rest, **options)

    monkeypatch.setattr(pipeline, "prepare", prepare)
    paths = sorted(tmp_path.iterdir())
    batch = pipeline.encode_images(load_backbone("compact_scenes"), paths, ["pooled"])
    assert batch.kept == [0, 2]
    assert "b.jpg: does not fit into the memory that is left" in batch.skipped[0].reason


def test_row_12_a_video_whose_last_frame_lies_in_years_is_refused(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "long.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for seconds in (0, 1, 2, 2_000_000):
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), (seconds % 200, 0, 0)))
            frame.pts = 25 * seconds
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert path.stat().st_size < 20_000
    assert len(video.spread_frames(path)) == video.CLIP_FRAMES
    with pytest.raises(
        DataError, match=r"has a frame at 2,000,000 s, 16,000,000 frames at 8 a second, expected at most"
    ):
        for _ in video.sampled_frames(path, 8.0):
            pass
    assert sum(1 for _ in video.sampled_frames(path, 0.001)) == 2001
