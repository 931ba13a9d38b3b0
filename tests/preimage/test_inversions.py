"""Searches set beside each other in one table, on a tiny network."""

import json

import numpy as np
import pytest
from keras import ops
from PIL import Image
from preimage_networks import photographs, tiny_network

from preimage import measure
from preimage.comparison.inversion_errors import (
    config_of_search,
    measure_inversions,
    needs_prior_model,
    predicted_class_ranks,
)
from preimage.config import CONFIGS
from preimage.networks.network import SCORES
from preimage.options import SearchOptions
from vislang.core.errors import ConfigError

SHORT = ["iterations=6,3"]


@pytest.fixture(scope="module")
def network():
    return tiny_network()


def test_searches_are_presets_with_or_without_a_prior_model():
    assert config_of_search("cvpr15") == CONFIGS["cvpr15"]
    assert config_of_search("ijcv16+prior", ["data_weight=3"]).data_weight == 3.0
    alone = config_of_search("prior")
    assert (alone.alpha_weight, alone.tv_weight) == (0.0, 0.0)
    assert alone.bound == CONFIGS["ijcv16"].bound, "only the priors are left out"
    needing = [name for name in ("ijcv16", "cvpr15", "ijcv16+prior", "prior", "kato") if needs_prior_model(name)]
    assert needing == ["ijcv16+prior", "prior", "kato"], "kato has no other prior"
    with pytest.raises(ConfigError, match="unknown preset"):
        config_of_search("ijcv17")


def test_each_search_starts_alike_and_is_measured_against_its_own_features(network):
    images = photographs(3, network.size)
    calls = []

    def prior_model(seen):
        calls.append(1)
        return ops.mean(ops.square(seen / 255.0), axis=(1, 2, 3))

    steps = []
    rows = measure_inversions(
        network, images, ["first", "last"], ["ijcv16", "ijcv16+prior", "prior"],
        prior_model=prior_model, second_network=network,
        settings=[*SHORT, "prior_weight=50", "prior_loss=0"],
        options=SearchOptions(progress=steps.append),
    )  # fmt: skip
    assert [(row.layer, row.search) for row in rows[:3]] == [
        ("first", "ijcv16"), ("first", "ijcv16+prior"), ("first", "prior"),
    ]  # fmt: skip
    assert sum(steps) == 6 * 9
    assert calls, "the prior model was never called"
    for row in rows:
        true, reached = (network.encode(some, [row.layer])[row.layer] for some in (images, row.images))
        flat = (reached - true).reshape(3, -1), true.reshape(3, -1)
        errors = [(one @ one) / (two @ two) for one, two in zip(*flat, strict=True)]
        np.testing.assert_allclose(row.feature_error, errors, rtol=1e-4)
        apart = [np.linalg.norm(flat[1][a] - flat[1][b]) for a in range(3) for b in range(a)]
        np.testing.assert_allclose(row.distance, np.linalg.norm(flat[0], axis=1) / np.mean(apart), rtol=1e-3)
        np.testing.assert_array_equal(row.other_rank == 0, row.same_class)
    darker = rows[1].images.mean(), rows[0].images.mean()
    assert darker[0] < darker[1], "this prior model prefers dark images"


def test_the_predicted_class_of_the_image_is_ranked_among_those_of_the_inversion(network):
    images = photographs(4, network.size)
    true, scores = (network.encode(some, [SCORES])[SCORES] for some in (images, images[::-1].copy()))
    places = [list(np.argsort(-row)).index(np.argmax(own)) for own, row in zip(true, scores, strict=True)]
    np.testing.assert_array_equal(predicted_class_ranks(network, images, images[::-1].copy()), places)


def test_a_prior_model_must_be_given_to_the_searches_that_use_one_and_to_no_others(network):
    images = photographs(2, network.size)
    with pytest.raises(ConfigError, match="search prior needs a model of natural images"):
        measure_inversions(network, images, ["first"], ["ijcv16", "prior"])
    with pytest.raises(ConfigError, match=r"searches ijcv16, cvpr15 do not use the prior model; add ijcv16\+prior"):
        measure_inversions(network, images, ["first"], ["ijcv16", "cvpr15"], prior_model=lambda seen: seen)


def test_the_command_writes_values_and_a_sheet(tmp_path, monkeypatch, capsys):
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(photographs(5, 40).astype(np.uint8)):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    monkeypatch.setattr("preimage.cli.load_network_of", lambda args: tiny_network())
    words = ["--images", str(tmp_path / "photos"), "--limit", "3", "--layers", "first", "last", "--set", *SHORT]
    paths = ["--out", str(tmp_path / "results"), "--sheet", str(tmp_path / "sheet.png")]
    assert measure.main([*words, *paths, "--name", "tiny", "--searches", "ijcv16"]) == 0
    printed = json.loads((tmp_path / "results" / "inversions-tiny.json").read_text())
    assert printed["images"] == ["0.png", "2.png", "4.png"]
    first = printed["rows"][0]
    assert first["metrics"]["feature_error"] == pytest.approx(np.mean(first["feature_errors"]), abs=1e-4)
    assert capsys.readouterr().out.count("| ijcv16 |") == 2
    height = Image.open(tmp_path / "sheet.png").size[1]
    assert height >= 3 * tiny_network().size, "the photographs and a row for each layer"


def test_too_few_images_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("preimage.cli.load_network_of", lambda args: tiny_network())
    Image.fromarray(photographs(1, 40)[0].astype(np.uint8)).save(tmp_path / "one.png")
    assert measure.main(["--images", str(tmp_path), "--layers", "first", "--out", str(tmp_path / "r")]) == 2
    assert "got 1 images to invert, expected 2 or more" in capsys.readouterr().err
    assert not list((tmp_path / "r").iterdir())


def test_values_are_means_over_images(network):
    row = measure_inversions(network, photographs(2, network.size), ["first"], ["ijcv16"], settings=SHORT)[0]
    numbers = row.to_row()
    assert numbers.metrics["gradients"] == pytest.approx(row.gradients.mean(), abs=1e-5)
    difference = abs(row.gradients[0] - row.gradients[1])
    assert numbers.std["gradients"] == pytest.approx(difference / np.sqrt(2), abs=1e-5)
    assert "second_network_top5" not in numbers.metrics
