"""The tour of a folder: captions and a search by meaning on one page, with untrained models."""

import json
import re
import shutil

import numpy as np

from app.album import main
from captioner.page import ShownCaption, ShownPicture, generate_page
from vislang.draw.html.search_box import WordScores


def test_scores_are_centred_per_word_and_kept_as_bytes():
    import base64

    scores = WordScores(["one", "<two>"], np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    page = "".join(generate_page("t", [], [], scores=scores))
    stored = json.loads(re.search(r'id="word-scores">(.*?)</script>', page)[1])
    assert stored["words"] == ["one", "<two>"]
    assert "<two>" not in page
    kept = np.frombuffer(base64.b64decode(stored["scores"]), np.int8).reshape(2, 3)
    assert kept[1].tolist() == [0, 0, 0]
    assert kept[0, 1] == 0
    assert kept[0, 0] == -kept[0, 2] < 0


def test_the_text_that_is_searched_holds_name_and_all_captions(tmp_path):
    shown = ShownPicture(tmp_path / "x.png", "X.png", [ShownCaption([("a", 0.5), ("Dog", 0.5)], -1, 0.5)])
    assert 'data-text="x.png a dog"' in "".join(generate_page("t", [], [shown]))


def test_the_tour_captions_what_it_can_read_and_lists_the_rest(tiny_captioner, tiny_ranker, album, tmp_path, capsys):
    out = tmp_path / "tour.html"
    models = ["--captioner", str(tiny_captioner), "--ranker", str(tiny_ranker)]
    assert main(["--photos", str(album), "--out", str(out), *models]) == 3
    said = capsys.readouterr()
    assert "3 photographs, 2 left out" in said.out
    assert str(out) in said.out
    page = out.read_text()
    assert page.count('class="card find"') == 3
    assert all(
        name in page for name in ("a.jpg", "b.png", "empty.jpg", "letter.jpg", "captions and search without a network")
    )
    stored = json.loads(re.search(r'id="word-scores">(.*?)</script>', page)[1])
    assert stored["words"] == ["a", "dog", "cat", "red", "blue"]


def test_mistakes_end_in_one_line_and_write_nothing(tiny_ranker, album, tmp_path, capsys):
    out = tmp_path / "tour.html"
    none, other = str(tmp_path / "none"), tmp_path / "other"
    shutil.copytree(tiny_ranker, other)
    for words in (["--photos", none], ["--photos", str(album), "--ranker", none]):
        assert main([*words, "--captioner", str(other), "--out", str(out)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()
