"""Row 7 of docs/trust.md: a text of which no word is known finds nothing, and says so."""

import json

import numpy as np
import pytest

import captioner
import saliency
import vse
from vislang.core.errors import ConfigError
from vse import search

STRANGE = ["", "???", "zxcvb", "собака", "犬", "\U0001f600", "zxcvb ...", "\ud800"]


@pytest.fixture(scope="module")
def ranker(tiny_ranker):
    return vse.load_model(tiny_ranker)


@pytest.fixture(scope="module")
def images(ranker, album):
    return vse.encode_images(ranker, album)


@pytest.mark.parametrize("text", STRANGE)
def test_row_7_a_search_for_unknown_words_is_refused(ranker, images, tiny_ranker, album, capsys, text):
    with pytest.raises(ConfigError, match="the search got .*, expected at least one word that the ranker knows"):
        vse.retrieve_images(ranker, images, ["a dog", text])
    with pytest.raises(
        ConfigError, match="the first of 1 sentences got .*, expected at least one word that the ranker knows"
    ):
        vse.retrieve_captions(ranker, images, [text])
    with pytest.raises(ConfigError, match="positive got .*, expected at least one word that the ranker knows"):
        vse.regularities(ranker, images, album / "b.png", "red", text)
    command = ["--model", str(tiny_ranker), "--images", str(album / "b.png"), "--text", text]
    assert search.main(command) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert "expected at least one word that the ranker knows" in output.err


def test_row_7_captions_without_a_known_word_match_nothing(ranker, images, capsys, tiny_ranker, album, tmp_path):
    captions = ["zxcvb", "a dog", "???", "a red cat"]
    found = vse.retrieve_captions(ranker, images, captions, top=4)
    expected = vse.retrieve_captions(ranker, images, ["a dog", "a red cat"], top=4)
    for matches, same in zip(found, expected, strict=True):
        assert [match.name for match in matches] == [match.name for match in same]
        assert [match.score for match in matches] == pytest.approx([match.score for match in same], abs=1e-6)
        assert [captions[match.index] for match in matches] == [match.name for match in matches]
    vectors = vse.encode_sentences(ranker, captions)
    assert vse.retrieve_captions(ranker, images, captions, vectors=vectors, top=4).matches == found.matches
    (tmp_path / "s.txt").write_text("\n".join(captions))
    command = ["--model", str(tiny_ranker), "--images", str(album / "b.png"), "--sentences", str(tmp_path / "s.txt")]
    assert search.main([*command, "--json"]) == 0
    output = capsys.readouterr()
    (row,) = json.loads(output.out)["images"]
    assert {one["sentence"] for one in row["results"]} == {"a dog", "a red cat"}
    assert "left out 2 sentences without a word that the ranker knows, such as: zxcvb" in output.err


def test_row_7_known_words_find_what_they_found_before(ranker, images):
    query = vse.encode_sentences(ranker, "a dog zxcvb")
    (matches,) = vse.retrieve_images(ranker, images, "a dog zxcvb", top=3)
    np.testing.assert_allclose(sorted((query @ images.vectors.T)[0])[::-1], [match.score for match in matches])


@pytest.mark.parametrize("text", ["zxcvb", "собака 犬"])
@pytest.mark.parametrize("method", ["activation", "gradient"])
def test_row_7_words_without_meaning_have_no_maps(tiny_captioner, album, text, method):
    model = captioner.load_model(tiny_captioner)
    with pytest.raises(ConfigError, match="expected words of which the model knows one; try others"):
        saliency.explain_image(model, album / "b.png", text, method=method)


def test_row_7_phrases_of_unknown_words_have_no_region(album):
    with pytest.raises(ConfigError, match="got 'zxcvb', expected words of which the aligner knows one"):
        captioner.ground_phrases(captioner.load_aligner(), album / "b.png", "zxcvb")
