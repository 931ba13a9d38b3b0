"""Tokenizer and vocabulary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vislang.core.errors import CheckpointError, DataError
from vislang.text.tokenizer import split_words, tokenize
from vislang.text.vocabulary import END, PAD, START, UNKNOWN, Vocabulary
from vislang.text.word_vectors import embedding_table

SENTENCES = [["a", "dog", "runs"], ["a", "dog"], ["a", "cat"]]


def test_tokenize_is_the_same_for_raw_and_tokenized_text():
    assert tokenize("A dog, running!") == tokenize("a dog , running !") == ["a", "dog", "running"]
    assert tokenize("The man's hat isn't red.") == ["the", "man", "'s", "hat", "is", "n't", "red"]
    assert tokenize("") == [] == tokenize(" . ")
    assert tokenize("-LRB- so -RRB- (they) say") == ["so", "they", "say"]
    assert split_words(" A dog . ") == ["A", "dog", "."]


@given(st.text())
def test_tokens_never_hold_separators_or_upper_case(text):
    for word in tokenize(text):
        assert word
        assert len(word.split()) == 1
        assert len(word.splitlines()) == 1
        assert not any(character.isspace() for character in word)


def test_vocabulary_orders_by_count_then_alphabet():
    words = Vocabulary.fit(SENTENCES, splits=["train"] * 3)
    assert words.words[4:] == ("a", "dog", "cat", "runs")
    assert words.encode(["a", "zebra"], start=True, end=True) == [START, 4, UNKNOWN, END]
    assert words.decode([START, 4, 5, END, 6]) == ["a", "dog"]
    assert words.decode([4, PAD, 6]) == ["a", "cat"]
    assert "dog" in words
    assert "zebra" not in words


def test_rare_words_become_unknown():
    assert Vocabulary.fit(SENTENCES, splits=["train"], min_count=2).words[4:] == ("a", "dog")
    assert Vocabulary.fit(SENTENCES, splits=["train"], drop_rarest=2).words[4:] == ("a", "dog")


def test_log_frequencies_peak_at_zero():
    logs = Vocabulary.fit(SENTENCES, splits=["train"]).log_frequencies()
    assert logs.dtype == np.float32
    assert logs.max() == 0 == logs[4]
    np.testing.assert_allclose(logs[5], np.log(2 / 3), rtol=1e-6)


def test_other_splits_are_a_leak():
    with pytest.raises(DataError, match=r"split 'train' only, got \['dev'\] as well"):
        Vocabulary.fit(SENTENCES, splits=["train", "dev"])
    with pytest.raises(DataError, match="no word is left"):
        Vocabulary.fit(SENTENCES, splits=["train"], min_count=9)


def test_json_round_trip_and_damage():
    words = Vocabulary.fit(SENTENCES, splits=["train"])
    again = Vocabulary.from_json(words.to_json())
    assert (again.words, again.counts) == (words.words, words.counts)
    with pytest.raises(CheckpointError, match="not a vocabulary"):
        Vocabulary.from_json({"words": ["a"]})
    with pytest.raises(CheckpointError, match="not distinct"):
        Vocabulary(["a", "a"])


def test_word_vectors_of_known_words_are_read(tmp_path):
    (tmp_path / "vectors.txt").write_text("dog 1 2 3\nat name@domain.com 4 5 6\n\na 7 8 9\nboat 1 1 1\n\n")
    vocabulary = Vocabulary(["dog", "at", "a", "cat"])
    table = embedding_table(tmp_path / "vectors.txt", vocabulary, 3)
    assert table.shape == (8, 3)
    assert table[vocabulary.id("dog")].tolist() == [1, 2, 3]
    assert table[vocabulary.id("a")].tolist() == [7, 8, 9]
    assert np.abs(table[[vocabulary.id("at"), vocabulary.id("cat")]]).max() <= 0.1
    np.testing.assert_array_equal(table, embedding_table(tmp_path / "vectors.txt", vocabulary, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dog 1 2 3 4\n", r"line 1: 'dog' has 4 numbers, expected 3; set word_dim=4"),
        ("dog\n", r"line 1: 'dog' has 0 numbers, expected 3"),
        ("boat 1 2 3\n", "holds none of the 5 words"),
        (None, "cannot be read as word vectors"),
    ],
)
def test_word_vectors_that_do_not_fit_are_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "vectors.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        embedding_table(tmp_path / "vectors.txt", Vocabulary(["dog"]), 3)
