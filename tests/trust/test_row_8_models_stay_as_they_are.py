"""Row 8 of docs/trust.md: nothing is written into the folder of a model, nor beside a cache, without being asked."""

import pytest
import training_runs

from captioner.config import CaptionerConfig
from captioner.models.ensemble import Captioner
from eval import compare, run
from vislang.core import bundled_models
from vislang.core.config import to_json
from vislang.text.vocabulary import Vocabulary
from vislang.training import checkpoints
from vse import train
from vse.config import VseConfig
from vse.model import Ranker

WORDS = Vocabulary(["a", "the", "dog", "is"])


def model(folder, kind, config, network):
    """Write an untrained model of the toy features, as if it came from elsewhere."""
    description = {"kind": kind, "preset": "best", "config": to_json(config), "seed": 0, "num_features": 24, "data": {}}
    description |= {"backbone": {"name": "toy", "weights": {"pooled": "f" * 64}}}
    checkpoints.start_checkpoint(folder, description, WORDS)
    checkpoints.save_weights(network, folder)
    return folder


def ranker(folder):
    config = VseConfig(hidden_dim=12, embed_dim=12, word_dim=6, layers=("pooled",), tokenizer="treebank")
    return model(folder, "vse", config, Ranker(config, len(WORDS), 24))


def content(*folders):
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def words(task, checkpoint, toy_data, out):
    places = ["--data", str(toy_data), "--cache", str(toy_data / "features.h5"), "--out", str(out)]
    return [task, "--model", str(checkpoint), "--dataset", "karpathy", *places]


def test_row_8_a_measured_ranker_stays_as_it_is_and_is_compared(toy_data, tmp_path, capsys):
    one = ranker(tmp_path / "one" / "ranker")
    other = ranker(tmp_path / "other" / "ranker")
    before = content(one, other, toy_data)
    for checkpoint in (one, other):
        assert run.main(words("retrieval", checkpoint, toy_data, tmp_path / "out")) == 0
    assert content(one, other, toy_data) == before
    kept = list((tmp_path / "out" / "by-image").iterdir())
    assert len(kept) == 2, "models of one name do not replace each other's ranks"
    assert compare.main([str(one), str(other), "--results", str(tmp_path / "out"), "--resamples", "40"]) == 0
    assert "rsum" in capsys.readouterr().out


def test_row_8_a_measured_captioner_and_its_cache_stay_as_they_are(toy_data, tmp_path):
    config = CaptionerConfig(
        model="lstm", word_dim=8, hidden_dim=8, layers=("pooled",), ensemble_size=1, beam=2, decode_words=3
    )
    captioner = model(tmp_path / "captioner", "captioner", config, Captioner(config, len(WORDS), 24))
    before = content(captioner, toy_data)
    assert run.main(words("captions", captioner, toy_data, tmp_path / "out")) == 0
    assert content(captioner, toy_data) == before
    kept = sorted(path.name.split("-")[1] for path in (tmp_path / "out" / "by-image").iterdir())
    assert kept == ["captioner", "consensus", "nearest"]


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled_models, "PRETRAINED", tmp_path)
    return ranker(tmp_path / "ranker")


def test_row_8_bundled_models_are_no_place_for_a_training(bundled, toy_data, capsys):
    before = content(bundled)
    assert train.main(training_runs.arguments(toy_data, bundled, preset="best")) == 2
    assert f"error: {bundled} is a bundled model, which must not change" in capsys.readouterr().err
    assert content(bundled) == before
