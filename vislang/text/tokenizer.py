"""The tokenizer of training, search and scoring: a sentence as lower-case words."""

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

# Punctuation that the PTB caption tokenizer drops before scoring; also useless for search.
_MARKS = "'' ' `` ` -lrb- -rrb- -lcb- -rcb- ( ) { } [ ] . ? ! , : ; - -- ... \" “ ” ‘ ’ / \\ & * # | _ ~ < > = + ^"
_PUNCTUATION = frozenset(_MARKS.split())
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def tokenize(sentence: str) -> list[str]:
    """Split a sentence into lower-case words by Penn Treebank rules, without punctuation.

    Works on raw text and on text that is already tokenized ("a dog ."). Control characters count as spaces. NLTK's word
    rules are applied without its sentence splitter, which would need a download.
    """
    text = _CONTROL.sub(" ", unicodedata.normalize("NFC", sentence)).lower()
    return [word for word in _treebank().tokenize(text) if word not in _PUNCTUATION]


def tokenize_split(words: Sequence[str]) -> tuple[list[str], list[tuple[int, int]]]:
    """Tokenize a sentence that is already split into words, such as that of an annotation.

    Returns:
        The tokens, and for each word (first, after the last) of its tokens: none for punctuation, two for "dog's".
    """
    tokens: list[str] = []
    spans = []
    for word in words:
        start = len(tokens)
        tokens += tokenize(word)
        spans.append((start, len(tokens)))
    return tokens, spans


def split_words(sentence: str) -> list[str]:
    """Split at white space, keeping case and punctuation, as the data of Kiros et al. expects."""
    return sentence.split()


@functools.cache
def _treebank() -> Any:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()


TOKENIZERS = {"treebank": tokenize, "whitespace": split_words}
