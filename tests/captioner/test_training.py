"""The training command: learns, goes on bit for bit after being killed, refuses what cannot work, reads back."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import training_runs
from training_runs import assert_equal_runs, history, killed_run

from captioner import train
from captioner.inference import TrainedCaptioner
from captioner.training.cross_entropy import encode_caption, start_biases
from datasets import registry
from datasets.records import of_split
from eval import run
from eval.metrics.calibration import expected_calibration_error
from eval.results.kinds import CalibrationResult
from eval.results.result import read_results
from eval.tables.sections import table_section
from vislang.core.errors import CheckpointError, DataError
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache
from vislang.text.vocabulary import END

SMALL = [
    "layers=pooled",
    "hidden_dim=24",
    "word_dim=24",
    "attention_dim=24",
    "batch_size=20",
    "min_count=1",
    "decode_words=12",
    "beam=5",
]
NO_DROPOUT = ["embedding_dropout=0", "image_dropout=0", "output_dropout=0"]
ALONE = ["ensemble_size=1", "scorer_weight=0", "scorers=0", "consensus_images=0", "consensus_weight=0"]


def arguments(toy_data, out, *settings, config="best", seed=1):
    return training_runs.arguments(toy_data, out, *SMALL, *settings, preset=config, seed=seed)


def captions_as_numbers(model, toy_data, split):
    records = of_split(registry.read("karpathy", toy_data), split)
    return [encode_caption(caption, model.config, model.vocabulary) for one in records for caption in one.captions]


def perplexity_of_frequencies(model, toy_data) -> float:
    """That of the dev captions for who knows how often each word comes in training and nothing else."""
    biases = start_biases(captions_as_numbers(model, toy_data, "train"), len(model.vocabulary)).astype(np.float64)
    log_probs = biases - np.log(np.exp(biases).sum())
    return np.exp(-np.mean(log_probs[np.concatenate(captions_as_numbers(model, toy_data, "dev"))]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ("karpathy", ["epochs=20", "learning_rate=0.003"]),
        ("neuraltalk", ["epochs=30"]),
        ("best", ["epochs=25", "learning_rate=0.02", "layers=grid"]),
        (
            "best",
            [*ALONE, "epochs=20", "learning_rate=0.01", "recurrent_layers=2", "layers=pooled,grid", "tied_words=false"],
        ),
    ],
)
def test_each_preset_learns_more_than_word_frequencies(toy_data, tmp_path, config, settings, capsys):
    settings = [*NO_DROPOUT, "label_smoothing=0", *settings]
    assert train.main([*arguments(toy_data, tmp_path / "run", *settings, config=config), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    model = TrainedCaptioner.read(tmp_path / "run")
    assert row["epoch"] == model.config.epochs
    assert row["perplexity"] < 0.4 * perplexity_of_frequencies(model, toy_data)
    assert row["cider"] > 0.5  # it would be 0 if all images got the same words


@pytest.mark.slow
def test_training_starts_from_word_frequencies(toy_data, tmp_path):
    settings = ["epochs=1", "learning_rate=1e-9"]
    assert train.main(arguments(toy_data, tmp_path / "run", *settings, config="karpathy")) == 0
    expected = perplexity_of_frequencies(TrainedCaptioner.read(tmp_path / "run"), toy_data)
    assert history(tmp_path / "run")[0]["perplexity"] == pytest.approx(expected, rel=0.01)


ALL_CHANCE = ["layers=grid", "scheduled_sampling=0.5", "word_dropout=0.2", "epochs=4"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "epochs_done", "config", "settings"),
    [
        (("on_train_batch_end", 23), 2, "best", [*ALL_CHANCE, "learning_rate=0.01"]),
        (("_save", 2), 2, "karpathy", ["epochs=3", "batching=shuffled"]),  # after the weights, before the state
    ],
)
def test_killed_and_resumed_equals_never_stopped(toy_data, tmp_path, capsys, moment, epochs_done, config, settings):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train.main(arguments(toy_data, whole, *settings, config=config)) == 0
    killed_run("captioner.train", *moment, arguments(toy_data, cut, *settings, config=config))
    assert len(history(cut)) == epochs_done
    assert TrainedCaptioner.read(cut)
    assert train.main(arguments(toy_data, cut, *settings, "max_words=9", config=config)) == 2
    assert "holds another run (its config differ)" in capsys.readouterr().err
    assert train.main(arguments(toy_data, cut, *settings, config=config)) == 0
    assert "resuming after epoch" in capsys.readouterr().err
    assert_equal_runs(whole, cut)
    assert TrainedCaptioner.read(whole).fingerprint == TrainedCaptioner.read(cut).fingerprint


@pytest.fixture(scope="module")
def finished(toy_data, tmp_path_factory) -> Path:
    """A finished run of two epochs."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert train.main(arguments(toy_data, folder, "epochs=2", config="karpathy")) == 0
    return folder


def test_the_checkpoint_holds_the_weights_that_scored_best(toy_data, finished):
    records, cache = of_split(registry.read("karpathy", toy_data), "dev"), open_cache(toy_data / "features.h5")
    ids, captions = [one.image_id for one in records], [one.captions for one in records]
    best = max(history(finished), key=lambda row: row["score"])
    model = TrainedCaptioner.read(finished)
    assert model.perplexity(cache, ids, captions) == pytest.approx(best["perplexity"], rel=1e-5)
    assert best["score"] == -best["perplexity"] == best["best"]
    assert len(model.caption_cached(cache, ids)) == len(ids)


def test_perplexity_is_that_of_every_word_and_end_mark(toy_data, finished):
    records, cache = of_split(registry.read("karpathy", toy_data), "train"), open_cache(toy_data / "features.h5")
    model = TrainedCaptioner.read(finished)
    ids = [one.image_id for one in records]  # 40: more than are scored at once
    found = model.perplexity(cache, ids, [one.captions for one in records])
    log_probs = []
    for image, words in zip(np.arange(40).repeat(5), captions_as_numbers(model, toy_data, "train"), strict=True):
        seen = cache.read("toy", "pooled", [ids[image]])[:, None]
        log_probs.append(model.given_log_probs(seen, np.array([words], np.int32))[0])
    assert found == pytest.approx(np.exp(-np.concatenate(log_probs).mean()), rel=1e-5)


def test_a_finished_run_is_left_as_it_is(toy_data, finished):
    files = [finished / "training_state.npz", finished / "calibration.json"]
    before = [file.read_bytes() for file in files]
    assert train.main(arguments(toy_data, finished, "epochs=2", config="karpathy")) == 0
    assert [file.read_bytes() for file in files] == before


def test_calibrating_again_finds_the_same_and_is_measured_by_evaluation(toy_data, finished, tmp_path, capsys):
    before = json.loads((finished / "calibration.json").read_text())
    copy = shutil.copytree(finished, tmp_path / "copy")
    (copy / "calibration.json").unlink()
    words = ["calibration", "--model", str(copy), "--split", "dev", "--out", str(tmp_path), "--json"]
    assert run.main(words) == 2
    assert "is not calibrated; run: vislang eval calibration --fit" in capsys.readouterr().err
    assert run.main([*words, "--fit"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert json.loads((copy / "calibration.json").read_text()) == pytest.approx(before, rel=1e-4)
    assert (tmp_path / "calibration-captioner-karpathy-toy-karpathy-dev.json").is_file()
    assert result["metrics"]["temperature"] == before["temperature"]
    assert 0.0 <= result["metrics"]["ece"] <= 1.0
    (stored,) = read_results(tmp_path, CalibrationResult)
    assert "Reliability of the words" in table_section([stored])
    assert expected_calibration_error(stored.bins) == pytest.approx(stored.metrics["ece"])
    model = TrainedCaptioner.read(finished)
    (captions,) = model.caption_cached(open_cache(toy_data / "features.h5"), ["0.jpg"])
    assert captions[0].trusted == (captions[0].confidence >= 0.5)
    plain = replace(model, calibration=None)
    (expected,) = plain.caption_cached(open_cache(toy_data / "features.h5"), ["0.jpg"])
    assert (captions[0].text, captions[0].log_prob) == (expected[0].text, expected[0].log_prob)
    assert expected[0].confidence is None
    assert np.prod(expected[0].probabilities) == pytest.approx(np.exp(expected[0].log_prob), rel=1e-3)


def test_another_seed_or_features_of_other_weights_are_refused(toy_data, finished, tmp_path, capsys):
    words = arguments(toy_data, finished, "epochs=2", config="karpathy")
    assert train.main([*words, "--seed", "2"]) == 2
    assert "holds another run (its seed differ)" in capsys.readouterr().err
    cache = open_cache(toy_data / "features.h5")
    other = FeatureKey("toy", "pooled", "none", "e" * 64)
    import_rows(tmp_path / "other.h5", cache.ids, cache.read("toy", "pooled", cache.ids), other)
    assert train.main([*words, "--cache", str(tmp_path / "other.h5")]) == 2
    assert "holds another run (its backbone differ)" in capsys.readouterr().err
    with pytest.raises(DataError, match="was made with weights eeee.*expected ffff"):
        TrainedCaptioner.read(finished).caption_cached(open_cache(tmp_path / "other.h5"), ["1.jpg"])


@pytest.mark.parametrize("damage", ["model.weights.h5", "config.json", "vocabulary.json"])
def test_a_damaged_checkpoint_is_refused(finished, tmp_path, damage):
    for name in ("model.weights.h5", "config.json", "vocabulary.json"):
        content = (finished / name).read_bytes()
        (tmp_path / name).write_bytes(content[:40] if name == damage else content)
    with pytest.raises(CheckpointError, match=damage):
        TrainedCaptioner.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--set", "epoch=3"], "did you mean epochs"),
        (["--set", "model=gru"], "model got 'gru', expected one of"),
        (["--set", "attention_heads=5"], "attention_heads got 5, expected a divisor of attention_dim 24"),
        (["--set", "layers="], "layers got nothing, expected one or more"),
        (["--option", "restvall=drop"], "did you mean restval"),
        (["--backbone", "vgg19"], "has no vgg19/grid, it holds"),
        (["--set", "layers=region"], "has no toy/region"),
        (["--cache", "nowhere.h5"], "nowhere.h5"),
        (["--out", "/proc/nowhere"], "cannot write into /proc/nowhere"),
        (["--set", "min_count=1000"], "no word is left for the vocabulary"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(toy_data, tmp_path, capsys, change, message):
    assert train.main([*arguments(toy_data, tmp_path / "run", "layers=grid"), *change]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "run" / "model.weights.h5").exists()


def test_a_loss_that_is_no_number_ends_the_run(toy_data, tmp_path, capsys):
    settings = ["learning_rate=1e30", "clip_value=0", "epochs=4"]
    assert train.main(arguments(toy_data, tmp_path / "run", *settings, config="karpathy")) == 2
    assert "the loss became" in capsys.readouterr().err


@pytest.mark.slow
def test_an_epochs_weights_can_be_chosen_by_hand(toy_data, tmp_path):
    settings = ["epochs=3", "hidden_dim=8", "word_dim=8", "layers=grid", "best_checkpoints=3", "batch_size=20"]
    assert train.main(arguments(toy_data, tmp_path / "run", *settings, config="ramanishka")) == 0
    kept = sorted((tmp_path / "run").glob("kept-*.weights.h5"))
    assert len(kept) == 3
    best = TrainedCaptioner.read(tmp_path / "run").fingerprint
    found = []
    for weights in kept:
        (tmp_path / "run" / "model.weights.h5").write_bytes(weights.read_bytes())
        found.append(TrainedCaptioner.read(tmp_path / "run").fingerprint)
    assert len(set(found)) == 3
    assert best in found


@pytest.mark.slow
def test_the_training_images_stay_with_the_model_for_consensus_reranking(toy_data, tmp_path):
    settings = ["epochs=1", "layers=grid", "ensemble_size=1", "scorers=1", "consensus_images=3"]
    assert train.main(arguments(toy_data, tmp_path / "run", *settings)) == 0
    records, cache = of_split(registry.read("karpathy", toy_data), "train"), open_cache(toy_data / "features.h5")
    model = TrainedCaptioner.read(tmp_path / "run")
    seen = cache.read("toy", "grid", [one.image_id for one in records]).reshape(len(records), -1, cache_width(cache))
    embeddings = np.asarray(model.network.predict_image_embeddings(seen, np.ones(seen.shape[:2], bool)))
    np.testing.assert_allclose(model.consensus.embeddings, embeddings, atol=1e-3)
    written = [row[row > 0].tolist() + [END] for row in model.consensus.words]
    assert written == captions_as_numbers(model, toy_data, "train")
    assert model.consensus.image_of_caption.tolist() == np.arange(len(records)).repeat(5).tolist()
    dev = [one.image_id for one in of_split(registry.read("karpathy", toy_data), "dev")]
    assert len(model.caption_cached(cache, dev)) == len(dev)


def cache_width(cache) -> int:
    return cache.read("toy", "grid", cache.ids[:1]).shape[-1]
