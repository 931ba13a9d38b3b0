"""Captions, regions and scores of shards are those of the same images one by one."""

import json

import numpy as np
import pytest
from PIL import Image

from captioner.generate import main as caption
from captioner.regions import main as regions
from naturalness.map import main as unusual


def rows_of(shards):
    return [json.loads(line) for path in sorted(shards.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_captions_of_shards_are_those_of_the_images(album, tiny_captioner, tmp_path, capsys):
    words = ["--images", str(album), "--model", str(tiny_captioner), "--explain"]
    assert caption([*words, "--jsonl"]) == 3
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for row in expected:
        row["image"] = row["image"].removeprefix(f"{album}/")
    shards = tmp_path / "shards"
    assert caption([*words, "--shards", str(shards), "--json"]) == 3
    summary = json.loads(capsys.readouterr().out)
    assert summary["images"] == len(expected) == 3
    assert [one["source"] for one in summary["skipped"]] == ["empty.jpg", "letter.jpg"]
    assert rows_of(shards) == expected
    assert caption([*words, "--shards", str(shards)]) == 3
    assert "nothing to do" in capsys.readouterr().out


def test_other_settings_or_another_model_caption_anew(album, tiny_captioner, tmp_path, capsys):
    words = ["--images", str(album), "--model", str(tiny_captioner), "--shards", str(tmp_path / "shards")]
    assert caption([*words, "--num", "2"]) == 3
    assert {len(row["captions"]) for row in rows_of(tmp_path / "shards")} == {2}
    for more in ([], ["--num", "2"], []):
        assert caption([*words, *more]) == 3
        assert {len(row["captions"]) for row in rows_of(tmp_path / "shards")} == {2 if more else 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "--shards", "s", "--csv"], "got --csv and --shards, which writes JSON lines"),
        (["a", "--shards", "s", "--html", "x.html"], "got --html and --shards"),
        (["a", "b", "--shards", "s"], "--shards got 2 names, expected one folder, pattern, tar file or list of images"),
        (["a", "--jobs", "2"], "got --jobs without --shards"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        caption(words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_regions_and_scores_of_shards(tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 255, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((160, 120)).save(photos / f"{number}.png")
    for command, name in ((regions, "regions"), (unusual, "naturalness")):
        assert command(["--images", str(photos), "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        expected = {row["image"].removeprefix(f"{photos}/"): row[name] for row in printed["images"]}
        assert command([str(photos), "--shards", str(tmp_path / name)]) == 0
        assert {row["image"]: row[name] for row in rows_of(tmp_path / name)} == expected
        capsys.readouterr()
    Image.new("RGB", (60, 40)).save(photos / "small.png")
    assert unusual([str(photos), "--shards", str(tmp_path / "naturalness"), "--json"]) == 3
    (skipped,) = json.loads(capsys.readouterr().out)["damaged"]
    assert "none of 1 images could be used; the first: small.png: the image has 60 x 40 pixels" in skipped["reason"]
