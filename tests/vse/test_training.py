"""Training: learns, resumes bit for bit after being killed, and refuses what cannot work."""

import json

import numpy as np
import pytest
import training_runs
from hypothesis import given
from hypothesis import strategies as st
from training_runs import assert_equal_runs, history, killed_run, variables

from eval.run import main as evaluate
from vislang.features.cache.manifest import FEATURES, FINISHED, Manifest, ShardState, write_manifest
from vislang.features.cache.reader import import_rows, open_cache
from vislang.training.batching import BATCHING, bucketed_batches, homogeneous_batches
from vislang.training.checkpoints import load_state
from vse import build_index, search, train
from vse.api import load_model

SMALL = ["hidden_dim=16", "embed_dim=16", "word_dim=8", "batch_size=16", "project_sentences=true"]


def arguments(toy_data, out, *settings, config="kiros"):
    return training_runs.arguments(toy_data, out, *SMALL, *settings, preset=config)


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ("kiros", ["validate_updates=5", "epochs=6", "learning_rate=0.01"]),
        ("vsepp", ["epochs=8", "warmup_updates=20", "learning_rate=0.01"]),
        pytest.param(
            "best", ["epochs=6", "layers=pooled", "min_count=1", "learning_rate=0.02"], marks=pytest.mark.slow
        ),
        ("best", ["epochs=6", "layers=grid,pooled", "image_pooling=attention", "attention_heads=2", "ensemble_size=1"]),
        ("kiros", ["encoder=lstm", "validate_updates=0", "epochs=6", "optimizer=adam", "learning_rate=0.01"]),
        ("kiros-bow", ["word_dim=16", "project_sentences=false", "epochs=6", "learning_rate=0.01", "l2=0.0001"]),
    ],
)
def test_each_preset_learns(toy_data, tmp_path, config, settings, capsys):
    assert train.main([*arguments(toy_data, tmp_path / "run", *settings, config=config), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["epoch"] == 6 or config == "vsepp"
    assert row["best"] > 300  # chance on 10 images is about 170
    model = load_model(tmp_path / "run")
    vectors = model.encode_sentences(["a red dog", "", "zebra"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.slow
def test_killed_and_resumed_equals_never_stopped(toy_data, tmp_path):
    settings = [
        "epochs=5",
        "layers=pooled",
        "sentence_dropout=0.3",
        "word_dropout=0.2",
        "image_dropout=0.3",
        "schedule=cosine",
    ]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train.main(arguments(toy_data, whole, *settings, config="best")) == 0
    words = arguments(toy_data, cut, *settings, config="best")
    killed_run("vse.train", "on_train_batch_end", 30, words)
    assert 1 <= len(history(cut)) < 5, "the run was not killed in the middle"
    assert load_model(cut)
    assert train.main(words) == 0
    assert_equal_runs(whole, cut)
    assert load_model(whole).fingerprint == load_model(cut).fingerprint


@pytest.mark.slow
def test_resume_is_exact_where_epochs_pass_without_a_validation(toy_data, tmp_path):
    # 13 updates an epoch, validated every 30: some epochs see no validation.
    settings = ["epochs=5", "validate_updates=30", "batching=bucketed"]
    assert train.main(arguments(toy_data, tmp_path / "whole", *settings)) == 0
    words = arguments(toy_data, tmp_path / "cut", *settings)
    killed_run("vse.train", "on_epoch_end", 3, words)
    assert train.main(words) == 0
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")
    assert load_model(tmp_path / "whole").fingerprint == load_model(tmp_path / "cut").fingerprint


def test_a_folder_of_shards_trains_and_evaluates_as_one_file(toy_data, tmp_path, capsys):
    shards = tmp_path / "shards"
    shards.mkdir()
    states = []
    with open_cache(toy_data / "features.h5") as cache:
        for number, some in enumerate((cache.ids[:25], cache.ids[25:26], cache.ids[26:])):
            for key in cache.layers():
                import_rows(shards / f"0000{number}.h5", some, cache.read("toy", key.layer, some), key)
            states.append(ShardState(f"0000{number}", "", FINISHED, len(some)))
    write_manifest(shards, Manifest(FEATURES, "path", tuple(states)))
    settings = [*SMALL, "epochs=2", "learning_rate=0.01"]
    scores = []
    for name, path in (("file", toy_data / "features.h5"), ("shards", shards)):
        words = training_runs.arguments(toy_data, tmp_path / name, *settings, preset="kiros", cache=path)
        assert train.main([*words, "--device-memory", "0"]) == 0
        capsys.readouterr()
        assert (
            evaluate(["retrieval", "--model", str(tmp_path / name), "--out", str(tmp_path / "results"), "--json"]) == 0
        )
        scores.append(json.loads(capsys.readouterr().out)[0]["metrics"])
    assert_equal_runs(tmp_path / "file", tmp_path / "shards")
    assert scores[0] == scores[1]
    words = ["--model", str(tmp_path / "shards"), "--text", "a red dog", "--json"]
    assert search.main([str(shards), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["indexed"] == 60
    assert search.main([str(toy_data / "features.h5"), *words]) == 0
    assert json.loads(capsys.readouterr().out) == found
    store = ["--store", str(tmp_path / "index"), "--model", str(tmp_path / "shards"), "--json"]
    (tmp_path / "captions.txt").write_text("7.jpg\ta red dog\nnone.jpg\tnothing\n")
    for more, encoded in (([], 60), ([], 0), (["--captions", str(tmp_path / "captions.txt")], 1)):
        assert build_index.main([str(shards), *store, *more]) == 0
        assert json.loads(capsys.readouterr().out)["encoded"] == encoded
    assert build_index.main([str(shards), *store, "--watch"]) == 2
    assert "--watch looks for changed images, got a feature cache" in capsys.readouterr().err
    assert search.main(["--text", "a red dog", *store]) == 0
    assert json.loads(capsys.readouterr().out)["results"] == found["results"]
    assert search.main(["--text", "a red dog", "--caption-words", "dog", *store]) == 0
    assert [row["image"] for row in json.loads(capsys.readouterr().out)["results"]] == ["7.jpg"]


def test_images_without_features_are_left_out_and_named(toy_data, tmp_path, capsys):
    from vislang.features.cache.reader import FeatureKey, import_rows, open_cache

    cache = open_cache(toy_data / "features.h5")
    ids = [name for name in cache.ids if name != "3.jpg"]
    import_rows(
        tmp_path / "part.h5", ids, cache.read("toy", "pooled", ids), FeatureKey("toy", "pooled", "none", "f" * 64)
    )
    words = arguments(toy_data, tmp_path / "run", "epochs=1", "validate_updates=0")
    assert train.main([*words, "--cache", str(tmp_path / "part.h5")]) == 0
    assert "left out of training: 3.jpg, not in" in capsys.readouterr().err


def test_weights_of_other_settings_are_never_taken_over(toy_data, tmp_path, capsys):
    """Killed between its first validation and the end of its first epoch, a run has weights and no state."""
    assert train.main(arguments(toy_data, tmp_path / "run", "epochs=1", "validate_updates=0")) == 0
    (tmp_path / "run" / "training_state.npz").unlink()
    assert train.main(arguments(toy_data, tmp_path / "run", "epochs=1", "validate_updates=0", "margin=0.3")) == 2
    assert "holds another run (its config differ)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--set", "margn=1"], "did you mean margin"),
        (["--set", "encoder=rnn"], "encoder got 'rnn', expected one of"),
        (["--set", "project_sentences=false", "--set", "embed_dim=8"], "set project_sentences=true"),
        (["--set", "encoder=bow"], "'sum' goes with 'bow'"),
        (["--set", "epochs=0"], "epochs got 0, expected 1 or more"),
        (["--set", "sentence_dropout=2"], "sentence_dropout got 2.0, expected 0 to below 1"),
        (["--set", "learning_rate=0"], "learning_rate got 0.0, expected more than 0"),
        (["--set", "validate_updates=-1"], "validate_updates got -1, expected 0 or more"),
        (["--set", "layers="], "layers got nothing, expected one or more"),
        (["--option", "restval"], "expected NAME=VALUE"),
        (["--option", "restvall=drop"], "did you mean restval"),
        (["--dataset", "flikr8k"], "did you mean flickr8k"),
        (["--backbone", "vgg19"], "has no vgg19/pooled, it holds"),
        (["--cache", "nowhere.h5"], "nowhere.h5"),
        (["--out", "/proc/nowhere"], "cannot write into /proc/nowhere"),
        (["--set", "layers=grid,region"], "has no toy/region"),
        (["--set", "layers=pooled@320"], "has no preprocessing of its own"),
        (["--set", "learning_rate=1e30", "--set", "clip_norm=0.0", "--set", "epochs=4"], "the loss became"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(toy_data, tmp_path, capsys, change, message):
    assert train.main([*arguments(toy_data, tmp_path / "run"), *change]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert message in err[-1]
    assert not (tmp_path / "run" / "model.weights.h5").exists()


@pytest.mark.slow
def test_streamed_features_train_as_resident_ones(toy_data, tmp_path, monkeypatch):
    words = ["epochs=2", "validate_updates=0"]
    assert train.main(arguments(toy_data, tmp_path / "resident", *words)) == 0
    from vislang.features.cache.reader import FeatureCache

    whole = FeatureCache.resident
    monkeypatch.setattr(FeatureCache, "resident", lambda *args, **options: whole(*args, **options, budget_bytes=0))
    assert train.main(arguments(toy_data, tmp_path / "streamed", *words)) == 0
    first, second = variables(tmp_path / "resident"), variables(tmp_path / "streamed")
    for name in first:
        np.testing.assert_allclose(first[name], second[name], atol=1e-6)


def test_a_state_of_another_model_is_refused(toy_data, tmp_path):
    from vislang.core.errors import CheckpointError

    assert train.main(arguments(toy_data, tmp_path / "run", "epochs=1", "validate_updates=0")) == 0
    with pytest.raises(CheckpointError, match="variables of another model, expected 1"):
        load_state(tmp_path / "run" / "training_state.npz", [np.zeros(3)])
    state = tmp_path / "run" / "training_state.npz"
    state.write_bytes(state.read_bytes()[:-100])
    assert train.main(arguments(toy_data, tmp_path / "run", "epochs=1", "validate_updates=0")) == 2


@given(st.lists(st.integers(1, 12), min_size=1, max_size=60), st.integers(1, 9), st.sampled_from(sorted(BATCHING)))
def test_every_batching_visits_every_row_once(lengths, size, kind):
    batches = BATCHING[kind](np.array(lengths), size, np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert max(map(len, batches)) <= size
    again = BATCHING[kind](np.array(lengths), size, np.random.default_rng(0))
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in again]


def test_homogeneous_batches_have_one_length_and_take_turns():
    lengths = np.array([3] * 5 + [4] * 3)
    batches = homogeneous_batches(lengths, 2, np.random.default_rng(1))
    kinds = [set(lengths[batch]) for batch in batches]
    assert all(len(kind) == 1 for kind in kinds)
    assert kinds[:4] == [kinds[0], kinds[1]] * 2
    assert kinds[0] != kinds[1]


def test_buckets_waste_little_padding():
    lengths = np.random.default_rng(0).integers(5, 30, 4000)
    batches = bucketed_batches(lengths, 64, np.random.default_rng(0))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.05 * lengths.sum()
