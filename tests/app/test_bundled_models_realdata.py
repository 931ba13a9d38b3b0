"""The models that are bundled on real photographs: true words about them, and pictures found by what they show."""

import json
from pathlib import Path

import pytest

from vislang.core.bundled_models import BUNDLED

pytestmark = pytest.mark.realdata


def test_photographs_are_captioned_from_the_box(real_data, capsys):
    from captioner.generate import main

    assert main(["--images", str(real_data / "photos"), "--json"]) == 0
    output = capsys.readouterr()
    assert output.err.startswith(f"using the bundled {BUNDLED['captioner']}")
    captions = {Path(row["image"]).stem: row["captions"][0]["caption"] for row in json.loads(output.out)["images"]}
    assert "dog" in captions["pets"]
    assert len(set(captions.values())) > len(captions) / 2
    assert all(3 <= len(caption.split()) <= 20 for caption in captions.values())


def test_photographs_are_found_from_the_box(real_data, capsys, tmp_path, monkeypatch):
    from vse.search import main

    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path))
    assert main(["--images", str(real_data / "photos"), "--text", "two dogs", "--top", "3", "--json"]) == 0
    found = [Path(row["image"]).stem for row in json.loads(capsys.readouterr().out)["results"]]
    assert "pets" in found


def test_regions_are_described_and_words_placed_from_the_box(real_data, capsys, tmp_path):
    from captioner.regions import main

    photo = real_data / "photos" / "pets.jpg"
    assert main(["--images", str(photo), "--json", "--out", str(tmp_path / "regions.png")]) == 0
    output = capsys.readouterr()
    assert output.err.startswith("using the bundled region-captioner")
    (found,) = json.loads(output.out)["images"]
    assert any("dog" in region["text"] for region in found["regions"])
    assert (tmp_path / "regions.png").is_file()
    assert main(["--images", str(photo), "--sentence", "a dog on the grass", "--json"]) == 0
    output = capsys.readouterr()
    assert output.err.startswith(f"using the bundled {BUNDLED['aligner']}")
    (found,) = json.loads(output.out)["images"]
    assert " ".join(region["text"] for region in found["regions"]) == "a dog on the grass"


def test_words_are_explained_from_the_box(real_data, capsys, tmp_path):
    from saliency.explain import main

    photo, clip = real_data / "photos" / "pets.jpg", real_data / "msrvtt" / "videos" / "video176.mp4"
    words = [
        "--images",
        str(photo),
        "--sentence",
        "two dogs on the grass and a zebra",
        "--out",
        str(tmp_path / "w.png"),
    ]
    assert main([*words, "--html", str(tmp_path / "w.html"), "--json"]) == 0
    output = capsys.readouterr()
    assert output.err.startswith(f"using the bundled {BUNDLED['captioner']}")
    evidence = {row["word"]: row["evidence"] for row in json.loads(output.out)["images"][0]["words"]}
    assert evidence["dogs"] > 1.0
    assert evidence["grass"] > 0.5
    assert evidence["zebra"] < evidence["dogs"]
    assert main(["--video", str(clip), "--fps", "2", "--out", str(tmp_path / "w.mp4")]) == 0
    assert "the model's caption: " in capsys.readouterr().out
    assert (tmp_path / "w.mp4").stat().st_size > 10_000
