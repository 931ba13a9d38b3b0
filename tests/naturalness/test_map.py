"""Maps over pictures, tiles, training that resumes, and the commands, on the small CNN of the scenes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from naturalness import map as map_command
from naturalness import train, training
from naturalness.api import load_model, naturalness_score, unnaturalness_map
from naturalness.feature_maps import FrozenLayers
from naturalness.maps import cell_map, centred_map, resized_map
from vislang.core.errors import CheckpointError, ConfigError

SMALL = ["--backbone", "compact_scenes"]
TWO_EXPERTS = [{"layer": "grid"}, {"layer": "grid", "context": "scene", "space": "channels", "errors": "excess"}]
BEST = ["--set", f"experts={json.dumps(TWO_EXPERTS)}", "--set", "mirror_padding=32"]
BEST += ["--set", "information_layer=grid", "--set", "information_distance=3"]
LSTM = ["--set", 'experts=[{"layer": "grid", "context": "scan", "errors": "square"}]', "--set", "mirror_padding=0"]
LSTM += ["--set", "updates=6"]
LSTM += ["--set", "save_every=2", "--set", "drop_every=4", "--set", "batch_size=3", "--set", "learning_rate=1"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for number in range(8):
        coarse = Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8))
        coarse.resize((160, 128), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(photographs, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    assert train.main(["--images", str(photographs), *SMALL, *BEST, "--out", str(out)]) == 0
    return out


def test_errors_lie_where_their_cells_are():
    down, up = np.full((2, 2), 1.0), np.full((2, 2), 3.0)
    right, left = np.full((3, 1), 5.0), np.full((3, 1), 7.0)
    found = cell_map((down, up, right, left), (3, 2), places="cell", power=1.0)
    np.testing.assert_allclose(found, [[5, 4], [(1 + 3 + 7) / 3, (1 + 3 + 5) / 3], [4, 3]])
    half = cell_map((down, up, right, left), (3, 2), places="half_cell", power=0.5)
    np.testing.assert_allclose(half, [[4], [4]])


def test_a_map_covers_the_picture_cell_for_cell():
    cells = np.zeros((3, 4))
    cells[1, 2] = 1
    found = resized_map(cells, 16, (60, 44))
    assert found.shape == (44, 60)
    assert np.unravel_index(found.argmax(), found.shape)[0] in range(16, 32)
    assert np.unravel_index(found.argmax(), found.shape)[1] in range(32, 48)


def test_the_originals_map_lies_in_the_middle_of_zeros_and_is_not_smoothed():
    cells = np.zeros((22, 30))
    cells[11, 15] = 2
    found = centred_map(cells, 16, (500, 375))
    assert (found.shape, found.dtype, found.min()) == ((375, 500), np.float32, 0)
    assert found.max() == pytest.approx(2, rel=0.1)
    peak = np.unravel_index(found.argmax(), found.shape)
    np.testing.assert_allclose(peak, (11 + 11 * 16 + 8, 10 + 15 * 16 + 8), atol=2)  # 352 x 480 in 375 x 500
    assert np.count_nonzero(found) <= 32 * 32  # a bilinear tent of two cells a side, nothing beyond


@pytest.mark.parametrize(
    ("backbone", "layer", "tile"),
    [("compact_scenes", "grid", 48), ("efficientnet_lite0", "blocks_5_project_conv", 200)],
)
def test_tiles_give_what_the_whole_picture_gives(backbone, layer, tile, monkeypatch):
    from naturalness import layer_maps as network

    cnn = FrozenLayers(backbone, [layer], mirrored=32)
    cell = cnn.strides[0]
    picture = np.random.default_rng(1).integers(0, 255, (20 * cell, 26 * cell, 3), np.uint8)
    whole = cnn.maps(picture)[layer]
    assert picture[..., 0].size > (tile + 2 * 64) ** 2, "smaller pictures are not cut into tiles"
    monkeypatch.setattr(network, "_TILE", tile)
    monkeypatch.setattr(network, "_MARGIN", 64)
    tiled = cnn.maps(picture)[layer]
    assert whole.shape == tiled.shape == (20, 26, cnn.channels[0])
    np.testing.assert_allclose(tiled, whole, atol=2e-3)


def test_the_mirror_is_whole_cells_so_that_cells_lie_where_their_pixels_are():
    fine, coarse = "blocks_3_project_conv", "blocks_5_project_conv"
    cnn = FrozenLayers("efficientnet_lite0", [fine, coarse], mirrored=60)
    assert (cnn.strides, cnn.mirrored) == ((8, 16), 64)
    picture = np.full((240, 240, 3), 128, np.uint8)
    spot = picture.copy()
    spot[64:80, 96:112] = 255  # the cell in row 4 and column 6 of the coarser layer
    before, after = (cnn.maps(one)[coarse] for one in (picture, spot))
    changed = np.abs(after - before).sum(axis=-1)
    assert np.unravel_index(changed.argmax(), changed.shape) == (4, 6)


def test_what_is_not_there_is_said():
    with pytest.raises(ConfigError, match="layer of backbone compact_scenes"):
        FrozenLayers("compact_scenes", ["grit"])
    with pytest.raises(ConfigError, match="has no map"):
        FrozenLayers("compact_scenes", ["pooled"])
    cnn = FrozenLayers("compact_scenes", ["data"])
    with pytest.raises(ConfigError, match="the image has 40 x 200 pixels"):
        cnn.maps(np.zeros((200, 40, 3), np.uint8))
    assert (cnn.channels, cnn.strides) == ((3,), (1,))


def test_scores_maps_and_losses_of_a_picture(trained, photographs):
    model, pixels = load_model(trained), np.asarray(Image.open(photographs / "0.png"))
    assert len(model.fingerprint) == 64
    assert np.isfinite(naturalness_score(model, pixels))
    assert unnaturalness_map(model, pixels).shape == (128, 160)
    assert np.abs(unnaturalness_map(model, pixels, kind="anomaly") - unnaturalness_map(model, pixels)).max() > 1e-3
    losses = np.asarray(model.loss(np.stack([pixels, pixels[::-1]]).astype(np.float32)))
    assert losses.shape == (2,)
    maps = model.cnn.maps(pixels)
    each = [[one.mean() for one in model.cell_errors(index, maps)] for index in model.config.score_experts]
    assert losses[0] == pytest.approx(np.mean([np.mean(one) for one in each]), rel=1e-4)
    plain, small = replace(model, reference=None), pixels[:96, :96]  # at which it is not shrunk
    maps = model.cnn.maps(small)
    each = [[one.mean() for one in model.cell_errors(index, maps)] for index in model.config.score_experts]
    assert naturalness_score(plain, small) == pytest.approx(-np.mean([np.log(np.mean(one)) for one in each]), rel=1e-4)


@pytest.mark.realdata
def test_torn_photographs_are_less_natural_with_the_model_in_the_box(real_data):
    model, random = load_model(), np.random.default_rng(0)
    names = (real_data / "flickr8k" / "Flickr_8k.devImages.txt").read_text().split()[:20]
    less = []
    for name in names:
        pixels = np.asarray(Image.open(real_data / "flickr8k" / "Images" / name).convert("RGB").resize((224, 224)))
        blocks = pixels.reshape(8, 28, 8, 28, 3).swapaxes(1, 2).reshape(64, 28, 28, 3)[random.permutation(64)]
        torn = blocks.reshape(8, 8, 28, 28, 3).swapaxes(1, 2).reshape(224, 224, 3)
        less.append(naturalness_score(model, torn) < naturalness_score(model, pixels))
    assert np.mean(less) >= 0.95


@pytest.mark.slow
def test_training_that_was_stopped_ends_as_if_it_had_not_been(photographs, tmp_path, monkeypatch):
    words = ["--images", str(photographs), *SMALL, "--preset", "kato", *LSTM]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train.main([*words, "--out", str(whole)]) == 0
    begin = training.MomentumReset.on_epoch_begin

    def stopped(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(training.MomentumReset, "on_epoch_begin", stopped)
        assert train.main([*words, "--out", str(parts)]) == 130
    assert len(json.loads((parts / "history.json").read_text())) == 1
    assert train.main([*words, "--out", str(parts)]) == 0
    assert np.isfinite([row["loss"] for row in json.loads((whole / "history.json").read_text())]).all()
    model = load_model(whole)
    picture = np.asarray(Image.open(photographs / "1.png"))
    np.testing.assert_array_equal(model.map(picture), load_model(parts).map(picture))
    assert model.map(picture).max() > 0


def test_another_run_in_the_folder_is_refused(trained, photographs, capsys):
    words = ["--images", str(photographs), *SMALL, *BEST, "--seed", "3", "--out", str(trained)]
    assert train.main(words) == 2
    assert "holds another run" in capsys.readouterr().err


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"kind": "vse"}')
    with pytest.raises(CheckpointError, match="expected a naturalness model, got a ranker"):
        load_model(tmp_path)


def test_the_command_draws_and_ranks(trained, photographs, tmp_path, capsys):
    picture, out, numbers = photographs / "2.png", tmp_path / "map.png", tmp_path / "map.npy"
    words = ["--images", str(picture), "--model", str(trained), "--out", str(out), "--npy", str(numbers)]
    assert map_command.main([*words, "--overlay"]) == 0
    assert Image.open(out).size == (160, 128)
    assert np.load(numbers).shape == (128, 160)
    capsys.readouterr()
    (photographs / "broken.png").write_bytes(b"no picture")
    try:
        assert map_command.main(["--images", str(photographs), "--model", str(trained), "--json"]) == 3
    finally:
        (photographs / "broken.png").unlink()
    rows = json.loads(capsys.readouterr().out)
    scores = [row["naturalness"] for row in rows["images"]]
    assert scores == sorted(scores)
    assert (len(scores), len(rows["skipped"])) == (8, 1)
    percentiles = [row["percentile"] for row in rows["images"]]
    assert percentiles == sorted(percentiles)
    assert 0 <= percentiles[0] <= percentiles[-1] <= 100
    assert map_command.main(words) == 0
    assert "% of training photographs" in capsys.readouterr().out


def test_a_folder_keeps_its_folders_and_no_drawing_is_mapped_again(trained, photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        shutil.copy(photographs / "1.png", tmp_path / "tree" / name / "dog.png")
    words = ["--images", "tree", "--model", str(trained)]
    assert map_command.main([*words, "--out", "tree"]) == 0
    assert capsys.readouterr().err.count("wrote") == 2
    drawings = [tmp_path / "tree" / name / "dog_unnatural.png" for name in ("a", "b")]
    assert all(path.is_file() for path in drawings)
    assert map_command.main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["images"]
    assert sorted(row["image"] for row in rows) == ["tree/a/dog.png", "tree/b/dog.png"]
    assert map_command.main(["--images", "tree/a/dog.png", "--model", str(trained)]) == 0
    assert (tmp_path / "drawings" / "dog_unnatural.png").is_file()


def test_bad_input_of_the_commands(trained, photographs, tmp_path, capsys):
    assert map_command.main(["--images", str(tmp_path / "none.jpg"), "--model", str(trained)]) == 2
    assert map_command.main(["--images", str(photographs), "--npy", str(tmp_path / "x.npy")]) == 2
    assert train.main(["--images", str(tmp_path), *SMALL, "--cache", "x.h5", "--out", str(tmp_path / "o")]) == 2
    said = capsys.readouterr().err
    for words in ("no such file or folder", "--npy writes one map", "name it with --data"):
        assert words in said


def test_options_of_maps_that_are_not_written_are_refused(tmp_path, capsys):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    for option in ("--overlay", "--anomaly"):
        assert map_command.main(["--images", str(tmp_path), option]) == 2
        assert "--overlay and --anomaly are for maps, got none to write" in capsys.readouterr().err
