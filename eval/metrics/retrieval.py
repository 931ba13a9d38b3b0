"""Retrieval metrics from ranks: recall, median and mean rank, reciprocal rank; of one pass or the mean over folds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.ranking import Ranks, retrieval_ranks
from eval.metrics.row_file import as_rows
from vislang.core.errors import EvalError, look_up


@dataclass(frozen=True)
class RetrievalMetrics:
    """One row of a retrieval table; `i2t` ranks captions for an image, `t2i` images for a caption.

    Attributes:
        i2t_r1: recall in percent, 0..100, higher is better; the same for r5 and r10.
        i2t_medr: median rank counted from 1, lower is better.
        i2t_meanr: mean rank counted from 1, lower is better.
        i2t_mrr: mean reciprocal rank, 0..1, higher is better.
        rsum: sum of the six recalls, 0..600, higher is better.
    """

    i2t_r1: float
    i2t_r5: float
    i2t_r10: float
    i2t_medr: float
    i2t_meanr: float
    i2t_mrr: float
    t2i_r1: float
    t2i_r5: float
    t2i_r10: float
    t2i_medr: float
    t2i_meanr: float
    t2i_mrr: float
    rsum: float

    def to_json(self) -> dict[str, float]:
        """Return the metrics by name."""
        return asdict(self)


METRICS = tuple(field.name for field in fields(RetrievalMetrics))
RECALLS = ("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10")


def recall_at(ranks: ArrayLike, k: int) -> float:
    """Return the percentage, 0..100, of ranks [Q], counted from 0, that are among the first `k`; higher is better.

    Raises:
        EvalError: no ranks, negative ranks, or k below 1.
    """
    if k < 1:
        raise EvalError(f"got recall at {k}, expected 1 or more")
    return float(100.0 * np.mean(_checked(ranks) < k))


def median_rank(ranks: ArrayLike) -> float:
    """Return floor(median of the ranks [Q] counted from 0) + 1, as the original ranker prints it."""
    return float(np.floor(np.median(_checked(ranks))) + 1)


def mean_rank(ranks: ArrayLike) -> float:
    """Return the mean, counted from 1, of ranks [Q] counted from 0; lower is better."""
    return float(np.mean(_checked(ranks)) + 1)


def mean_reciprocal_rank(ranks: ArrayLike) -> float:
    """Return the mean of 1 / rank, 0..1, of ranks [Q] counted from 0; higher is better."""
    return float(np.mean(1.0 / (_checked(ranks) + 1.0)))


def retrieval_metrics(folds: Ranks | Sequence[Ranks]) -> RetrievalMetrics:
    """Compute one row of a retrieval table from the ranks of one pass, or as the mean over folds.

    Raises:
        EvalError: no folds.
    """
    if isinstance(folds, Ranks):
        folds = [folds]
    if not folds:
        raise EvalError("got no ranks, expected those of one pass or of each fold")
    values = {}
    for name, metric in _METRICS.items():
        values[f"i2t_{name}"] = float(np.mean([metric(fold.image_to_text) for fold in folds]))
        values[f"t2i_{name}"] = float(np.mean([metric(fold.text_to_image) for fold in folds]))
    return RetrievalMetrics(**values, rsum=rsum(values))


_METRICS: dict[str, Callable[[NDArray[np.int64]], float]] = {
    "r1": lambda ranks: recall_at(ranks, 1),
    "r5": lambda ranks: recall_at(ranks, 5),
    "r10": lambda ranks: recall_at(ranks, 10),
    "medr": median_rank,
    "meanr": mean_rank,
    "mrr": mean_reciprocal_rank,
}


def rsum(metrics: dict[str, float]) -> float:
    """Return the sum of the six recalls, 0..600, higher is better; `metrics` holds `RECALLS`."""
    return sum(metrics[name] for name in RECALLS)


@dataclass(frozen=True)
class Fold:
    """Images that are searched by themselves, with their captions.

    Attributes:
        images: rows of the images.
        captions: int64 [m], rows of their captions.
        image_of_caption: int64 [m], the image of each, counted from the first of the fold.
    """

    images: slice
    captions: NDArray[np.int64]
    image_of_caption: NDArray[np.int64]


PROTOCOLS = {  # how many of five equal, consecutive folds are searched; 0: all images at once
    "full": 0,  # COCO's 5K
    "first-fold": 1,  # COCO's 1K
    "five-folds": 5,  # COCO's 5 x 1K
}


def folds_of(protocol: str, num_images: int, image_of_caption: ArrayLike) -> tuple[Fold, ...]:
    """Cut a split into the unshuffled folds that a protocol searches one by one.

    Args:
        protocol: a name in PROTOCOLS.
        num_images: N, a multiple of five for folds.
        image_of_caption: int [M], 0..N-1.

    Raises:
        ConfigError: an unknown protocol.
        EvalError: images that cannot be cut.
    """
    count = look_up(PROTOCOLS, protocol, "protocol")
    owners = np.asarray(image_of_caption)
    if not count:
        return (Fold(slice(0, num_images), np.arange(len(owners)), owners),)
    if num_images == 0 or num_images % 5:
        raise EvalError(f"{num_images} images cannot be cut into five equal folds; use --protocol full")
    size = num_images // 5
    folds = []
    for start in range(0, count * size, size):
        (captions,) = np.nonzero((owners >= start) & (owners < start + size))
        folds.append(Fold(slice(start, start + size), captions, owners[captions] - start))
    return tuple(folds)


def ranks_by_protocol(
    protocol: str, image_embeddings: Any, caption_embeddings: Any, image_of_caption: ArrayLike
) -> tuple[Ranks, ...]:
    """Rank with embeddings, as `retrieval_ranks` takes them, inside each fold of a protocol; see `folds_of`.

    Of a fold the embeddings are read into memory, of all images at once they are not.

    Raises:
        ToolkitError: as for `folds_of` and `retrieval_ranks`.
    """
    images = as_rows(image_embeddings)
    captions = as_rows(caption_embeddings)
    owners = np.asarray(image_of_caption)
    if len(owners) != len(captions):
        raise EvalError(f"image_of_caption names {len(owners)} captions, expected {len(captions)}, one for each")
    folds = folds_of(protocol, len(images), owners)
    if protocol == "full":
        return (retrieval_ranks(images, captions, owners),)
    return tuple(retrieval_ranks(images[one.images], captions[one.captions], one.image_of_caption) for one in folds)


def _checked(ranks: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(ranks)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer) or array.min() < 0:
        raise EvalError(
            f"ranks are {array.dtype} of shape {array.shape}, expected whole numbers [queries] from 0 up, at least one"
        )
    return array
