"""Training a visual language model: unreadable images are skipped and told, caches are read, mistakes are one line."""

import json

import numpy as np
import pytest
from PIL import Image

from naturalness import train, training, training_maps
from naturalness.api import load_model
from naturalness.feature_maps import FrozenLayers
from naturalness.training_maps import TrainingImage, TrainingMaps
from vislang.core.errors import DataError
from vislang.features.cache.reader import FeatureKey, import_rows

EXPERTS = '[{"layer": "grid"}, {"layer": "grid", "context": "scene", "space": "channels", "errors": "excess"}]'
BEST = ["--backbone", "compact_scenes", "--set", f"experts={EXPERTS}", "--set", "mirror_padding=0"]
BEST += ["--set", "information_layer=grid", "--set", "information_distance=3"]


@pytest.fixture
def photographs(tmp_path):
    """Nine images, of which the last cannot be read."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(8):
        pixels = random.integers(0, 255, (12, 16, 3), np.uint8)
        Image.fromarray(pixels).resize((160, 128)).save(folder / f"{index}.png")
    (folder / "zzzz_broken.jpg").write_bytes(b"no image")
    return folder


def run(*words, out):
    return train.main([*map(str, words), *BEST, "--out", str(out), "--json"])


@pytest.fixture
def network():
    return FrozenLayers("compact_scenes", ["grid"])


def test_an_unreadable_image_is_told_though_the_last_pass_stops_before_it(photographs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training_maps, "_BATCH", 4)
    monkeypatch.setattr(training, "_FOR_LEVELS", 2)  # the pass for the levels ends after the first batch
    assert run("--images", photographs, out=tmp_path / "run") == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out)["images"] == 8
    (told,) = [line for line in printed.err.splitlines() if line.startswith("skipped")]
    assert "zzzz_broken.jpg" in told
    assert np.isfinite(load_model(tmp_path / "run").score(np.zeros((128, 128, 3), np.uint8)))


def test_no_readable_image_at_all_is_one_line(photographs, tmp_path, capsys):
    assert run("--images", photographs / "zzzz_broken.jpg", out=tmp_path / "run") == 2
    (told,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "none of 1 images can be read, first" in told
    assert "zzzz_broken.jpg" in told


def test_a_data_set_without_image_files_is_one_line(toy_data, tmp_path, capsys):
    assert run("--data", toy_data, "--dataset", "karpathy", out=tmp_path / "run") == 2
    (told,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "none of 40 images can be read, first 0.jpg" in told


def test_an_image_without_a_file_is_skipped_and_no_other_taken_for_it(photographs, network):
    images = [TrainingImage("first", photographs / "0.png"), TrainingImage("second", None)]
    maps = TrainingMaps(network, [*images, TrainingImage("third", photographs / "1.png")])
    (found,) = [batch["grid"] for batch in maps]
    (first,) = [batch["grid"] for batch in TrainingMaps(network, images[:1])]
    assert len(found) == 2
    np.testing.assert_allclose(found[0], first[0], atol=1e-5)
    assert list(maps.skipped) == ["second"]
    assert "has no file of it" in maps.skipped["second"]
    with pytest.raises(DataError, match="none of 1 images can be read, first second"):
        list(TrainingMaps(network, images[1:]))


def test_maps_of_a_cache_are_those_of_the_images_that_it_holds(toy_data, tmp_path, network, capsys):
    ids = [f"{index}.jpg" for index in range(60) if index != 3]
    grids = np.random.default_rng(0).normal(size=(len(ids), 8, 8, network.channels[0])).astype(np.float32)
    import_rows(
        tmp_path / "maps.h5",
        ids,
        grids,
        FeatureKey("compact_scenes", "grid", network.loaded.preprocessing.name, "f" * 64),
    )
    words = ["--data", toy_data, "--dataset", "karpathy", "--cache", tmp_path / "maps.h5"]
    assert run(*words, out=tmp_path / "run") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["images"] == 39
    assert "left out of training: 3.jpg" in printed.err
    mean = grids[:39].reshape(-1, network.channels[0]).mean(axis=0)
    np.testing.assert_allclose(load_model(tmp_path / "run").network.experts[0].mean, mean, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--limit", "0"], "--limit got 0, expected 1 or more"),
        (["--set", "information_distance=99"], "lower information_distance"),
        (["--set", "batch_size=0"], "batch_size got 0"),
        (["--preset", "bset"], "did you mean best"),
        (["--seed", "x"], "invalid int value"),
    ],
)
def test_mistakes_are_one_line(photographs, tmp_path, capsys, change, message):
    try:
        code = train.main(["--images", str(photographs), *BEST, "--out", str(tmp_path / "run"), *change])
    except SystemExit as stopped:  # argparse
        code = stopped.code
    assert code == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
