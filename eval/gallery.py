"""Examples for the eye: images with the sentences found for them, sentences with the images found."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import EvalError
from common.seeds import stream

THUMBNAIL_SIDE = 320
_MAX_PIXELS = 80_000_000  # a small file can claim a picture of gigabytes; look at its header before decoding


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


def thumbnail(path: Path | None, *, side: int = THUMBNAIL_SIDE) -> str | None:
    """Give an image file as a small JPEG in a data URI, or None when there is no readable image.

    Args:
        path: the image file; None where only features are at hand.
        side: longest side in pixels.
    """
    from PIL import Image, ImageOps

    if path is None:
        return None
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MAX_PIXELS:
                return None
            image.draft("RGB", (2 * side, 2 * side))  # lets JPEG decode at a fraction of its size
            small = ImageOps.exif_transpose(image).convert("RGB")
            small.thumbnail((side, side))
    except Exception:  # broken EXIF raises nearly anything; a broken image leaves a gap on the page
        return None
    return data_uri(small)


def data_uri(picture: Any) -> str:
    """Give an RGB PIL image as a JPEG in a data URI."""
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")


def _query(row: int, scores: NDArray, right: NDArray[np.bool_], top: int) -> Query:
    order = np.lexsort((right, -scores))[:top]  # of tied candidates the wrong ones first, as in the ranks
    rank = 1 + np.count_nonzero((scores >= scores[right].max()) & ~right)
    return Query(int(row), int(rank), tuple(Match(int(i), float(scores[i]), bool(right[i])) for i in order))
