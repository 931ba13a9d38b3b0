"""Tilts of a picture, windows of a grid, and the maps that follow."""

import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.inference import TrainedCaptioner
from captioner.models.ensemble import Captioner
from saliency.methods.gradient import gradient_losses
from saliency.methods.windows import cell_chances, grid_windows, stretched
from saliency.word_maps import Explanation, cell_losses
from vislang.core.errors import ConfigError
from vislang.text.vocabulary import Vocabulary

WORDS = Vocabulary(["a", "dog", "runs", "fast"])


def trained_captioner(model: str) -> TrainedCaptioner:
    captioner = Captioner(CaptionerConfig(model=model, word_dim=5, hidden_dim=6, attention_dim=4), len(WORDS), 3)
    random = np.random.default_rng(1)
    for weight in captioner.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return TrainedCaptioner(captioner, WORDS, {"backbone": {"name": "toy", "weights": {}}})


@pytest.mark.parametrize("model", ["mrnn", "lstm", "attend", "s2vt"])
def test_slopes_are_what_a_small_step_towards_each_cell_changes(model):
    captioner = trained_captioner(model)
    cells = np.random.default_rng(2).normal(size=(2, 2, 3, 3)).astype(np.float32)
    sentence = np.array([4, 6, 5, 7], np.int32)
    losses, slopes = gradient_losses(captioner, cells, sentence)
    assert losses.shape == (2, 4)
    assert slopes.shape == (2, 4, 2, 3)
    step = 1e-2
    for picture in range(2):
        mean = cells[picture].mean(axis=(0, 1))
        found = captioner.given_log_probs(mean[None, None], sentence[None])[0]
        np.testing.assert_allclose(losses[picture], -found, atol=1e-5)
        for place in np.ndindex(2, 3):
            away = cells[picture][place] - mean
            ends = [captioner.given_log_probs((mean + a * away)[None, None], sentence[None])[0] for a in (step, -step)]
            np.testing.assert_allclose(slopes[picture][:, *place], (ends[1] - ends[0]) / (2 * step), atol=4e-3)
    np.testing.assert_allclose(slopes.mean(axis=(2, 3)), 0.0, atol=1e-5)
    assert np.abs(slopes).max() > 0.05


def test_pictures_one_by_one_are_as_all_at_once_and_a_word_hangs_on_the_words_before_it_only():
    captioner = trained_captioner("s2vt")
    cells = np.random.default_rng(3).normal(size=(300, 2, 2, 3))
    sentence = np.array([4, 6, 5, 7], np.int32)
    losses, slopes = gradient_losses(captioner, cells, sentence)
    for number in (0, 127, 128, 299):
        one = gradient_losses(captioner, cells[number : number + 1], sentence)
        np.testing.assert_allclose(one[0][0], losses[number], atol=1e-5)
        np.testing.assert_allclose(one[1][0], slopes[number], atol=1e-5)
    shorter = gradient_losses(captioner, cells[:2], sentence[:2])[1]
    np.testing.assert_allclose(shorter, slopes[:2, :2], atol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (7, 7), (10, 10), (8, 5)])
def test_every_cell_lies_in_windows_of_every_size_and_the_whole_grid_is_last(rows, columns):
    windows = grid_windows(rows, columns)
    assert len({tuple(window) for window in windows}) == len(windows)
    assert tuple(windows[-1]) == (0, 0, rows, columns)
    heights, widths = windows[:-1, 2] - windows[:-1, 0], windows[:-1, 3] - windows[:-1, 1]
    np.testing.assert_array_equal(heights, widths)
    for side in np.unique(heights):
        held = np.zeros((rows, columns), bool)
        for top, left, bottom, right in windows[:-1][heights == side]:
            held[top:bottom, left:right] = True
        assert held.all()


def slow_chances(losses: np.ndarray) -> np.ndarray:
    """The definition, window by window."""
    frames, words, rows, columns = losses.shape
    windows = grid_windows(rows, columns).tolist()
    sizes = [(bottom - top, right - left) for top, left, bottom, right in windows]
    maps, totals = np.zeros(losses.shape), np.zeros(words)
    for word in range(words):
        for frame in range(frames):
            for (top, left, bottom, right), size in zip(windows, sizes, strict=True):
                prior = 1 / (len(set(sizes)) * sizes.count(size))
                chance = prior * np.exp(-losses[frame, word, top:bottom, left:right].mean())
                maps[frame, word, top:bottom, left:right] += chance
                totals[word] += chance
    return maps / totals[:, None, None]


@pytest.mark.parametrize("shape", [(1, 2, 4, 4), (3, 2, 3, 5), (2, 1, 7, 7)])
def test_chances_are_those_of_the_definition(shape):
    losses = np.random.default_rng(0).normal(0, 2, shape)
    found, expected = cell_chances(losses), slow_chances(losses)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(cell_chances(losses + 900.0), expected, atol=1e-3)  # no overflow
    maps = stretched(found)
    for word in range(shape[1]):
        low, high = expected[:, word].min(), expected[:, word].max()
        np.testing.assert_allclose(maps[:, word], (expected[:, word] - low) / (high - low), atol=1e-4)


def test_a_map_worked_by_hand():
    # Windows of 1 x 3 cells: each cell, 1/2 * 1/3 beforehand, and all, 1/2. Losses 0, ln 2, ln 4 have likelihoods 1,
    # 1/2, 1/4, and all, whose mean loss is ln 2, 1/2: chances like 1/6, 1/12, 1/24 and 1/4, which sum to 13/24.
    found = cell_chances(np.array([[[[0.0, np.log(2.0), np.log(4.0)]]]]))
    np.testing.assert_allclose(found[0, 0], [[10 / 13, 8 / 13, 7 / 13]], rtol=1e-5)
    np.testing.assert_allclose(stretched(found)[0, 0], [[1.0, 1 / 3, 0.0]], atol=1e-5)
    np.testing.assert_array_equal(stretched(np.ones((1, 1, 2, 2))), 0.0)


def test_a_word_that_tells_nothing_gets_a_hill_in_the_middle():
    hill = stretched(cell_chances(np.zeros((1, 1, 7, 7))))[0, 0]
    np.testing.assert_allclose(hill, hill[::-1, ::-1], rtol=1e-5)
    assert hill[3, 3] == pytest.approx(1.0)
    assert hill[0, 0] == 0.0
    assert hill[0, 0] < hill[0, 3] < hill[3, 3]


def explanation(losses: np.ndarray, method: str = "gradient") -> Explanation:
    words = tuple("abcd"[: losses.shape[1]])
    return Explanation(
        words=words,
        unknown=tuple(False for _ in words),
        written=False,
        method=method,
        losses=losses,
        whole=losses.mean(axis=(2, 3)),
        evidence=np.zeros(len(words), np.float32),
        seen=(0.0, 0.0, 1.0, 1.0),
        seconds=np.arange(len(losses), dtype=np.float32),
    )


def test_words_of_a_phrase_are_pooled_as_asked():
    losses = np.random.default_rng(0).gamma(2.0, size=(1, 3, 3, 3))
    found = explanation(losses)
    chances = cell_chances(losses)[0, 1:3]
    for pooling in ("mean", "max", "sum"):
        pooled = getattr(np, pooling)(chances, axis=0)
        unit = (pooled - pooled.min()) / (pooled.max() - pooled.min())
        np.testing.assert_allclose(found.phrase_map(1, 3, pooling), unit, atol=1e-5)
        drawn = explanation(losses, "ramanishka")
        expected = getattr(np, pooling)(drawn.maps[0, 1:3], axis=0)
        np.testing.assert_allclose(drawn.phrase_map(1, 3, pooling), expected)
    together = explanation(losses[:, 1:3].sum(axis=1, keepdims=True)).maps[0, 0]
    np.testing.assert_allclose(found.phrase_map(1, 3, "joint"), together)
    for first, last, pooling in ((1, 1, "mean"), (2, 4, "mean"), (0, 1, "median")):
        with pytest.raises(ConfigError, match="expected some words"):
            found.phrase_map(first, last, pooling)
    with pytest.raises(ConfigError, match="expected some words, and one of mean, max, sum$"):
        explanation(losses, "ramanishka").phrase_map(0, 1, "joint")


def test_frames_compete_for_a_word_in_space_and_time():
    losses = np.full((2, 1, 2, 2), 5.0)
    losses[1, 0, 0, 0] = 0.0
    found = explanation(losses)
    assert found.maps[1, 0, 0, 0] == pytest.approx(1.0)
    assert found.maps[0, 0].max() < 0.1
    np.testing.assert_allclose(found.in_time, [[0.0], [1.0]])
    np.testing.assert_array_equal(explanation(np.ones((2, 1, 2, 2))).in_time, 0.0)


@pytest.mark.parametrize("written", [False, True])
def test_the_published_method_encodes_each_cell_alone(written):
    captioner = trained_captioner("lstm")
    cells = np.random.default_rng(2).normal(size=(2, 2, 3, 3)).astype(np.float32)
    sentence, whole = np.array([4, 6], np.int32), cells.reshape(-1, 3)
    losses, of_frames = cell_losses(
        captioner, cells, sentence, method="ramanishka", written_from=whole if written else None
    )
    assert losses.shape == (2, 2, 2, 3)
    full = np.asarray(captioner.network.word_log_probs(whole[None], np.ones((1, 12), bool), sentence[None]))[0]
    for frame in range(2):
        seen = {**{place: cells[frame][place] for place in np.ndindex(2, 3)}, "all": cells[frame].mean(axis=(0, 1))}
        for place, one in seen.items():
            q = np.asarray(captioner.network.word_log_probs(one[None, None], np.ones((1, 1), bool), sentence[None]))[0]
            expected = (np.exp(full) * (full - q)).sum(axis=-1) if written else -q[[0, 1], sentence]
            found = of_frames[frame] if place == "all" else losses[frame][:, *place]
            np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ConfigError, match="unknown method 'other'; expected one of: activation, regions, gradient"):
        cell_losses(captioner, cells, sentence, method="other", written_from=None)
