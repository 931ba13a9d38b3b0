"""Bundling a trained model: its weights, its evaluation, its model card."""

import json

import numpy as np
import pytest

from app.bundle.model_card import read_model_card
from app.bundle.pack import main, write_packed
from app.bundle.packed_models import PACKED_MODELS
from vislang.core.bundled_models import cards, verify
from vislang.core.config import to_json
from vislang.text.vocabulary import Vocabulary
from vislang.training import checkpoints


def ranker(folder, toy_data, **changes):
    """An untrained ranker over the toy features, as training would leave it."""
    from vse.config import VseConfig
    from vse.model import Ranker

    config = VseConfig(hidden_dim=12, embed_dim=12, word_dim=6, tokenizer="treebank", epochs=1)
    vocabulary = Vocabulary(["a", "the", "on", "is"])
    data = {
        "dataset": "karpathy",
        "folder": str(toy_data),
        "cache": str(toy_data / "features.h5"),
        "options": [],
        "fingerprint": "d",
    }
    description = {"kind": "vse", "preset": "bundled", "config": to_json(config), "seed": 0, "num_features": 24}
    description |= {"backbone": {"name": "toy", "weights": {"pooled": "f" * 64}}, "data": data | {"fingerprint": "d"}}
    description["config"] |= changes
    checkpoints.start_checkpoint(folder, description, vocabulary)
    network = Ranker(config, len(vocabulary), 24)
    checkpoints.save_weights(network, folder)
    (folder / "history.json").write_text('[{"seconds": 3.0}]')
    return network


def words(tmp_path, toy_data):
    places = {"model": tmp_path / "run", "data": toy_data, "cache": toy_data / "features.h5"}
    places |= {"results": tmp_path / "results", "out": tmp_path / "bundled", "name": "ranker"}
    return [word for name, place in places.items() for word in (f"--{name}", str(place))]


def test_a_bundled_model_scores_as_its_card_says_and_names_no_local_path(toy_data, tmp_path, capsys):
    import vse

    network = ranker(tmp_path / "run", toy_data)
    assert main(words(tmp_path, toy_data)) == 0
    assert sorted(path.name for path in (tmp_path / "bundled").iterdir()) == ["ranker", "ranker.json"]
    verify(tmp_path / "bundled" / "ranker")
    card = cards(tmp_path / "bundled")["ranker"]
    (result,) = (tmp_path / "results").glob("retrieval-vse-*.json")
    metrics = json.loads(result.read_text())["metrics"]
    (scores,) = card["scores"]
    assert scores["i2t_r10"] == round(metrics["i2t_r10"], 1)
    assert scores["intervals"].keys() >= {"i2t_r1", "t2i_r10"}
    assert card["seconds"] == 3.0
    assert card["intended_use"].startswith("Retrieval of everyday photographs")
    assert "--preset bundled" in card["command"]
    assert str(toy_data) not in (tmp_path / "bundled" / "ranker" / "config.json").read_text()
    loaded = vse.load_model(tmp_path / "bundled" / "ranker").network
    for found, expected in zip(loaded.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1 / 400, atol=1e-5)


def test_a_model_of_several_data_sets_is_measured_on_each(toy_data, tmp_path, capsys):
    ranker(tmp_path / "run", toy_data)
    path = tmp_path / "run" / "config.json"
    description = json.loads(path.read_text())
    first = description["data"] | {"folder": "/home/me/data/coco", "cache": "/home/me/runs/features/coco.h5"}
    second = first | {"folder": "/home/me/mine/pseudo", "cache": "/home/me/mine/more.h5"}
    path.write_text(json.dumps(description | {"data": first | {"others": [second]}, "sampling": [1.0, 2.5]}))
    cache = str(toy_data / "features.h5")
    several = ["--dataset", "karpathy", "karpathy", "--data", str(toy_data), str(toy_data), "--split", "test", "dev"]
    assert main([*words(tmp_path, toy_data), *several, "--cache", cache]) == 2
    assert "--cache got 1 values for 2 folders of --data, expected one for each" in capsys.readouterr().err
    assert main([*words(tmp_path, toy_data), *several, "--cache", cache, cache]) == 0
    card = cards(tmp_path / "bundled")["ranker"]
    assert [row["on"].split(", ")[:2] for row in card["scores"]] == [["karpathy", "test"], ["karpathy", "dev"]]
    assert "--dataset karpathy karpathy --seed 0 --data data/coco data/pseudo" in card["command"]
    assert "--cache runs/features/coco.h5 runs/features/more.h5 --sampling 1 2.5 --out" in card["command"]
    assert card["data"].startswith("split train of karpathy and pseudo; ")
    assert "/home" not in (tmp_path / "bundled" / "ranker" / "config.json").read_text()


def test_the_calibration_is_packed(toy_data, tmp_path):
    ranker(tmp_path / "run", toy_data)
    (tmp_path / "run" / "calibration.json").write_text('{"temperature": 0.9}')
    write_packed(tmp_path / "run", checkpoints.read_settings(tmp_path / "run", "vse"), tmp_path / "packed", 0.0)
    assert (tmp_path / "packed" / "calibration.json").read_text() == '{"temperature": 0.9}'


def test_packing_again_replaces_and_a_fault_leaves_what_was_there(toy_data, tmp_path, capsys):
    ranker(tmp_path / "run", toy_data)
    assert main(words(tmp_path, toy_data)) == 0
    before = (tmp_path / "bundled" / "ranker.json").read_text()
    (tmp_path / "run" / "model.weights.h5").write_bytes(b"broken")
    assert main(words(tmp_path, toy_data)) in (1, 2)
    assert (tmp_path / "bundled" / "ranker.json").read_text() == before
    verify(tmp_path / "bundled" / "ranker")


@pytest.mark.parametrize("kept", [{"consensus_images": 20}])
def test_a_model_that_keeps_training_captions_is_refused(toy_data, tmp_path, capsys, kept):
    ranker(tmp_path / "run", toy_data, **kept)
    assert main(words(tmp_path, toy_data)) == 2
    assert "holds captions of its training data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words_of_error", "more"),
    [
        ("holds a model of kind 'vse', expected 'captioner' for explainer", ["--name", "explainer"]),
        ("invalid choice: 'rnaker'", ["--name", "rnaker"]),
    ],
)
def test_a_model_of_another_kind_is_refused(toy_data, tmp_path, capsys, words_of_error, more):
    ranker(tmp_path / "run", toy_data)
    try:
        code = main([*words(tmp_path, toy_data), *more])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert words_of_error in capsys.readouterr().err


@pytest.mark.parametrize("name", [*PACKED_MODELS, "compact-scenes"])
def test_every_bundled_model_has_its_prose(name):
    card = read_model_card(name)
    assert all(10 < len(text) < 200 for text in (card.description, card.intended_use, card.limitations))
    assert cards()[name if name in PACKED_MODELS else f"{name}.weights.h5"]["limitations"] == card.limitations
