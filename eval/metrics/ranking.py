"""Exact ranks of the correct results, images to captions and back, from one blocked matrix product.

Every score is computed once. Captions are grouped by image, so the block on the diagonal holds all correct
pairs of its images and captions; diagonal blocks go first and give the thresholds, the others are only
counted against them. No score is ever compared with one that another formula gave for the same pair, and the
images x captions matrix never exists as a whole. Embeddings are read block by block too, so that they may lie in files.

A wrong candidate that ties with the correct one is ranked before it: a model that maps everything to one point
gets the worst ranks, not the best. Equal embeddings always tie, although a matrix product may round their
scores differently in its middle and at its edges.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.row_file import as_rows, in_blocks
from vislang.core.errors import EvalError

ScoreTile = Callable[[slice, slice], NDArray[np.floating]]

# 1000 images x 5000 captions is 20 MB of scores. 2560 is 4 % slower alone and up to twice as slow on a busy machine.
BLOCK = 5000

_BAND = 64  # images whose comparisons are counted at a time, so that they stay in the second-level cache


@dataclass(frozen=True)
class Ranks:
    """Ranks of the correct results, counted from 0 (0 is best), with ties ranked pessimistically.

    Attributes:
        image_to_text: int64 [N], for each image the rank of its best caption among the captions of other images.
        text_to_image: int64 [M], for each caption the rank of its image.
        image_of_caption: int64 [M], the image that each caption describes.
    """

    image_to_text: NDArray[np.int64]
    text_to_image: NDArray[np.int64]
    image_of_caption: NDArray[np.int64]


@dataclass(frozen=True)
class _Embeddings:
    """Rows of `source`, float [N, D], in the order in which they are ranked; None: as they stand."""

    source: Any
    order: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        chosen = self.source[rows] if self.order is None else self.source[self.order[rows]]
        with np.errstate(over="ignore"):  # too large for float32: infinite, refused by `_equal_rows`
            return np.ascontiguousarray(chosen, np.float32)


def retrieval_ranks(
    image_embeddings: Any, caption_embeddings: Any, image_of_caption: ArrayLike, *, block: int = BLOCK
) -> Ranks:
    """Rank all captions for each image and all images for each caption by dot product.

    Beside the embeddings it takes some 60 bytes for each of them, and at most 6 `block`^2 + 12 `block` D bytes, 180 MB
    for D = 512, for the block that is ranked.

    Args:
        image_embeddings: float [N, D], an array or what gives arrays for slices and for int arrays of rows, such as a
            `RowFile`; computed in float32; higher dot product is better.
        caption_embeddings: float [M, D], likewise.
        image_of_caption: int [M], values 0..N-1 in any order; every image needs at least one caption.
        block: captions per block; changes time and memory, never the ranks.

    Raises:
        EvalError: shapes that do not fit, NaN or infinite values, an image without captions.
    """
    image_rows = _rows("image", image_embeddings)
    caption_rows = _rows("caption", caption_embeddings)
    if image_rows.shape[1] != caption_rows.shape[1]:
        raise EvalError(
            f"image embeddings have width {image_rows.shape[1]}, caption embeddings {caption_rows.shape[1]}; "
            "expected both from the same model"
        )
    owners = _owners(image_of_caption, len(caption_rows), len(image_rows))
    order = np.argsort(owners, kind="stable")
    images = _Embeddings(image_rows)
    captions = _Embeddings(caption_rows, None if _is_grouped(owners) else order)

    def score_tile(rows: slice, columns: slice) -> NDArray[np.floating]:
        with np.errstate(over="ignore", invalid="ignore"):  # _checked refuses what overflows, with its counts
            return images[rows] @ captions[columns].T

    grouped = owners[order]
    groups = _groups(grouped, len(images), block)
    ranks = _count(score_tile, grouped, groups, _equal_rows("image", images), _equal_rows("caption", captions))
    return _in_given_order(ranks, order, owners)


def ranks_from_scores(scores: ArrayLike, image_of_caption: ArrayLike, *, block: int = BLOCK) -> Ranks:
    """Rank with a score matrix of any origin, float [N, M] of N images and M captions, higher is better.

    `image_of_caption` is int [M], values 0..N-1; `block` captions are ranked at a time.

    Raises:
        EvalError: shapes that do not fit, NaN or infinite scores, an image without captions.
    """
    matrix = np.asarray(scores)
    if matrix.ndim != 2:
        raise EvalError(f"scores have shape {matrix.shape}, expected [images, captions]")
    owners = _owners(image_of_caption, matrix.shape[1], len(matrix))
    order = np.argsort(owners, kind="stable")
    grouped = _is_grouped(owners)

    def score_tile(rows: slice, columns: slice) -> NDArray[np.floating]:
        if grouped:
            return matrix[rows, columns]
        return matrix[rows][:, order[columns]]

    ranks = _count(score_tile, owners[order], _groups(owners[order], len(matrix), block))
    return _in_given_order(ranks, order, owners)


def _count(
    score_tile: ScoreTile,
    owners: NDArray[np.int64],
    groups: list[tuple[slice, slice]],
    equal_images: NDArray[np.int64] | None = None,
    equal_captions: NDArray[np.int64] | None = None,
) -> Ranks:
    """Go once over all tiles, the diagonal ones first, and count the candidates not worse than the correct one.

    Args:
        score_tile: returns the scores of a slice of images and a slice of captions.
        owners: int64 [M] image of each caption, never falling.
        groups: runs of images with their captions.
        equal_images: int64 [N], equal indices for equal embeddings; None when no two are equal.
        equal_captions: int64 [M], the same for captions.
    """
    num_images = groups[-1][0].stop
    ranks = Ranks(np.zeros(num_images, np.int64), np.zeros(len(owners), np.int64), owners)
    best_captions = np.zeros(num_images, np.int64)
    best_scores = own_scores = np.empty(0, np.float32)  # grow with each diagonal tile, in the tiles' own precision

    def count(tile: NDArray, rows: slice, columns: slice, own: tuple | None = None) -> None:
        beats_caption = tile >= best_scores[rows][:, None]
        beats_image = tile >= own_scores[columns]
        if equal_captions is not None:
            beats_caption |= equal_captions[columns] == equal_captions[best_captions[rows]][:, None]
        if equal_images is not None:
            beats_image |= equal_images[rows][:, None] == equal_images[owners[columns]]
        if own is not None:  # correct pairs are no wrong candidates
            beats_caption[own] = beats_image[own] = False
        ranks.image_to_text[rows] += _sum(beats_caption, axis=1)
        ranks.text_to_image[columns] += _sum(beats_image, axis=0)

    for rows, columns in groups:
        tile = _checked(score_tile(rows, columns), rows)
        own = owners[columns] - rows.start, np.arange(columns.stop - columns.start)
        best = _best_caption(tile[own], own[0])
        best_captions[rows] = columns.start + best
        best_scores = np.append(best_scores, tile[own][best])  # of each image with its best caption
        own_scores = np.append(own_scores, tile[own])  # of each caption with its image
        count(tile, rows, columns, own)
    for _, columns in groups:
        for rows, others in groups:
            if others != columns:
                tile = _checked(score_tile(rows, columns), rows)
                for top in range(rows.start, rows.stop, _BAND):
                    band = slice(top, min(top + _BAND, rows.stop))
                    count(tile[top - rows.start : band.stop - rows.start], band, columns)
    return ranks


def _best_caption(scores: NDArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each image of a tile, the column of its best caption."""
    by_image = np.lexsort((scores, rows))  # the best caption of each image comes last
    return by_image[np.flatnonzero(np.diff(rows[by_image], append=-1))]


def _sum(mask: NDArray[np.bool_], *, axis: int) -> NDArray[np.uint32]:
    return mask.view(np.uint8).sum(axis=axis, dtype=np.uint32)  # several times faster than summing booleans


def _equal_rows(what: str, embeddings: _Embeddings) -> NDArray[np.int64] | None:
    """Return int64 [N], for each row the index of the first equal row; None when all rows differ.

    Raises:
        EvalError: NaN or infinite values.
    """
    count = len(embeddings)
    hashes = np.empty(count, np.int64)
    bad_values = 0
    bad_rows = 0
    for block in in_blocks(count):
        rows = embeddings[block]
        bad = ~np.isfinite(rows)
        bad_values += int(np.count_nonzero(bad))
        bad_rows += int(np.count_nonzero(bad.any(axis=1)))
        hashes[block] = [hash(row.tobytes()) for row in rows + 0.0]  # + 0.0 makes -0.0 and 0.0 one
    if bad_values:
        raise EvalError(
            f"{what} embeddings hold {bad_values} NaN or infinite values in {bad_rows} of {count} rows; they have no"
            " rank, check the model and its features"
        )
    _, firsts, which = np.unique(hashes, return_index=True, return_inverse=True)
    if len(firsts) == count:
        return None
    first_rows = firsts[which]
    for index in np.flatnonzero(first_rows != np.arange(count)).tolist():
        first = int(first_rows[index])
        if not np.array_equal(embeddings[index : index + 1], embeddings[first : first + 1]):
            first_rows[index] = index  # other rows of the same hash
    return first_rows


def _in_given_order(ranks: Ranks, order: NDArray[np.intp], owners: NDArray[np.int64]) -> Ranks:
    text_to_image = np.empty_like(ranks.text_to_image)
    text_to_image[order] = ranks.text_to_image
    return Ranks(ranks.image_to_text, text_to_image, owners)


def _checked(tile: NDArray[np.floating], rows: slice) -> NDArray[np.floating]:
    if not np.isfinite(tile).all():
        raise EvalError(
            f"scores hold {np.count_nonzero(~np.isfinite(tile))} NaN or infinite values among images "
            f"{rows.start}..{rows.stop - 1}; they have no rank, check the model for overflow"
        )
    return tile


def _rows(what: str, values: Any) -> Any:
    rows = as_rows(values)
    if len(rows.shape) != 2 or 0 in rows.shape:
        raise EvalError(f"{what} embeddings have shape {tuple(rows.shape)}, expected [rows, width], neither of them 0")
    return rows


def _owners(image_of_caption: ArrayLike, num_captions: int, num_images: int) -> NDArray[np.int64]:
    owners = np.asarray(image_of_caption)
    if owners.ndim != 1 or not len(owners) or not np.issubdtype(owners.dtype, np.integer):
        raise EvalError(
            f"image_of_caption is {owners.dtype} of shape {owners.shape}, expected whole numbers [captions], 1 or more"
        )
    if len(owners) != num_captions:
        raise EvalError(f"image_of_caption names {len(owners)} captions, expected {num_captions}, one for each caption")
    if owners.min() < 0 or owners.max() >= num_images:
        raise EvalError(
            f"image_of_caption holds {owners.min()}..{owners.max()}, expected 0..{num_images - 1}, the rows of images"
        )
    bare = np.flatnonzero(np.bincount(owners, minlength=num_images) == 0)
    if len(bare):
        shown = ", ".join(map(str, bare[:5])) + (", ..." if len(bare) > 5 else "")
        raise EvalError(f"{len(bare)} images have no caption (rows {shown}) and so no rank; leave them out")
    return owners.astype(np.int64)


def _is_grouped(owners: NDArray[np.int64]) -> bool:
    return bool((np.diff(owners) >= 0).all())


def _groups(owners: NDArray[np.int64], num_images: int, block: int) -> list[tuple[slice, slice]]:
    """Cut images into runs that hold about `block` captions each; return each run with its captions."""
    if block < 1:
        raise EvalError(f"block is {block}, expected 1 caption or more")
    first_captions = np.searchsorted(owners, np.arange(num_images + 1))
    cuts = np.searchsorted(first_captions, np.arange(0, len(owners), block))
    edges = np.unique([*cuts, num_images]).tolist()
    groups = []
    for start, stop in itertools.pairwise(edges):
        groups.append((slice(start, stop), slice(int(first_captions[start]), int(first_captions[stop]))))
    return groups
