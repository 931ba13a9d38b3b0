"""The demo of the bundled models: one page with every ability, from images of installed packages and drawn scenes."""

import importlib
import re
import shlex
from html import unescape

import pytest
from PIL import Image

from app import demo
from app.cli import COMMANDS


def test_the_packaged_images_are_there_without_a_download_and_the_first_has_a_sentence(tmp_path):
    subject = demo.packaged_images(tmp_path / "scenes")
    assert subject.paths[0].name == "grace_hopper.jpg"
    assert subject.sentence == demo.PACKAGED[0][2]
    assert len(subject.paths) >= demo.FEWEST
    assert all(path.is_file() for path in subject.paths)
    assert subject.origin.startswith("photographs of matplotlib")


def test_with_many_photographs_one_scene_is_drawn(tmp_path):
    pytest.importorskip("skimage")
    names = [path.name for path in demo.packaged_images(tmp_path / "scenes").paths]
    assert {"astronaut.png", "rocket.jpg", "motorcycle_left.png"} <= set(names)
    assert [name for name in names if name.startswith("scene_")] == ["scene_0.png"]


def test_without_other_packages_scenes_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "PACKAGED", demo.PACKAGED[:1])
    names = [path.name for path in demo.packaged_images(tmp_path / "scenes").paths]
    assert names == ["grace_hopper.jpg", *(f"scene_{index}.png" for index in range(5))]


@pytest.mark.slow
def test_the_demo_puts_every_ability_on_one_page(tmp_path, capfd):
    image = demo.packaged_images(tmp_path / "scenes").paths[0]
    with Image.open(image) as photograph:
        photograph.resize((128, 150)).save(tmp_path / "small.png")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    out = tmp_path / "page.html"
    words = [str(tmp_path / "small.png"), str(tmp_path / "broken.jpg"), "--iterations", "3", "--out", str(out)]
    assert demo.main(words) == 3
    output = capfd.readouterr()
    assert out.as_uri() in output.out
    assert len(re.findall(r" \d+\.\d s$", output.out, re.MULTILINE)) == 6, "a line for each step, with its time"
    assert output.err.count("\n") == output.err.count("skipped") == 1, "TensorFlow's notes are not shown"
    page = out.read_text(encoding="utf-8")
    titles = ["Captions", "Search", "Words and regions", "Unusual places", "Inversions"]
    assert all(f"<h2>{title}</h2>" in page for title in titles)
    commands = [unescape(words) for words in re.findall(r'<code class="card command">(.*?)</code>', page)]
    assert len(commands) == len(titles)
    for words in map(shlex.split, commands):
        assert words[0] == "vislang"
        importlib.import_module(COMMANDS[words[1]].module).build_parser().parse_args(words[2:])
    assert "Flickr8K" in page
    assert "<script type=" in page
    assert 'aria-pressed="true"' in page
    assert not re.search(r'(?:src|href)="(?!data:)', page), "the page needs no other file"


def test_what_is_not_there_is_said_before_the_models_are_loaded(tmp_path, capsys):
    assert demo.main([str(tmp_path / "none"), "--out", str(tmp_path / "page.txt")]) == 2
    assert "expected a name such as page.html" in capsys.readouterr().err
    assert demo.main([str(tmp_path / "*.jpg"), "--out", str(tmp_path / "page.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "page.html").exists()
