"""What the words of `vislang search` are: its sentence, or images to search in."""

import pytest

from vse import search
from vse.search_arguments import with_words


@pytest.mark.parametrize(
    ("words", "text", "images"),
    [
        (["a dog"], "a dog", []),
        (["a", "dog"], "a dog", []),
        (["a bird", "--images", "pics"], "a bird", ["pics"]),
        (["a dog", "--like", "pics/1.jpg"], "a dog", []),
        (["is there a dog?"], "is there a dog?", []),
        (["a dog/cat"], "a dog/cat", []),
        ([""], "", []),
        (["pics", "a dog"], "pics a dog", []),
        (["pics", "--like", "pics/1.jpg"], None, ["pics"]),
        (["pics/*.jpg"], None, ["pics/*.jpg"]),
        (["none", "--text", "a dog"], "a dog", ["none"]),
        (["none", "--sentences", "s.txt", "--images", "pics"], None, ["none", "pics"]),
        (["a" * 5000], "a" * 5000, []),
    ],
)
def test_words_are_the_text_where_they_are_no_files(tmp_path, monkeypatch, words, text, images):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "1.jpg").touch()
    args = with_words(search.build_parser().parse_args(words))
    assert (args.text, args.images) == (text, images)
