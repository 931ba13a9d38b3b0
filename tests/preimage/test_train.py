"""Training classifiers on drawn images of two domains: it learns, resumes bit for bit, and loads as a network."""

import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import preimage
from datasets.pacs import read_pacs
from preimage import invert, train
from preimage.classifier.config import CLASSIFIERS, ClassifierConfig
from preimage.classifier.images import choose
from preimage.classifier.model import build_classifier, load_classifier
from preimage.classifier.training import ViewBatches
from preimage.networks.network import Network
from vislang.backbones.weights import fingerprint
from vislang.core.errors import CheckpointError, ConfigError
from vislang.images.preprocess import find_preprocessing
from vislang.training.callbacks import ResumableTraining

SCRATCH = ["channels=4,6", "preprocessing=squash-64-tf/v1", "batch_size=4", "updates=6", "save_every=2"]
SCRATCH += ["learning_rate=0.01"]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    """Two domains of two classes that differ in colour."""
    folder, random = tmp_path_factory.mktemp("pacs"), np.random.default_rng(0)
    for domain in ("photo", "sketch"):
        for label, colour in (("lake", (30, 60, 220)), ("rose", (220, 40, 50))):
            (folder / domain / label).mkdir(parents=True)
            for number in range(8):
                image = np.clip(np.array(colour) + random.normal(0, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(image).save(folder / domain / label / f"{number}.png")
    return folder


def arguments(pacs, out, *settings, config="scratch", domains=("photo",), seed=1, more=()):
    words = ["--data", pacs, "--domains", *domains, "--preset", config, "--out", out, "--seed", seed, *more]
    for setting in settings:
        words += ["--set", setting]
    return list(map(str, words))


@pytest.fixture(scope="module")
def scratch(pacs, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "scratch"
    assert train.main(arguments(pacs, out, *SCRATCH)) == 0
    return out


def test_stopped_and_resumed_equals_never_stopped(pacs, scratch, tmp_path, monkeypatch):
    save = ResumableTraining.on_epoch_end

    def stop_after_the_first(self, epoch, logs=None):
        save(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ResumableTraining, "on_epoch_end", stop_after_the_first)
        assert train.main(arguments(pacs, tmp_path, *SCRATCH)) == 130
    assert len(json.loads((tmp_path / "history.json").read_text())) == 1
    assert load_classifier(tmp_path).classes == ("lake", "rose")
    assert train.main(arguments(pacs, tmp_path, *SCRATCH)) == 0
    histories = [json.loads((folder / "history.json").read_text()) for folder in (scratch, tmp_path)]
    for row in [*histories[0], *histories[1]]:
        row.pop("seconds")
    assert histories[0] == histories[1]
    assert len(histories[0]) == 3
    weights = [load_classifier(folder).model.get_weights() for folder in (scratch, tmp_path)]
    assert fingerprint(weights[0]) == fingerprint(weights[1])
    assert train.main(arguments(pacs, tmp_path, *SCRATCH, seed=2)) == 2


def test_the_folder_says_what_was_learned_from(pacs, scratch):
    printed = json.loads((scratch / "config.json").read_text())
    assert (printed["kind"], printed["classes"], printed["domains"]) == ("classifier", ["lake", "rose"], ["photo"])
    assert {split: len(ids) for split, ids in printed["images"].items()} == {"train": 10, "dev": 2}
    assert all((pacs / image_id).is_file() and image_id.startswith("photo/") for image_id in printed["images"]["train"])


def test_a_trained_folder_is_a_network_with_classes_and_layers(pacs, scratch, tmp_path, capsys):
    network = preimage.load_network(scratch)
    assert network.classes == ("lake", "rose")
    assert {"grid", "pooled", "scores", "conv1", "relu2", "pool1"} <= set(network.layer_names)
    assert network.shape("grid") == (32, 32, 6)
    image = pacs / "photo" / "rose" / "0.png"
    classes = preimage.classify_images(network, image).labels[0]
    assert {one.name for one in classes} == {"lake", "rose"}
    assert preimage.load_network(scratch, size=96).shape("grid") == (48, 48, 6)
    line = ["--model", scratch, "--layer", "relu2", "--images", image, "--out", tmp_path / "inverted.png"]
    assert invert.main([*map(str, line), "--set", "iterations=2,1"]) == 0
    assert "feature_error" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="holds its own weights"):
        preimage.load_network(scratch, weights="other.h5")


@pytest.mark.slow
def test_finetuning_first_trains_the_last_layer_alone(pacs, tmp_path, capsys):
    settings = ["backbone=compact_scenes", "batch_size=8", "save_every=10", "updates=20", "head_updates=10"]
    line = arguments(pacs, tmp_path, *settings, config="finetuned", domains=("photo", "sketch"), more=["--json"])
    start = load_trunk(build_classifier(ClassifierConfig(backbone="compact_scenes"), ["a", "b"]).model)
    seen = []
    save = ResumableTraining.on_epoch_end

    def analysis(self, epoch, logs=None):
        seen.append(load_trunk(self.saved_model))
        save(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableTraining, "on_epoch_end", analysis)
        assert train.main(line) == 0
    assert fingerprint(seen[0]) == fingerprint(start)
    assert fingerprint(seen[1]) != fingerprint(start)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["images"], printed["dev_images"], printed["dev_accuracy"]) == (10, 2, 100.0)


def load_trunk(model):
    """Return the weights of all layers but the last."""
    return [weight for layer in model.layers[:-1] for weight in layer.get_weights()]


def test_rates_fall_by_a_cosine_after_the_head():
    config = ClassifierConfig(updates=60, save_every=10, head_updates=20, head_rate=0.5, learning_rate=1.0)
    rates = [config.rate(epoch) for epoch in range(config.epochs)]
    assert rates[:2] == [0.5, 0.5]
    # A cosine over four epochs, at 1/8, 3/8, 5/8 and 7/8 of the way.
    np.testing.assert_allclose(rates[2:], [0.9619, 0.6913, 0.3087, 0.0381], atol=1e-4)


def test_every_image_is_shown_equally_often_and_an_epoch_knows_its_views():
    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 255, (30, 30, 3), dtype=np.uint8)) for _ in range(6)]
    config = ClassifierConfig(batch_size=4, save_every=3, updates=6, head_updates=0)

    def epochs(first, count):
        preprocessing = find_preprocessing("squash-64-tf/v1")
        batches = ViewBatches(images, np.arange(6), config=config, preprocessing=preprocessing, seed=5)
        for epoch in range(first, first + count):
            batches.start_at(epoch)
            yield [batches[number] for number in range(len(batches))]

    whole = list(epochs(0, 2))
    assert np.bincount(np.concatenate([labels for _, labels in whole[0]])).tolist() == [2] * 6
    (taken_up,) = epochs(1, 1)
    for (views, labels), (again, same) in zip(whole[1], taken_up, strict=True):
        np.testing.assert_array_equal(views, again)
        np.testing.assert_array_equal(labels, same)
    assert not np.array_equal(whole[0][0][0], whole[1][0][0])
    assert whole[0][0][0].shape == (4, 64, 64, 3)
    assert -1 <= whole[0][0][0].min() < whole[0][0][0].max() <= 1


def test_per_class_chooses_how_many_images(pacs, tmp_path):
    for per_class, expected in ((2, 4), (0, 20)):
        args = train.build_parser().parse_args(
            arguments(pacs, tmp_path, domains=("photo", "sketch"), more=["--per-class", per_class])
        )
        assert len(choose(read_pacs(args.data), "train", args)) == expected


def test_a_broken_image_is_left_out_and_reported(pacs, tmp_path, capsys):
    data = tmp_path / "pacs"
    shutil.copytree(pacs, data)
    args = train.build_parser().parse_args(arguments(data, tmp_path / "run"))
    broken = choose(read_pacs(data), "train", args)[0]
    broken.path.write_text("no picture")
    assert train.main(arguments(data, tmp_path / "run", *SCRATCH, "updates=2", more=["--json"])) == 3
    printed = capsys.readouterr()
    assert f"skipped {broken.image_id}" in printed.err
    assert json.loads(printed.out)["images"] == 9
    assert broken.image_id not in json.loads((tmp_path / "run" / "config.json").read_text())["images"]["train"]


def test_a_split_of_broken_images_is_refused_by_the_name_of_its_own(pacs, tmp_path, capsys):
    data = tmp_path / "pacs"
    shutil.copytree(pacs, data)
    args = train.build_parser().parse_args(arguments(data, tmp_path / "run"))
    records = read_pacs(data)
    choose(records, "train", args)[0].path.write_text("no picture")
    dev = choose(records, "dev", args)
    for record in dev:
        record.path.write_text("no picture")
    assert train.main(arguments(data, tmp_path / "run", *SCRATCH)) == 2
    (printed,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert f"none of {len(dev)} images can be read, first {dev[0].image_id}" in printed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"domains": ["phto"]}, "unknown domain 'phto'; did you mean photo"),
        ({"more": ["--backbone", "vgg16"]}, "--preset scratch has no backbone, got --backbone vgg16"),
        ({"more": ["--per-class", "99"]}, "99 images of each class take 99 of photo/lake, which has 5"),
        ({"config": "finetuned", "more": ["--backbone", "vgg61"]}, "unknown backbone 'vgg61'; did you mean vgg19"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(pacs, tmp_path, capsys, change, reason):
    assert train.main(arguments(pacs, tmp_path / "run", **change)) == 2
    (printed,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("error")]
    assert reason in printed
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"channels": ()}, "channels"),
        ({"channels": ("a",)}, "channels got a, expected a whole number, or several separated by commas"),
        ({"updates": 0}, "updates got 0"),
        ({"updates": 50, "save_every": 12}, "expected multiples of save_every 12"),
        ({"head_updates": 96}, "head_updates got 96"),
        ({"dropout": 1.0}, "dropout got 1.0"),
        ({"min_area": 0.0}, "min_area got 0.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        ClassifierConfig(**settings)


def test_a_damaged_folder_is_refused(scratch, tmp_path):
    for name, reason in (
        ("architecture.json", "no network that can be read"),
        ("model.weights.h5", "model.weights.h5"),
    ):
        folder = tmp_path / name
        shutil.copytree(scratch, folder)
        (folder / name).unlink()
        with pytest.raises(CheckpointError, match=reason):
            preimage.load_network(folder)
    with pytest.raises(ConfigError, match="expected two or more"):
        build_classifier(CLASSIFIERS["scratch"], ["one"])


def test_the_scratch_preset_sees_most_of_the_image_at_its_last_map():
    built = build_classifier(CLASSIFIERS["scratch"], ["a", "b"])
    network = Network("scratch", built.model, built.preprocessing, built.layers)
    assert network.receptive_field("grid").side == 80
    assert network.shape("grid") == (6, 6, 192)
    assert isinstance(built.model.layers[-1], keras.layers.Dense)
