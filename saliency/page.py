"""Explanations as what pages show of them; a piece of the commands that write such pages."""

from typing import Any

from saliency.word_page import ExplainedPicture, ExplainedWord, picture_uri
from vislang.draw.heatmap import veil

_SIDE = 1000  # pixels of the longer side of the pictures on a page


def shown_picture(picture: Any, name: str, found: Any, *, side: int = _SIDE) -> ExplainedPicture:
    """Give what a page shows of an explained picture.

    Args:
        picture: a PIL image.
        name: what stands over it, plain text.
        found: its `saliency.word_maps.Explanation`.
        side: pixels of the longer side on the page.
    """
    rows = zip(found.words, found.unknown, found.evidence, found.maps[0], strict=True)
    words = [
        ExplainedWord(word, not strange, float(evidence), picture_uri(veil(scores)))
        for word, strange, evidence, scores in rows
    ]
    return ExplainedPicture(name, picture_uri(picture, side=side), words, found.seen)
