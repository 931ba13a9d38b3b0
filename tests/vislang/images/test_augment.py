"""Random views of photographs: their parts, mirroring and light."""

import numpy as np
from PIL import Image

from vislang.core.seeds import stream
from vislang.images.augment import View, random_view, show


def test_the_whole_view_is_the_photograph_itself():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    whole = View((0, 0, 1, 1), False, (1, 1, 1))
    np.testing.assert_array_equal(show(Image.fromarray(pixels), whole, 48), pixels)


def test_a_view_shows_its_part_mirrored_and_in_its_light():
    halves = np.zeros((40, 40, 3), np.uint8)
    halves[:, 20:] = 100
    image = Image.fromarray(halves)
    assert show(image, View((0.5, 0, 1, 1), False, (1, 1, 1)), 8)[:, 1:].min() == 100
    flipped = show(image, View((0, 0, 1, 1), True, (1, 1, 1)), 8)
    assert flipped[0, 0, 0] == 100
    assert flipped[0, -1, 0] == 0
    assert show(image, View((0.5, 0, 1, 1), False, (0.5, 1, 1)), 8).max() == 50


def test_random_views_keep_to_what_they_may_do():
    views = [random_view(stream(0, number), 0.25, 0.35) for number in range(300)]
    for view in views:
        left, top, right, bottom = view.box
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert (right - left) * (bottom - top) > 0.24
        assert all(0.65 <= gain <= 1.35 for gain in view.gains)
    assert 100 < sum(view.flipped for view in views) < 200
    assert random_view(stream(0, 0), 1.0, 0.0).box == (0, 0, 1, 1)
