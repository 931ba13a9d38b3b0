"""Training on several devices: on JAX every training has the losses of one device; elsewhere it is refused."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from training_runs import arguments, assert_equal_runs, history, killed_run

from vislang.core.errors import ConfigError
from vislang.features.cache.reader import FeatureKey, import_rows
from vislang.training.batching import bucketed_batches
from vislang.training.devices import several_devices
from vislang.training.epoch_batches import pad_sentences

ROOT = Path(__file__).resolve().parents[3]
TWO_HOST_DEVICES = {  # without optimisation, as compiling takes longer than the short runs
    "KERAS_BACKEND": "jax",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0",
    "PYTHONPATH": str(ROOT),
}
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX: make test-jax")

SMALL = ["hidden_dim=16", "word_dim=8", "min_count=1", "epochs=2", "learning_rate=0.002", "max_words=7"]
RANKER = [*SMALL, "layers=pooled", "embed_dim=16", "batch_size=32"]
CAPTIONER = [*SMALL, "attention_dim=16", "decode_words=6", "beam=2", "batch_size=20", "ensemble_size=1"]
ALIGNER = [*SMALL, "layers=regions-toy,boxes-toy", "joint_dim=16", "batch_size=25"]
# What is trained, by which command, preset and settings. Batches of 25, 27 and 33 do not divide.
ON_CAPTIONS = {
    "ranker": ("vse.train", "best", [*RANKER, "teacher_epochs=1", "ensemble_size=1"]),
    "ranker of hardest negatives": ("vse.train", "vsepp", [*RANKER, "batch_size=33", "warmup_updates=4"]),
    "original ranker": ("vse.train", "kiros", RANKER),
    "captioner": ("captioner.train", "best", [*CAPTIONER, "layers=grid", "scheduled_sampling=0.5"]),
    "S2VT": ("captioner.train", "s2vt", [*CAPTIONER, "layers=grid"]),
    "self-critical captioner": ("captioner.train", "karpathy", [*CAPTIONER, "layers=grid", "self_critical_epochs=1"]),
    "captioner of regions": ("captioner.train", "neuraltalk", [*CAPTIONER, "layers=pooled", "batch_size=27"]),
    "aligner": ("captioner.alignment.train", "best", ALIGNER),
    "original aligner": ("captioner.alignment.train", "karpathy", ALIGNER),
}


def on_two_host_devices(*command: str) -> subprocess.CompletedProcess:
    """Run Python on JAX, with two devices on the processor."""
    words = [sys.executable, *map(str, command)]
    environment = {**os.environ, **TWO_HOST_DEVICES}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)


def histories(module: str, out: Path, words: list[str], folder: str = "") -> list[list[dict]]:
    """Train on one device and on two, and return both histories."""
    words = [word for word in words if word not in ("--out", str(out))]
    done = on_two_host_devices(ROOT / "tests" / "helpers" / "device_runs.py", module, out, *words)
    assert done.returncode == 0, done.stderr[-2000:]
    return [history(out / devices / folder) for devices in ("1", "2")]


def assert_same_losses(one: list[dict], other: list[dict]) -> None:
    """Check that two histories have the same losses, to five digits; ranks may jump where scores are nearly equal."""
    assert len(one) == len(other) > 1
    for row, other_row in zip(one, other, strict=True):
        names = [name for name in row if "loss" in name or name in ("perplexity", "reward")]
        assert [row[name] for name in names] == pytest.approx([other_row[name] for name in names], rel=1e-5)


@pytest.fixture(scope="module")
def regions(toy_data, tmp_path_factory) -> Path:
    """A cache of four regions of each toy image."""
    path = tmp_path_factory.mktemp("regions") / "features.h5"
    random = np.random.default_rng(0)
    ids = [f"{number}.jpg" for number in range(60)]
    for layer, array in (("regions-toy", random.normal(size=(60, 4, 12))), ("boxes-toy", random.random((60, 4, 5)))):
        import_rows(path, ids, array.astype(np.float32), FeatureKey("toy", layer, "none", "f" * 64))
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """Sentences with vectors, as `vislang sentence-vectors` writes them."""
    folder = tmp_path_factory.mktemp("teacher")
    vectors = np.random.default_rng(1).normal(size=(40, 6))
    np.save(folder / "vectors.npy", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16))
    (folder / "sentences.txt").write_text("\n".join(f"a red dog and {number} cats" for number in range(40)))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Twelve images of two classes in one domain, as PACS has them."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for label, colour in (("lake", (30, 60, 220)), ("rose", (220, 40, 50))):
        (folder / "photo" / label).mkdir(parents=True)
        for number in range(6):
            pixels = np.clip(np.array(colour) + random.normal(0, 25, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((96, 96)).save(folder / "photo" / label / f"{number}.png")
    return folder


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize("name", ON_CAPTIONS)
def test_two_devices_have_the_losses_of_one(toy_data, regions, teacher, tmp_path, name):
    module, preset, settings = ON_CAPTIONS[name]
    words = arguments(toy_data, tmp_path, *settings, preset=preset, cache=regions if "aligner" in name else None)
    if name == "ranker":
        words += ["--teacher", str(teacher)]
    if name == "original ranker":
        words += ["--device-memory", "0"]  # features travel with the batch
    one, other = histories(module, tmp_path, words)
    assert_same_losses(one, other)
    if name == "ranker of hardest negatives":
        assert one[0]["loss"] > 5 * one[1]["loss"]  # at first the sum over all negatives, then the hardest
    if name == "captioner":
        assert one[0]["perplexity"] != one[1]["perplexity"]  # measured with the weights of each epoch


@needs_jax
@pytest.mark.slow
def test_a_visual_language_model_has_the_losses_of_one_device(images, tmp_path):
    words = ["--images", str(images / "photo" / "*" / "*.png"), "--backbone", "compact_scenes", "--preset", "kato"]
    expert = '[{"layer": "grid", "context": "scan", "errors": "square"}]'
    for setting in (f"experts={expert}", "updates=6", "save_every=3", "drop_every=3", "batch_size=4", "pca_cells=100"):
        words += ["--set", setting]
    assert_same_losses(*histories("naturalness.train", tmp_path, words))


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize("preset", ["scratch", "finetuned"])
def test_a_classifier_has_the_losses_of_one_device(images, tmp_path, preset):
    settings = ["batch_size=5", "updates=6", "save_every=2"]
    words = ["--data", str(images), "--domains", "photo", "--preset", preset]
    if preset == "scratch":
        settings += ["channels=4,6", "preprocessing=squash-64-tf/v1"]
    else:
        settings += ["head_updates=2"]
        words += ["--backbone", "compact_scenes"]
    for setting in settings:
        words += ["--set", setting]
    assert_same_losses(*histories("preimage.train", tmp_path, words))


@needs_jax
@pytest.mark.slow
def test_killed_and_resumed_on_two_devices_equals_never_stopped(toy_data, tmp_path, monkeypatch):
    settings = [*RANKER, "validate_updates=3"]
    whole = [*arguments(toy_data, tmp_path / "whole", *settings, preset="vsepp"), "--devices", "2"]
    assert on_two_host_devices("-m", "vse.train", *whole).returncode == 0
    cut = [*arguments(toy_data, tmp_path / "cut", *settings, preset="vsepp"), "--devices", "2"]
    with monkeypatch.context() as patch:
        for name, value in TWO_HOST_DEVICES.items():
            patch.setenv(name, value)
        killed_run("vse.train", "on_train_batch_end", 10, cut)
    assert len(history(tmp_path / "cut")) == 1
    assert on_two_host_devices("-m", "vse.train", *cut).returncode == 0
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")


@needs_jax
def test_more_devices_than_there_are_is_one_line(toy_data, tmp_path):
    words = arguments(toy_data, tmp_path, *RANKER, preset="kiros")
    done = on_two_host_devices("-m", "vse.train", *words, "--devices", "3")
    assert done.returncode == 2
    assert "--devices got 3, JAX finds 2 (cpu:0, cpu:1)" in done.stderr


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "--devices got 0, expected 1 or more"), (2, "Keras runs on tensorflow.*KERAS_BACKEND=jax")],
)
def test_another_backend_is_refused(count, told):
    with pytest.raises(ConfigError, match=told), several_devices(count):
        pass


def test_on_jax_few_lengths_are_compiled(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    lengths = np.random.default_rng(0).integers(1, 40, 2000)
    batches = bucketed_batches(lengths, 64, np.random.default_rng(1), pool=1)
    widths = {pad_sentences([[5] * lengths[row] for row in batch]).shape[1] for batch in batches}
    assert widths <= {8, 16, 24, 32, 40}
