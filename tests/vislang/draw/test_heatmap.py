"""Maps as pictures: at their true place, in true colours, one tile for each word."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from vislang.draw.heatmap import LabelledTiles, colour_table, enlarge, overlay, transparent_map


def test_an_enlarged_map_has_its_cells_at_their_place():
    scores = np.zeros((4, 4))
    scores[1, 2] = 1.0
    big = enlarge(scores, (400, 200))
    assert big.shape == (200, 400)
    row, column = np.unravel_index(big.argmax(), big.shape)
    assert abs(row - 75) <= 2  # the middle of the second of four rows
    assert abs(column - 250) <= 2
    assert big.min() >= 0.0
    assert big.max() <= 1.0


def test_a_map_of_a_part_lies_on_that_part_and_nowhere_else():
    scores = np.ones((3, 3))
    scores[0, 0] = 0.0
    big = enlarge(scores, (200, 100), (0.25, 0.0, 0.75, 1.0))
    assert (big[:, :50] == 0).all()
    assert (big[:, 150:] == 0).all()
    assert (big[60:, 100:150] > 0.9).all()


def test_colours_are_those_of_matplotlib_and_mixed_half():
    picture = Image.new("RGB", (3, 2), (100, 100, 100))
    scores = np.array([[0.0, 0.5, 1.0], [-3.0, 2.0, 0.25]])
    shown = np.asarray(overlay(picture, scores), float)
    for place in np.ndindex(2, 3):
        colour = 255 * np.array(matplotlib.colormaps["jet"](np.clip(scores[place], 0, 1))[:3])
        np.testing.assert_allclose(shown[place], (100 + colour) / 2, atol=3)
    assert colour_table().shape == (256, 3)


def test_a_transparent_map_covers_more_where_the_map_is_high():
    scores = np.zeros((4, 4))
    scores[:, 3] = 1.0
    alpha = np.asarray(transparent_map(scores))[..., 3]
    assert alpha[:, 0].max() == 0
    assert alpha[:, -1].min() > 120
    assert transparent_map(np.ones((200, 150))).size == (200, 200), "a fine map keeps its cells"


@pytest.mark.parametrize(("words", "size"), [(1, (640, 480)), (7, (480, 640)), (12, (500, 100))])
def test_a_sheet_has_even_sides_and_a_tile_and_a_word_in_each_place(words, size):
    sheet = LabelledTiles([f"word{number}" for number in range(words)], size, tile=80)
    assert sheet.size[0] % 2 == 0
    assert sheet.size[1] % 2 == 0
    assert max(sheet.tile_size) == 80
    tiles = [Image.new("RGB", sheet.tile_size, (0, 10 * number + 20, 250)) for number in range(words)]
    pixels = np.asarray(sheet.draw(tiles))
    for number in range(words):
        assert (pixels == [0, 10 * number + 20, 250]).all(axis=-1).sum() == sheet.tile_size[0] * sheet.tile_size[1]
    assert (pixels.sum(axis=-1) < 200).any()  # the words


def test_long_words_are_cut_and_faint_ones_are_grey():
    dark = np.asarray(LabelledTiles(["x"], (64, 64), tile=64).draw([Image.new("RGB", (64, 64))]))[68:]
    faint = np.asarray(LabelledTiles(["x"], (64, 64), tile=64, faint=[True]).draw([Image.new("RGB", (64, 64))]))[68:]
    assert dark.min() < 60 < 120 < faint.min()
    long = np.asarray(LabelledTiles(["w" * 60], (64, 64), tile=64).draw([Image.new("RGB", (64, 64))]))[70:]
    assert (long[:, :3] == 255).all()
    assert (long[:, -3:] == 255).all()
