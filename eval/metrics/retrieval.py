"""Retrieval metrics from ranks: recall, median and mean rank, reciprocal rank; one pass or the mean of five folds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.ranking import Ranks, retrieval_ranks
from vislang.core.errors import EvalError


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


def five_folds(
    image_embeddings: ArrayLike, caption_embeddings: ArrayLike, image_of_caption: ArrayLike
) -> tuple[Ranks, ...]:
    """Rank five consecutive, unshuffled folds of the images separately: the "5 x 1K" of COCO.

    Embeddings are float [N, D], N a multiple of five, and [M, D]; `image_of_caption` is int [M], 0..N-1.

    Raises:
        EvalError: N is no multiple of five, or as for `retrieval_ranks`.
    """
    images = np.asarray(image_embeddings)
    captions = np.asarray(caption_embeddings)
    owners = np.asarray(image_of_caption)
    if len(images) == 0 or len(images) % 5:
        raise EvalError(f"{len(images)} images cannot be cut into five equal folds; use --protocol full")
    if len(owners) != len(captions):
        raise EvalError(f"image_of_caption names {len(owners)} captions, expected {len(captions)}, one for each")
    size = len(images) // 5
    folds = []
    for start in range(0, len(images), size):
        inside = (owners >= start) & (owners < start + size)
        folds.append(retrieval_ranks(images[start : start + size], captions[inside], owners[inside] - start))
    return tuple(folds)


PROTOCOLS = {
    "full": lambda images, captions, owners: (retrieval_ranks(images, captions, owners),),
    "five-folds": five_folds,
}


def _checked(ranks: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(ranks)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer) or array.min() < 0:
        raise EvalError(
            f"ranks are {array.dtype} of shape {array.shape}, expected whole numbers [queries] from 0 up, at least one"
        )
    return array
