"""Search in a page without a server: by the words of captions, and by scores of words with images."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from vislang.draw.html.page import asset

STYLE = asset("search_field.css")
SCRIPT = asset("search_field.js")
_UNIT = 25  # stored scores in one standard deviation of all words and images


@dataclass(frozen=True)
class WordScores:
    """How well each of W lower-case words fits each of N images: float [W, N], compared within a word only."""

    words: Sequence[str]
    scores: np.ndarray


def search_field(hint: str) -> str:
    """Return the HTML of the search field; `hint` is shown while it is empty."""
    return (
        '<search class="search-field"><label><span class="hidden">Search the images</span>'
        f'<input type="search" placeholder="{escape(hint)}" autocomplete="off"></label>'
        '<output aria-live="polite"></output></search>'
    )


def stored_scores(scores: WordScores) -> str:
    """Return the scores as JSON inside a script element.

    Each word is centred over the images, then a byte of each score is kept; `_UNIT` is one standard deviation of them
    all.
    """
    values = np.asarray(scores.scores, np.float64)
    values = values - values.mean(axis=1, keepdims=True)
    levels = np.round(_UNIT * values / max(float(values.std()), 1e-12))
    stored = np.clip(levels, -127, 127).astype(np.int8)
    content = {
        "words": list(scores.words),
        "scores": base64.b64encode(stored.tobytes()).decode("ascii"),
        "unit": _UNIT,
    }
    text = json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")
    return f'<script type="application/json" id="word-scores">{text}</script>'
