"""The pictures and sentences of the results page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from eval.gallery import Gallery, Match, Query, thumbnail

_NOTE = "Picked at random, not by how well they did. ✓ is right, ✗ belongs to another image."


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
