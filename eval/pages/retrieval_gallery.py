"""Examples for the eye: images with the sentences found for them, sentences with the images found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import EvalError
from vislang.core.seeds import stream
from vislang.draw.html.thumbnails import thumbnail

_NOTE = "Picked at random, not by how well they did. ✓ is right, ✗ belongs to another image."


@dataclass(frozen=True)
class Match:
    """One candidate found for a query: its row, its score (higher is better), whether it is a right answer."""

    row: int
    score: float
    right: bool


@dataclass(frozen=True)
class Query:
    """One query and its best candidates, best first.

    Attributes:
        row: of the image or sentence that asks.
        rank: of the best right answer, counted from 1, with ties against us.
        matches: the first few candidates.
    """

    row: int
    rank: int
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class Collection:
    """The images and sentences that a gallery's rows point to.

    Attributes:
        names: one for each image, shown where there is no picture.
        paths: the image files, None where there is none.
        sentences: one for each caption row.
        image_of_caption: the image row of each caption.
    """

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
    image_embeddings: NDArray,
    caption_embeddings: NDArray,
    image_of_caption: NDArray,
    *,
    queries: int = 12,
    top: int = 5,
    seed: int = 0,
) -> Gallery:
    """Pick queries at random, not by how well they did, and find their best candidates.

    Args:
        image_embeddings: float [N, D]; higher dot product is better.
        caption_embeddings: float [M, D].
        image_of_caption: int [M], values 0..N-1.
        queries: how many images, and how many sentences, to show.
        top: how many candidates for each.
        seed: decides the picks.

    Raises:
        EvalError: nothing to show was asked for.
    """
    if queries < 1 or top < 1:
        raise EvalError(f"gallery of {queries} queries with {top} candidates was asked for, expected 1 or more of both")
    images, captions = (np.asarray(rows, np.float32) for rows in (image_embeddings, caption_embeddings))
    owners = np.asarray(image_of_caption)
    image_rows, caption_rows = (
        stream(seed, "gallery", what).permutation(len(rows))[:queries]
        for what, rows in (("images", images), ("sentences", captions))
    )
    return Gallery(
        tuple(_query(row, captions @ images[row], owners == row, top) for row in image_rows),
        tuple(_query(row, images @ captions[row], np.arange(len(images)) == owners[row], top) for row in caption_rows),
    )


def gallery_sections(gallery: Gallery, collection: Collection) -> list[str]:
    """Write both halves of the gallery as HTML sections.

    Args:
        gallery: what the model found.
        collection: what its rows stand for.
    """
    pictures = _pictures(gallery, collection)
    finds = "".join(_sentences_found(query, collection, pictures) for query in gallery.image_queries)
    asks = "".join(_pictures_found(query, collection, pictures) for query in gallery.sentence_queries)
    note = f'<p class="soft">{_NOTE}</p>'
    return [
        f"<section><h2>Sentences found for images</h2>{note}<div class='finds'>{finds}</div></section>",
        f"<section><h2>Images found for sentences</h2>{note}{asks}</section>",
    ]


def _query(row: int, scores: NDArray, right: NDArray[np.bool_], top: int) -> Query:
    order = np.lexsort((right, -scores))[:top]  # of tied candidates the wrong ones first, as in the ranks
    rank = 1 + np.count_nonzero((scores >= scores[right].max()) & ~right)
    return Query(int(row), int(rank), tuple(Match(int(i), float(scores[i]), bool(right[i])) for i in order))


def _pictures(gallery: Gallery, collection: Collection) -> dict[int, str | None]:
    rows = {query.row for query in gallery.image_queries}
    rows |= {match.row for query in gallery.sentence_queries for match in query.matches}
    return {row: thumbnail(collection.paths[row]) for row in sorted(rows)}


def _sentences_found(query: Query, collection: Collection, pictures: Mapping[int, str | None]) -> str:
    found = "".join(
        f'<li class="{_verdict(match)}">{_mark(match)}'
        f'<span class="words">{escape(collection.sentences[match.row])}</span></li>'
        for match in query.matches
    )
    return (
        f'<article class="card find">{_picture(query.row, collection, pictures)}<div class="body">{_rank(query)}'
        f'<ol class="sentences">{found}</ol></div></article>'
    )


def _pictures_found(query: Query, collection: Collection, pictures: Mapping[int, str | None]) -> str:
    found = "".join(
        f'<li class="{_verdict(match)}">{_picture(match.row, collection, pictures)}{_mark(match)}</li>'
        for match in query.matches
    )
    return (
        f'<article class="card asks"><blockquote>{escape(collection.sentences[query.row])}</blockquote>{_rank(query)}'
        f'<ol class="pictures">{found}</ol></article>'
    )


def _picture(row: int, collection: Collection, pictures: Mapping[int, str | None]) -> str:
    name = escape(collection.names[row])
    if pictures[row] is None:
        return f'<div class="missing" role="img" aria-label="no picture at hand: {name}">{name}</div>'
    captions = [
        text for text, owner in zip(collection.sentences, collection.image_of_caption, strict=True) if owner == row
    ]
    return (
        f'<img src="{pictures[row]}" alt="{escape(captions[0] if captions else collection.names[row])}" loading="lazy">'
    )


def _rank(query: Query) -> str:
    return f'<p class="rank">first right answer at rank <b>{query.rank:,}</b></p>'


def _verdict(match: Match) -> str:
    return "right" if match.right else "wrong"


def _mark(match: Match) -> str:
    return f'<span class="mark"><span aria-hidden="true">{"✓" if match.right else "✗"}</span>' + (
        f'<span class="hidden">{_verdict(match)}</span></span>'
    )
