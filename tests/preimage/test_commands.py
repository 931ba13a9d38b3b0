"""The commands, run in this process on a tiny network that they load from a file."""

import json

import numpy as np
import pytest
from PIL import Image
from preimage_networks import photographs, tiny_model, tiny_network

from preimage import caricature, deconv, invert, maximize, style
from vislang.images.video import read_frames

SHORT = ["--set", "iterations=3,2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preimage")
    tiny_model(64).save(folder / "tiny.keras")
    for number, picture in enumerate(photographs(3, 64)):
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")
    regions = np.zeros((64, 64), np.uint8)
    regions[:, 32:] = 255
    Image.fromarray(regions).save(folder / "regions.png")
    grain = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(grain).save(folder / "grain.png")
    (folder / "labels.txt").write_text("background\ncat\ndog, hound\nfish\nbird\n")
    (folder / "bad.png").write_text("no picture")
    return folder


def words(folder, *more):
    return ["--network", str(folder / "tiny.keras"), "--recipe", "squash-64-tf/v1", *map(str, more)]


def test_invert_draws_a_sheet_prints_errors_and_shows_the_search(folder, capsys):
    out, frames = folder / "inverted.png", folder / "search.gif"
    pictures = ["--image", folder / "0.png", folder / "1.png", "--out", out, "--frames", frames]
    assert invert.main(words(folder, *pictures, "--layer", "second", "--json", *SHORT)) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["layer"], told["preset"], told["size"], len(told["pictures"])) == ("second", "ijcv16", 64, 2)
    assert 0 < told["pictures"][0]["feature_error"] < 2
    assert Image.open(out).size == (2 * 68 + 4, 2 * 68 + 4)
    assert Image.open(frames).n_frames > 1
    first = out.read_bytes()
    assert invert.main(words(folder, *pictures[:-2], "--layer", "second", *SHORT)) == 0
    assert out.read_bytes() == first
    assert "feature_error" in capsys.readouterr().out


def test_invert_can_look_at_a_part_of_the_features(folder):
    for only in ("central", "first-half"):
        line = ["--image", folder / "0.png", "--out", folder / "part.png", "--only", only, "--layer", "first"]
        assert invert.main(words(folder, *line, *SHORT)) == 0


def test_maximize_takes_channels_and_classes_by_name(folder, capsys):
    line = [
        "--class",
        "hound",
        "3",
        "--labels",
        folder / "labels.txt",
        "--out",
        folder / "classes.png",
        "--json",
        "--contrast",
    ]
    assert maximize.main(words(folder, *line, "--set", "iterations=3")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["layer"] == "scores"
    assert [row["name"] for row in told["pictures"]] == ["hound", "3"]
    assert {"activation", "rank"} <= set(told["pictures"][0])
    line = ["--channel", 1, 2, "--layer", "second", "--photos", folder / "0.png", "--out", folder / "c.png", "--whole"]
    assert maximize.main(words(folder, *line, "--preset", "ijcv16", *SHORT)) == 0
    assert "second 1: activation" in capsys.readouterr().out
    line = ["--channel", 1, "--layer", "pre:third", "--noise", "--out", folder / "noise.png"]
    assert maximize.main(words(folder, *line)) == 0
    assert "mean_activation" in capsys.readouterr().out


def test_caricature_writes_a_video_of_the_search(folder, capsys):
    pytest.importorskip("av")
    line = ["--image", folder / "0.png", "--layer", "last", "--out", folder / "car.png"]
    assert caricature.main(words(folder, *line, "--frames", folder / "car.mp4", *SHORT)) == 0
    assert "gain" in capsys.readouterr().out
    assert len(list(read_frames(folder / "car.mp4"))) > 1


def test_deconv_shows_all_rules_and_the_top_patches(folder, capsys):
    line = ["--image", folder / "0.png", "--layer", "last", "--out", folder / "deconv.png"]
    assert deconv.main(words(folder, *line)) == 0
    assert Image.open(folder / "deconv.png").size == (72, 4 * 68 + 4)
    capsys.readouterr()
    pictures = [folder / f"{number}.png" for number in range(3)]
    line = ["--image", *pictures, folder / "bad.png", "--channel", 2, "--top", 2, "--layer", "last", "--json"]
    assert deconv.main(words(folder, *line, "--out", folder / "top.png", "--rule", "guided")) == 3
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert len(told["pictures"]) == 2
    assert told["pictures"][0]["activation"] >= told["pictures"][1]["activation"]
    assert "skipped" in said.err


def test_style_takes_controls_of_colour_space_and_scale(folder, capsys):
    line = ["--image", folder / "0.png", "--style", folder / "1.png", "--out", folder / "style.png"]
    assert style.main(words(folder, *line, "--colour", "luminance", *SHORT)) == 0
    more = ["--regions", folder / "regions.png", folder / "regions.png", "--texture", folder / "2.png"]
    more += ["--style-layers", "first", "second", "--content-layer", "second", "--normalisation", "port"]
    assert style.main(words(folder, *line, *more, "--json", *SHORT)) == 0
    assert "loss" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "line", "reason"),
    [
        (invert, ["--image", "none.png"], "no such file, expected a photograph"),
        (invert, ["--image", "0.png", "--out", "x.txt"], "--out got x.txt, expected a name such as out.png"),
        (invert, ["--image", "0.png", "--frames", "x.avi"], "--frames got x.avi"),
        (invert, ["--image", "0.png", "--layer", "lst"], "unknown tap of network"),
        (invert, ["--image", "0.png", "--layer", "scores", "--only", "central"], "--only central is for maps"),
        (invert, ["--image", "0.png", "--set", "bund=3"], "did you mean bound"),
        (invert, ["--image", "bad.png"], "bad.png"),
        (maximize, ["--channel", "99"], "got channel 99, expected 0 to 7"),
        (maximize, ["--class", "catt", "--labels", "labels.txt"], "unknown class 'catt'; did you mean cat"),
        (maximize, ["--class", "cat", "--labels", "none.txt"], "none.txt: No such file or directory"),
        (maximize, ["--class", "1", "--noise"], "--noise sees filters, got --class"),
        (deconv, ["--image", "0.png", "--top", "2"], "--top got 2 and --channel None"),
        (deconv, ["--image", "0.png", "--channel", "99"], "--channel got 99, expected 0 to 7"),
        (style, ["--image", "0.png", "--style", "1.png", "--natural", "x"], "--natural is for inversion"),
        (
            style,
            ["--image", "0.png", "--style", "1.png", "--regions", "grain.png", "1.png"],
            "grey levels, expected one",
        ),
    ],
)
def test_what_cannot_end_well_is_refused_in_one_line(folder, capsys, command, line, reason):
    files = {path.name for path in folder.iterdir()} | {"none.png", "none.txt"}
    placed = [str(folder / word) if word in files else word for word in line]
    if "--out" not in line:
        placed += ["--out", str(folder / "refused.png")]
    assert command.main(words(folder, *placed)) == 2
    (told,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("error")]
    assert reason in told
    assert not (folder / "refused.png").exists()


def test_an_independent_network_judges_maximised_classes(folder, monkeypatch, capsys):
    def known(*names):
        network = tiny_network()
        network.classes = names
        return network

    networks = {"own": known("cat", "dog", "fish", "bird"), "judge": known("bird", "fish", "dog", "cat")}
    monkeypatch.setattr("preimage.api.load_network", lambda name, **options: networks[name])
    line = ["--network", "own", "--class", "dog", "cat", "--out", str(folder / "judged.png"), "--json", *SHORT[:1]]
    assert maximize.main([*line, "iterations=3", "--judge", "judge"]) == 0
    told = json.loads(capsys.readouterr().out)["pictures"]
    sheet = np.asarray(Image.open(folder / "judged.png"), np.float32)
    side = networks["own"].size
    pictures = np.stack([sheet[4 : 4 + side, 4 + k * (side + 4) : 4 + k * (side + 4) + side] for k in (0, 1)])
    scores = networks["judge"].encode(pictures, ["scores"])["scores"]
    for row, place, one in zip(scores, (2, 3), told, strict=True):
        assert one["judge_rank"] == list(np.argsort(-row)).index(place)
    networks["judge"].classes = ("a", "b", "c", "d")
    assert maximize.main([*line, "iterations=3", "--judge", "judge"]) == 2
    assert "does not know all of these classes" in capsys.readouterr().err
    assert maximize.main(["--network", "own", "--channel", "1", "--judge", "judge", "--out", "x.png"]) == 2
    assert "--judge ranks classes" in capsys.readouterr().err
