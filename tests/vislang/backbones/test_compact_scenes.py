import hashlib
import json

import numpy as np
import pytest

from app.bundle.train_scenes import SCENE_SEED, head_losses, main, save_half, unseen_pair_mask
from vislang.backbones.compact_scenes import INPUT_SIZE, SCENES_WEIGHTS, build_compact_scenes


@pytest.fixture(scope="module")
def trained():
    network = build_compact_scenes()
    network.load_weights(SCENES_WEIGHTS)
    return network


def test_layers_have_the_promised_shapes():
    import keras

    network = build_compact_scenes(16)
    assert network.input_shape == (None, INPUT_SIZE, INPUT_SIZE, 3)
    both = keras.Model(network.input, [network.get_layer("grid").output, network.get_layer("pooled").output])
    grid, pooled = both(np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32))
    assert grid.shape == (2, 8, 8, 16)
    np.testing.assert_allclose(np.mean(grid, axis=(1, 2)), pooled, atol=1e-6)
    assert np.min(grid) >= 0


def test_the_card_belongs_to_the_weights():
    card = json.loads(SCENES_WEIGHTS.with_name("compact-scenes.json").read_text())
    assert card["sha256"] == hashlib.sha256(SCENES_WEIGHTS.read_bytes()).hexdigest()
    assert SCENES_WEIGHTS.stat().st_size < 1_000_000
    assert card["licence"] == "Apache-2.0"
    command = "python -m app.bundle.train_scenes --out vislang/pretrained/compact-scenes.weights.h5"
    assert card["command"].startswith(command)


@pytest.mark.slow
def test_trained_cells_tell_new_pairs_of_colour_and_shape(trained):
    """Mean cells of each shape and colour in train must also be the nearest where a shape has a colour it never had."""
    import keras

    from datasets.scenes.cell_labels import draw_labelled_scenes

    grid = keras.Model(trained.input, trained.get_layer("grid").output)

    def cells(split, count):
        scenes = draw_labelled_scenes(split, count, seed=99, workers=1)
        features = grid.predict(scenes.images.astype(np.float32) / 127.5 - 1, verbose=0)
        seen = scenes.cell_shape > 0
        return features[seen], scenes.cell_shape[seen], scenes.cell_colour[seen]

    features, shapes, colours = cells("train", 160)
    unseen, unseen_shapes, unseen_colours = cells("test", 40)

    def share_right(labels, truth):  # nearest mean under the covariance within classes (Fisher's linear discriminant)
        means = np.stack([features[labels == label].mean(axis=0) for label in range(1, labels.max() + 1)])
        within = np.cov((features - means[labels - 1]).T)
        within += 0.1 * np.trace(within) / len(within) * np.eye(len(within))
        away = unseen[:, None] - means  # [cells, classes, channels]
        return np.mean(1 + np.einsum("ncd,de,nce->nc", away, np.linalg.inv(within), away).argmin(axis=1) == truth)

    assert share_right(shapes, unseen_shapes) > 0.5  # chance is 0.07; 0.58 when written
    assert share_right(colours, unseen_colours) > 0.8  # chance is 0.13; 0.94 when written


def test_unseen_pairs_are_masked():
    table = unseen_pair_mask()
    assert (table < 0).sum() == 42
    assert (table[0] == 0).all()
    assert (table[:, 0] == 0).all()


def test_losses_ignore_unknown_labels_and_unseen_pairs():
    losses = head_losses()
    logits = np.zeros((1, 8, 8, 15), np.float32)
    labels = np.zeros((1, 8, 8, 2), np.int32)
    assert float(losses["cell_shape"](labels, logits)) == pytest.approx(np.log(15))
    labels[..., 1] = 1  # one colour: the shapes that train never shows in it do not compete
    allowed = int((unseen_pair_mask()[1] == 0).sum())
    assert allowed < 15
    assert float(losses["cell_shape"](labels, logits)) == pytest.approx(np.log(allowed))
    labels[..., 1] = -1
    assert float(losses["cell_shape"](labels, logits)) == pytest.approx(np.log(15))
    assert float(losses["cell_colour"](labels, np.ones((1, 8, 8, 9), np.float32))) == 0
    assert float(losses["colour_of"](np.full((1, 14), -1), np.ones((1, 14, 8), np.float32))) == 0
    known = np.array([[1.0, 0.0, -1.0]], np.float32)
    assert float(losses["present"](known, np.zeros((1, 3), np.float32))) == pytest.approx(np.log(2))


def test_half_precision_survives_saving(tmp_path):
    network = build_compact_scenes(16)
    network.set_weights([w.astype(np.float16).astype(np.float32) for w in network.get_weights()])
    import vislang.backbones.compact_scenes

    digest = save_half(network, tmp_path / "a.weights.h5")
    assert digest == save_half(network, tmp_path / "b.weights.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.weights.h5", "b.weights.h5"]
    again = vislang.backbones.compact_scenes.build_compact_scenes(16)
    again.load_weights(tmp_path / "a.weights.h5")
    for one, other in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_command_trains_and_writes_a_card(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("app.bundle.train_scenes._NUM_TEST", 8)
    out = tmp_path / "tiny.weights.h5"
    assert main(["--out", str(out), "--scenes", "64", "--epochs", "1"]) == 0
    card = json.loads((tmp_path / "tiny.json").read_text())
    assert card["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert str(SCENE_SEED) in card["data"]
    assert f"{out.stat().st_size / 1e6:.2f} MB" in capsys.readouterr().out
    build_compact_scenes().load_weights(out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x.h5"], "--out got 'x.h5', expected a file name ending in .weights.h5"),
        (["--out", "x.weights.h5", "--scenes", "10"], "got --scenes 10 --epochs 12, expected at least 64 scenes"),
        (["--out", "x.weights.h5", "--epochs", "0"], "--epochs 0, expected at least 64 scenes and 1 epoch"),
    ],
)
def test_impossible_settings(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err
