"""The album of a folder: captions and a search by meaning on one page, with untrained models."""

import json
import re
import shutil

import numpy as np
import pytest

from app.album import main
from captioner.inference import Caption
from captioner.output_formats import Captioned
from captioner.page import captions_page
from vislang.draw.html.search_field import WordScores


def test_scores_are_centred_per_word_and_kept_as_bytes():
    import base64

    scores = WordScores(["one", "<two>"], np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    page = captions_page("t", [], [], scores=scores).html()
    stored = json.loads(re.search(r'id="word-scores">(.*?)</script>', page)[1])
    assert stored["words"] == ["one", "<two>"]
    assert "<two>" not in page
    kept = np.frombuffer(base64.b64decode(stored["scores"]), np.int8).reshape(2, 3)
    assert kept[1].tolist() == [0, 0, 0]
    assert kept[0, 1] == 0
    assert kept[0, 0] == -kept[0, 2] < 0


def test_the_text_that_is_searched_holds_name_and_all_captions(tmp_path):
    shown = Captioned(tmp_path / "X.png", [Caption("a Dog", -1.0, (0.5, 0.5, 0.5)), Caption("a cat", -2.0, (0.5,))])
    assert 'data-text="x.png a dog a cat"' in captions_page("t", [], [shown]).html()


@pytest.mark.slow
def test_the_album_captions_what_it_can_read_and_lists_the_rest(tiny_captioner, tiny_ranker, album, tmp_path, capsys):
    out = tmp_path / "album.html"
    models = ["--model", str(tiny_captioner), str(tiny_ranker)]
    assert main(["--images", str(album), "--out", str(out), *models]) == 3
    output = capsys.readouterr()
    assert "3 images, 2 left out" in output.out
    assert str(out) in output.out
    page = out.read_text()
    assert page.count('class="card picture-card"') == 3
    assert all(
        name in page for name in ("a.jpg", "b.png", "empty.jpg", "letter.jpg", "captions and search without a network")
    )
    stored = json.loads(re.search(r'id="word-scores">(.*?)</script>', page)[1])
    assert stored["words"] == ["a", "dog", "cat", "red", "blue"]


def test_mistakes_end_in_one_line_and_write_nothing(tiny_ranker, album, tmp_path, capsys):
    out = tmp_path / "album.html"
    none, other = str(tmp_path / "none"), tmp_path / "other"
    shutil.copytree(tiny_ranker, other)
    models = ["--model", str(tiny_ranker)]
    mistakes = [
        (["--images", f"{none}*.jpg", *models], "holds no image"),
        (["--images", str(album), *models, none], "none"),
        (["--images", str(album), *models, str(other)], "is of kind 'vse', expected one captioner and one ranker"),
    ]
    for words, message in mistakes:
        assert main([*words, "--out", str(out)]) == 2
        output = capsys.readouterr().err
        assert message in output
        assert output.count("\n") == 1
    assert not out.exists()
