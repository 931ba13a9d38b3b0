"""Examples of retrieval: images with the sentences retrieved for them, sentences with their images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics.row_file import products
from vislang.core.errors import EvalError
from vislang.core.seeds import stream
from vislang.draw.html.elements import cards, picture, picture_card, section
from vislang.draw.html.thumbnails import thumbnail

_NOTE = "Picked at random, not by how well they did. ✓ is right, ✗ belongs to another image."


@dataclass(frozen=True)
class RankedItem:
    """A candidate for a query: its row, its score (higher is better), whether it is a right answer."""

    row: int
    score: float
    right: bool


@dataclass(frozen=True)
class Query:
    """A query image or sentence, the rank from 1 of its best right answer, and the first candidates."""

    row: int
    rank: int
    matches: tuple[RankedItem, ...]


@dataclass(frozen=True)
class Collection:
    """The images and sentences that a gallery's rows point to; an image without file has no path."""

    names: Sequence[str]
    paths: Sequence[Path | None]
    sentences: Sequence[str]
    image_of_caption: Sequence[int]


@dataclass(frozen=True)
class Gallery:
    """What the page shows of one model."""

    image_queries: tuple[Query, ...]
    sentence_queries: tuple[Query, ...]


def build_gallery(
    image_embeddings: Any,
    caption_embeddings: Any,
    image_of_caption: NDArray,
    *,
    queries: int = 12,
    top: int = 5,
) -> Gallery:
    """Pick `queries` images and sentences at random, not by how well they did, and find the `top` candidates of each.

    Embeddings are float [N, D] and [M, D], arrays or `RowFile`s, a higher dot product is better; `image_of_caption` is
    int [M], 0..N-1.

    Raises:
        EvalError: nothing to show was requested.
    """
    if queries < 1 or top < 1:
        raise EvalError(f"gallery of {queries} queries with {top} candidates was requested, expected 1 or more of both")
    images = image_embeddings
    captions = caption_embeddings
    owners = np.asarray(image_of_caption)
    image_queries = []
    rows = stream(0, "gallery", "images").permutation(len(images))[:queries]
    for row, scores in zip(rows, products(captions, images[rows]), strict=True):
        image_queries.append(_query(row, scores, owners == row, top))
    sentence_queries = []
    rows = stream(0, "gallery", "sentences").permutation(len(captions))[:queries]
    for row, scores in zip(rows, products(images, captions[rows]), strict=True):
        is_owner = np.arange(len(images)) == owners[row]
        sentence_queries.append(_query(row, scores, is_owner, top))
    return Gallery(tuple(image_queries), tuple(sentence_queries))


def gallery_sections(gallery: Gallery, collection: Collection) -> list[str]:
    """Return both halves of the gallery as HTML sections."""
    pictures = _pictures(gallery, collection)
    by_image = []
    for query in gallery.image_queries:
        by_image.append(_image_query(query, collection, pictures))
    by_sentence = []
    for query in gallery.sentence_queries:
        by_sentence.append(_sentence_query(query, collection, pictures))
    return [
        section("Sentences retrieved for images", cards(by_image), text=_NOTE),
        section("Images retrieved for sentences", *by_sentence, text=_NOTE),
    ]


def _query(row: int, scores: NDArray, right: NDArray[np.bool_], top: int) -> Query:
    order = np.lexsort((right, -scores))[:top]  # of tied candidates the wrong ones first, as in the ranks
    rank = 1 + np.count_nonzero((scores >= scores[right].max()) & ~right)
    matches = [RankedItem(int(candidate), float(scores[candidate]), bool(right[candidate])) for candidate in order]
    return Query(int(row), int(rank), tuple(matches))


def _pictures(gallery: Gallery, collection: Collection) -> dict[int, str]:
    """Return the HTML of each image of the gallery, by its row."""
    rows = {query.row for query in gallery.image_queries}
    for query in gallery.sentence_queries:
        rows.update(match.row for match in query.matches)
    first_caption: dict[int, str] = {}
    for text, row in zip(collection.sentences, collection.image_of_caption, strict=True):
        first_caption.setdefault(row, text)
    pictures = {}
    for row in sorted(rows):
        name = collection.names[row]
        pictures[row] = picture(thumbnail(collection.paths[row]), first_caption.get(row, name), name)
    return pictures


def _image_query(query: Query, collection: Collection, pictures: Mapping[int, str]) -> str:
    found = ""
    for match in query.matches:
        words = f'<span class="words">{escape(collection.sentences[match.row])}</span>'
        found += f'<li class="{_verdict(match)}">{_mark(match)}{words}</li>'
    return picture_card(pictures[query.row], _rank(query), f'<ol class="sentences">{found}</ol>')


def _sentence_query(query: Query, collection: Collection, pictures: Mapping[int, str]) -> str:
    found = ""
    for match in query.matches:
        found += f'<li class="{_verdict(match)}">{pictures[match.row]}{_mark(match)}</li>'
    return (
        f'<article class="card query-card"><blockquote>{escape(collection.sentences[query.row])}</blockquote>'
        f'{_rank(query)}<ol class="pictures">{found}</ol></article>'
    )


def _rank(query: Query) -> str:
    return f'<p class="rank">first right answer at rank <b>{query.rank:,}</b></p>'


def _verdict(match: RankedItem) -> str:
    return "right" if match.right else "wrong"


def _mark(match: RankedItem) -> str:
    sign = "✓" if match.right else "✗"
    return (
        f'<span class="mark"><span aria-hidden="true">{sign}</span><span class="hidden">{_verdict(match)}</span></span>'
    )
