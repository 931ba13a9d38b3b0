"""Windows of a grid, what they say of a word, and the maps that follow."""

import numpy as np
import pytest

from common.errors import ConfigError
from saliency.explanation import Explanation, clip_descriptors, window_layout
from saliency.windows import grid_windows, single_cells, window_areas, window_chances, window_means, window_shares


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (7, 7), (10, 10), (8, 5)])
@pytest.mark.parametrize("square", [False, True])
def test_every_cell_lies_in_windows_of_every_size_and_the_whole_grid_is_last(rows, columns, square):
    windows = grid_windows(rows, columns, square=square)
    assert len({tuple(window) for window in windows}) == len(windows)
    assert tuple(windows[-1]) == (0, 0, rows, columns)
    heights, widths = windows[:, 2] - windows[:, 0], windows[:, 3] - windows[:, 1]
    assert (heights >= 1).all()
    assert (widths >= 1).all()
    for size in {(height, width) for height, width in zip(heights.tolist(), widths.tolist(), strict=True)}:
        of_size = windows[(heights == size[0]) & (widths == size[1])]
        assert (window_shares(of_size, rows, columns).sum(axis=0) > 0).all()
    if square:
        assert (heights == widths)[:-1].all()


def test_single_cells_are_the_cells_in_their_order():
    windows = single_cells(2, 3)
    assert len(windows) == 7
    np.testing.assert_array_equal(window_shares(windows[:-1], 2, 3).reshape(6, 6), np.eye(6))


def test_means_areas_and_shares_are_those_of_the_cells():
    cells = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    windows = grid_windows(4, 5)
    means = window_means(cells, windows)
    for number, (top, left, bottom, right) in enumerate(windows):
        inside = cells[:, top:bottom, left:right]
        np.testing.assert_allclose(means[:, number], inside.mean(axis=(1, 2)), atol=1e-6)
        assert window_areas(windows, 4, 5)[number] == pytest.approx((bottom - top) * (right - left) / 20)


def test_chances_are_bayes_rule_over_the_windows_of_all_frames():
    losses = np.random.default_rng(0).gamma(2.0, size=(3, 2, 5))
    chances = window_chances(losses)
    likelihood = np.exp(-losses)
    for word in range(2):
        np.testing.assert_allclose(chances[:, word], likelihood[:, word] / likelihood[:, word].sum(), rtol=1e-5)
    assert np.isfinite(window_chances(np.full((1, 1, 3), 800.0))).all()


def explanation(losses: np.ndarray, way: str = "windows", grid=(2, 2)) -> Explanation:
    words = tuple("abcd"[: losses.shape[1]])
    return Explanation(
        words=words,
        unknown=tuple(False for _ in words),
        written=False,
        way=way,
        losses=losses,
        windows=window_layout(way, *grid),
        grid=grid,
        evidence=np.zeros(len(words), np.float32),
        seen=(0.0, 0.0, 1.0, 1.0),
        seconds=np.arange(len(losses), dtype=np.float32),
    )


def test_a_map_is_the_chance_that_the_window_holds_the_cell_worked_by_hand():
    # Windows of a 2 x 2 grid: four cells, two rows, two columns, the whole, in the order of `window_layout`.
    windows = window_layout("windows", 2, 2)
    losses = np.full((1, 1, len(windows)), 50.0)
    names = [tuple(window) for window in windows.tolist()]
    losses[0, 0, names.index((0, 0, 1, 1))] = -np.log(0.6)
    losses[0, 0, names.index((0, 0, 1, 2))] = -np.log(0.2)  # the upper row
    losses[0, 0, names.index((0, 0, 2, 2))] = -np.log(0.2)
    found = explanation(losses)
    np.testing.assert_allclose(found.maps[0, 0], [[1.0, 0.4], [0.2, 0.2]], atol=1e-5)
    np.testing.assert_allclose(found.phrase_map(0, 1), [[1.0, 0.4], [0.2, 0.2]], atol=1e-5)


def test_words_of_a_phrase_are_pooled_as_asked():
    losses = np.random.default_rng(0).gamma(2.0, size=(1, 3, 9))
    found = explanation(losses)
    maps = found.maps[0]
    for pooling in ("mean", "max", "sum"):
        np.testing.assert_allclose(found.phrase_map(1, 3, pooling), getattr(np, pooling)(maps[1:3], axis=0), atol=1e-6)
    joint = explanation(losses[:, 1:3].sum(axis=1, keepdims=True)).maps[0, 0]
    shown = found.phrase_map(1, 3, "joint")
    np.testing.assert_allclose(shown / shown.max(), joint, atol=1e-5)
    for first, last, pooling in ((1, 1, "mean"), (2, 4, "mean"), (0, 1, "median")):
        with pytest.raises(ConfigError, match="expected some words"):
            found.phrase_map(first, last, pooling)


def test_frames_compete_for_a_word_in_space_and_time():
    losses = np.full((2, 1, 9), 5.0)
    losses[1, 0, 0] = 0.0  # the first cell of the second frame
    found = explanation(losses)
    assert found.maps[1, 0].max() == pytest.approx(1.0)
    assert found.maps[0, 0].max() < 0.2
    losses[1, 0, -1] = 1.0  # the second frame as a whole knows the word better
    np.testing.assert_allclose(explanation(losses).in_time, [[0.0], [1.0]])
    np.testing.assert_array_equal(explanation(np.ones((2, 1, 9))).in_time, 0.0)


def test_the_original_way_leaves_the_whole_grid_out_of_its_chain():
    losses = np.random.default_rng(0).gamma(2.0, size=(3, 2, 5))
    other = losses.copy()
    other[..., -1] += 9.0
    np.testing.assert_array_equal(explanation(losses, "original").maps, explanation(other, "original").maps)
    assert explanation(losses, "original").maps.shape == (3, 2, 2, 2)
    with pytest.raises(ConfigError, match="way got 'other', expected one of: windows, original"):
        window_layout("other", 2, 2)


def test_a_clip_is_read_as_at_most_26_frames():
    cells = np.random.default_rng(0).normal(size=(60, 2, 2, 3))
    read = clip_descriptors(cells)
    assert read.shape == (26, 3)
    np.testing.assert_allclose(read[[0, -1]], cells[[0, -1]].mean(axis=(1, 2)))
    assert clip_descriptors(cells[:5]).shape == (5, 3)
