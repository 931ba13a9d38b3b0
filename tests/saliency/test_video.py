"""What is read of a video: features of neighbouring frames are averaged by the method of the original alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from saliency import video
from vislang.features.reading_options import ReadingOptions

CELLS = np.random.default_rng(0).normal(size=(40, 2, 2, 3)).astype(np.float32)  # of frame i


@pytest.fixture
def frames(monkeypatch):
    """Replace the file and the CNN: frame i is an image of colour i, whose cells are CELLS[i]."""

    def encoded_cells(model, images, options):
        for image in images:
            yield CELLS[image.getpixel((0, 0))[0]]

    def colours(numbers):
        return [Image.new("RGB", (8, 6), (number, 0, 0)) for number in numbers]

    monkeypatch.setattr(video, "encoded_cells", encoded_cells)
    monkeypatch.setattr(video, "seen_of", lambda model, layer, size: (0.0, 0.0, 1.0, 1.0))
    monkeypatch.setattr(video, "spread_frames", lambda path: colours(range(0, 40, 2)))

    def sampled_frames(path, fps):
        for index, image in enumerate(colours(range(20))):
            yield SimpleNamespace(image=image, seconds=index / fps)

    monkeypatch.setattr(video, "sampled_frames", sampled_frames)
    seen = {}

    def explain_frames(model, batches, whole, sentence, **options):
        seen.update(cells=np.concatenate(list(batches)), whole=whole, **options)
        return seen

    monkeypatch.setattr(video, "explain_frames", explain_frames)


def frame_means(images, options):
    return np.stack([CELLS[image.getpixel((0, 0))[0]].mean(axis=(0, 1)) for image in images])


def explained(method: str) -> dict:
    options = ReadingOptions(progress=False)
    model = SimpleNamespace(config=SimpleNamespace(layers=("grid",)), clip_descriptors=frame_means)
    return video.explain_clip(model, "clip.mp4", "a dog", fps=5, method=method, ranker=None, options=options)


@pytest.mark.usefixtures("frames")
def test_the_original_averages_each_frame_with_its_neighbours():
    found = explained("ramanishka")["cells"]
    padded = np.concatenate([CELLS[:1], CELLS[:20], CELLS[19:20]])
    expected = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.usefixtures("frames")
def test_the_gradient_reads_each_frame_as_it_is():
    found = explained("gradient")
    np.testing.assert_array_equal(found["cells"], CELLS[:20])
    np.testing.assert_allclose(found["seconds"], np.arange(20) / 5)
    np.testing.assert_allclose(found["whole"], CELLS[::2].mean(axis=(1, 2)), atol=1e-6)
