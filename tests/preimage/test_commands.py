"""The commands, run in this process on a tiny network that they load from a file."""

import json

import numpy as np
import pytest
from PIL import Image
from preimage_networks import photographs, tiny_model, tiny_network

import preimage
from preimage import caricature, deconv, invert, maximize, style
from vislang.images.video import read_frames

SHORT = ["--set", "iterations=3,2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preimage")
    tiny_model(64).save(folder / "tiny.keras")
    for number, image in enumerate(photographs(3, 64)):
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{number}.png")
    regions = np.zeros((64, 64), np.uint8)
    regions[:, 32:] = 255
    Image.fromarray(regions).save(folder / "regions.png")
    grain = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(grain).save(folder / "grain.png")
    (folder / "labels.txt").write_text("background\ncat\ndog, hound\nfish\nbird\n")
    (folder / "bad.png").write_text("no picture")
    return folder


def words(folder, *more):
    return ["--model", str(folder / "tiny.keras"), "--preprocessing", "squash-64-tf/v1", *map(str, more)]


def test_invert_draws_a_sheet_prints_errors_and_shows_the_search(folder, capsys):
    out, frames = folder / "inverted.png", folder / "search.gif"
    images = ["--images", folder / "0.png", folder / "1.png", "--out", out, "--frames", frames]
    assert invert.main(words(folder, *images, "--layer", "second", "--json", *SHORT)) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["layer"], printed["preset"], printed["size"], len(printed["images"])) == ("second", "ijcv16", 64, 2)
    assert 0 < printed["images"][0]["feature_error"] < 2
    assert Image.open(out).size == (2 * 68 + 4, 2 * 68 + 4)
    assert Image.open(frames).n_frames > 1
    first = out.read_bytes()
    assert invert.main(words(folder, *images[:-2], *SHORT)) == 0, "the layer in the middle is the default"
    assert out.read_bytes() == first
    assert "feature_error" in capsys.readouterr().out


def test_a_part_of_the_features_can_be_inverted(folder):
    for only in ("central", "first-half"):
        line = ["--images", folder / "0.png", "--out", folder / "part.png", "--only", only, "--layer", "first"]
        assert invert.main(words(folder, *line, *SHORT)) == 0


def test_maximize_takes_channels_and_classes_by_name(folder, capsys):
    line = ["--classes", "hound", "3", "--labels", folder / "labels.txt", "--out", folder / "classes.png"]
    line += ["--json", "--match-contrast"]
    assert maximize.main(words(folder, *line, "--set", "iterations=3")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["layer"] == "scores"
    assert [row["name"] for row in printed["images"]] == ["hound", "3"]
    assert {"activation", "rank"} <= set(printed["images"][0])
    line = ["--channels", 1, 2, "--layer", "second", "--channel-mean", "--images", folder / "0.png", folder / "bad.png"]
    assert maximize.main(words(folder, *line, "--out", folder / "c.png", "--preset", "ijcv16", *SHORT)) == 3
    output = capsys.readouterr()
    assert "second 1: activation" in output.out
    assert "skipped" in output.err


def test_maximize_shows_filters_from_noise_and_their_frames(folder, capsys):
    line = ["--channels", 1, "--layer", "last", "--noise", "--out", folder / "noise.png", "--json"]
    assert maximize.main(words(folder, *line, "--frames", folder / "noise.gif")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["preset"] is None
    assert printed["images"][0]["mean_activation"] != 0.0
    assert Image.open(folder / "noise.gif").n_frames > 1
    network = preimage.load_network(folder / "tiny.keras", preprocessing="squash-64-tf/v1")
    expected = preimage.filters_from_noise(network, "last", [1]).images[0]
    sheet = np.asarray(Image.open(folder / "noise.png"), np.float32)
    np.testing.assert_allclose(sheet[4:68, 4:68], expected, atol=1.0)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--preset", "ijcv16"), ("--set", "rate=1"), ("--prior-model", "x"), ("--images", "0.png"),
        ("--match-contrast", None), ("--channel-mean", None),
    ],
)  # fmt: skip
def test_options_that_noise_would_ignore_are_refused(folder, capsys, option, value):
    line = ["--channels", "1", "--noise", "--out", str(folder / "refused.png"), option]
    line += [] if value is None else [value]
    assert maximize.main(words(folder, *line)) == 2
    assert f"{option} has no effect on --noise" in capsys.readouterr().err
    assert not (folder / "refused.png").exists()


def test_caricature_writes_a_video_of_the_search(folder, capsys):
    pytest.importorskip("av")
    line = ["--images", folder / "0.png", "--layer", "last", "--out", folder / "car.png"]
    assert caricature.main(words(folder, *line, "--frames", folder / "car.mp4", *SHORT)) == 0
    assert "gain" in capsys.readouterr().out
    assert len(list(read_frames(folder / "car.mp4"))) > 1


def test_deconv_shows_all_rules_and_the_top_patches(folder, capsys):
    line = ["--images", folder / "0.png", "--layer", "last", "--out", folder / "deconv.png"]
    assert deconv.main(words(folder, *line)) == 0
    assert Image.open(folder / "deconv.png").size == (72, 4 * 68 + 4)
    capsys.readouterr()
    images = [folder / f"{number}.png" for number in range(3)]
    line = ["--images", *images, folder / "bad.png", "--channel", 2, "--top", 2, "--layer", "last", "--json"]
    assert deconv.main(words(folder, *line, "--out", folder / "top.png", "--relu-rule", "guided")) == 3
    output = capsys.readouterr()
    printed = json.loads(output.out)
    assert len(printed["images"]) == 2
    assert printed["images"][0]["activation"] >= printed["images"][1]["activation"]
    assert "skipped" in output.err


def test_style_takes_controls_of_colour_space_and_scale(folder, capsys):
    line = ["--images", folder / "0.png", "--style", folder / "1.png", "--out", folder / "style.png"]
    assert style.main(words(folder, *line, "--colour", "luminance", *SHORT)) == 0
    more = ["--regions", folder / "regions.png", folder / "regions.png", "--texture", folder / "2.png"]
    more += ["--style-layers", "first", "second", "--content-layer", "second", "--normalisation", "port"]
    assert style.main(words(folder, *line, *more, "--json", *SHORT)) == 0
    assert "loss" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "line", "reason"),
    [
        (invert, ["--images", "none.png"], "no such file or folder"),
        (invert, ["--images", "0.png", "--out", "x.txt"], "--out got x.txt, expected a name such as out.png"),
        (invert, ["--images", "0.png", "--frames", "x.avi"], "--frames got x.avi"),
        (invert, ["--images", "0.png", "--layer", "lst"], "unknown layer of network"),
        (
            invert,
            ["--images", "0.png", "--layer", "scores", "--only", "central"],
            "central part is that of a map, got layer scores",
        ),
        (invert, ["--images", "0.png", "--set", "bund=3"], "did you mean bound"),
        (invert, ["--images", "bad.png"], "bad.png"),
        (maximize, ["--channels", "99"], "got channel 99, expected 0 to 7"),
        (maximize, ["--channels", "99999", "--images", "0.png"], "got channel 99999, expected 0 to 7"),
        (maximize, ["--classes", "catt", "--labels", "labels.txt"], "unknown class 'catt'; did you mean cat"),
        (maximize, ["--classes", "cat", "--labels", "none.txt"], "none.txt: No such file or directory"),
        (maximize, ["--classes", "1", "--noise"], "--noise is for --channels, got --classes"),
        (maximize, ["--classes", "1", "--layer", "last"], "--layer is for --channels, got --classes"),
        (maximize, ["--classes", "1", "--channel-mean"], "--channel-mean is for --channels, got --classes"),
        (maximize, ["--channels", "1", "--labels", "labels.txt"], "--labels is for --classes, got --channels"),
        (invert, ["--images", "0.png", "--preset", "kato", "--only", "first-half"], "counts all features, got a mask"),
        (invert, [], "no image was given"),
        (invert, ["--images", "0.png", "bad.png", "--strict"], "bad.png"),
        (style, ["--images", "0.png", "--style", "none.png"], "no such file or folder"),
        (deconv, ["--images", "0.png", "--top", "2"], "--top got 2 and --channel None"),
        (deconv, ["--images", "0.png", "--channel", "99"], "layer pre:grid got channel 99, expected 0 to 7"),
        (
            style,
            ["--images", "0.png", "--style", "1.png", "--regions", "grain.png", "1.png"],
            "256 grey levels, expected at most 16",
        ),
    ],
)
def test_what_cannot_end_well_is_refused_in_one_line(folder, capsys, command, line, reason):
    files = {path.name for path in folder.iterdir()} | {"none.png", "none.txt"}
    placed = [str(folder / word) if word in files else word for word in line]
    if "--out" not in line:
        placed += ["--out", str(folder / "refused.png")]
    assert command.main(words(folder, *placed)) == 2
    (printed,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("error")]
    assert reason in printed
    assert not (folder / "refused.png").exists()


def test_a_second_network_ranks_maximised_classes(folder, monkeypatch, capsys):
    def known(*names):
        network = tiny_network()
        network.classes = names
        return network

    networks = {"own": known("cat", "dog", "fish", "bird"), "second": known("bird", "fish", "dog", "cat")}
    monkeypatch.setattr("preimage.networks.loading.load_network", lambda name, **options: networks[name])
    line = ["--model", "own", "--classes", "dog", "cat", "--out", str(folder / "ranked.png"), "--json", *SHORT[:1]]
    assert maximize.main([*line, "iterations=3", "--second-network", "second"]) == 0
    printed = json.loads(capsys.readouterr().out)["images"]
    sheet = np.asarray(Image.open(folder / "ranked.png"), np.float32)
    side = networks["own"].size
    images = np.stack([sheet[4 : 4 + side, 4 + k * (side + 4) : 4 + k * (side + 4) + side] for k in (0, 1)])
    scores = networks["second"].encode(images, ["scores"])["scores"]
    for row, place, one in zip(scores, (2, 3), printed, strict=True):
        assert one["second_network_rank"] == list(np.argsort(-row)).index(place)
    networks["second"].classes = ("a", "b", "c", "d")
    assert maximize.main([*line, "iterations=3", "--second-network", "second"]) == 2
    assert "does not have all of these classes" in capsys.readouterr().err
    assert maximize.main(["--model", "own", "--channels", "1", "--second-network", "second", "--out", "x.png"]) == 2
    assert "--second-network is for --classes" in capsys.readouterr().err
