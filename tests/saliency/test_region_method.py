"""Maps of words from the regions that an aligner finds."""

from types import SimpleNamespace

import numpy as np
import pytest

import captioner
import saliency
from captioner.alignment.inference import EncodedFragments, TrainedAligner, stds_over_regions
from saliency.explain import main
from saliency.methods.regions import SIDE, bumps, region_maps
from saliency.page import clearest_word
from vislang.core.errors import CheckpointError, ConfigError

BOXES = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 0.75], [0.0, 0.0, 0.0, 0.0]])


def peak(of_word: np.ndarray) -> tuple[float, float]:
    row, column = np.unravel_index(of_word.argmax(), of_word.shape)
    return (column + 0.5) / SIDE, (row + 0.5) / SIDE


def test_a_bump_has_the_place_and_the_proportions_of_its_box():
    found = bumps(BOXES[1:3])
    for bump, (left, top, right, bottom) in zip(found, BOXES[1:3], strict=True):
        rows, columns = np.indices(bump.shape) + 0.5
        weights = bump / bump.sum()
        x = (weights * columns).sum() / SIDE
        y = (weights * rows).sum() / SIDE
        np.testing.assert_allclose([x, y], [(left + right) / 2, (top + bottom) / 2], atol=0.03)
        assert bump.max() == pytest.approx(1.0, abs=0.1)
    flat = found[1]
    width = (flat > 0.5).any(axis=0).sum()
    height = (flat > 0.5).any(axis=1).sum()
    assert width == pytest.approx(2 * height, abs=2)


def test_maps_peak_in_the_region_that_shows_the_word():
    scores = np.array([[0.0, 3.0, 0.0, -np.inf], [0.0, 0.0, 3.0, -np.inf], [5.0, 0.0, 0.0, -np.inf]])
    maps = region_maps(scores, BOXES, ["dog", "ball", ""])
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps.max(axis=(1, 2)), [1.0, 1.0, 0.0])
    np.testing.assert_allclose(peak(maps[0]), (0.25, 0.25), atol=0.05)
    np.testing.assert_allclose(peak(maps[1]), (0.75, 0.625), atol=0.05)


def test_a_map_is_the_mean_of_bumps_by_their_softmax():
    scores = np.array([[0.3, -0.2, 1.1]])
    found = region_maps(scores, BOXES[:3], ["dog"])[0]
    expected = sum(np.exp(2.0 * score) * bump for score, bump in zip(scores[0], bumps(BOXES[:3]), strict=True))
    np.testing.assert_allclose(found, expected / expected.max(), rtol=1e-5)


def test_scores_of_regions_are_products_and_priors_in_standard_deviations():
    random = np.random.default_rng(0)
    words = EncodedFragments(random.normal(size=(1, 3, 4)), np.ones((1, 3), bool), np.zeros((1, 0)), np.zeros((1, 3)))
    mask = np.array([[True, True, True, False]])
    regions = EncodedFragments(random.normal(size=(1, 4, 4)), mask, np.zeros((1, 0)), random.normal(size=(1, 4)))
    aligner = SimpleNamespace(encode_split=lambda sentences: (words, [[(0, 1), (1, 3), (3, 3), (7, 8)]]))
    aligner.products = lambda *fragments: TrainedAligner.products(aligner, *fragments)
    found = TrainedAligner.region_scores(aligner, regions, ["a", "t-shirt", "...", "beyond"])
    products = words.vectors[0] @ regions.vectors[0, :3].T
    for row, expected in enumerate((products[0], products[1] + products[2])):
        np.testing.assert_allclose(
            found[row, :3], expected / stds_over_regions(expected) + regions.priors[0, :3], rtol=1e-5
        )
    np.testing.assert_allclose(found[2:, :3], np.tile(regions.priors[0, :3], (2, 1)), rtol=1e-5)
    assert (found[:, 3] == -np.inf).all()
    with pytest.raises(ConfigError, match="words got 'dog', expected a list of words"):
        TrainedAligner.region_scores(aligner, regions, "dog")


def test_an_image_is_explained_by_the_regions_of_the_bundled_aligner():
    image = np.random.default_rng(9).integers(0, 256, (64, 96, 3), np.uint8)
    model = saliency.load_model()
    found = saliency.explain_image(model, image, "a zzgrbl and a dog", method="regions")
    assert found.maps.shape == (1, 5, SIDE, SIDE)
    assert found.unknown == (False, True, False, False, False)
    assert [bool(of_word.any()) for of_word in found.maps[0]] == [False, False, False, False, True]
    own = saliency.explain_image(model, image, method="regions")
    assert own.written
    assert list(own.words) == captioner.caption_images(model, [image]).captions[0][0].words
    with pytest.raises(ConfigError, match="expected words of which the model knows one"):
        saliency.explain_image(model, image, "zzgrbl", method="regions")
    with pytest.raises(CheckpointError):
        saliency.explain_image(model, image, "a dog", method="regions", aligner=model)
    with pytest.raises(ConfigError, match="aligner is for method 'regions', got method 'gradient'"):
        saliency.explain_image(model, image, "a dog", method="gradient", aligner=model)


def test_words_beyond_those_that_the_aligner_reads_have_no_map():
    image = np.random.default_rng(9).integers(0, 256, (64, 96, 3), np.uint8)
    longest = captioner.load_aligner().config.max_words
    found = saliency.explain_image(saliency.load_model(), image, " ".join(["dog"] * (longest + 2)), method="regions")
    assert found.unknown == (False,) * longest + (True, True)
    assert found.maps.any(axis=(0, 2, 3)).tolist() == [True] * longest + [False, False]


def test_options_of_other_methods_are_refused(tmp_path, capsys):
    with pytest.raises(ConfigError, match="'regions' explains images, got a video"):
        saliency.explain_video(saliency.load_model(), "clip.mp4", "a dog", method="regions")
    assert main(["--video", "clip.mp4", "--method", "regions"]) == 2
    assert "--method regions explains images, got --video" in capsys.readouterr().err
    assert main(["--images", "dog.jpg", "--aligner", "aligner"]) == 2
    assert "--aligner is for --method regions, got --method activation" in capsys.readouterr().err


def test_a_page_opens_on_the_word_of_most_evidence_that_has_a_map():
    maps = np.zeros((1, 3, 2, 2))
    maps[0, 1:, 0, 0] = 1.0
    found = SimpleNamespace(method="regions", maps=maps, evidence=np.array([9.0, 0.5, 2.0]))
    assert clearest_word(found) == 2
    assert clearest_word(SimpleNamespace(method="regions", maps=0 * maps, evidence=found.evidence)) == 0
