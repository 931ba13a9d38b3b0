"""Bootstrap over images: 95 % intervals of caption scores, for one set of captions and for the difference of two.

BLEU and METEOR of a set are no means over its images, so their statistics are resampled and summed. CIDEr keeps the
n-gram weights of the whole set: the interval is over images, not over weights.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.metrics.bootstrap import (
    RESAMPLES,
    Difference,
    paired_difference,
    percentile_intervals,
    require_resamples,
)
from eval.metrics.captions.bleu_rouge import bleu_from_statistics
from eval.metrics.captions.coco_files import image_key
from eval.metrics.captions.meteor_formula import meteor_from_statistics
from eval.metrics.captions.score import BLEU_NAMES, CaptionScores
from vislang.core.errors import EvalError
from vislang.core.seeds import stream

Floats = NDArray[np.float64]

_MEANS = ("rouge_l", "cider")


def mean_intervals(
    runs: Sequence[CaptionScores], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile interval of the mean over runs of each corpus score that all of them have.

    The runs are of different training seeds; all captioned the same images in the same order, and have the same draws.

    Raises:
        EvalError: no runs, runs over other images, less than 40 resamples or fewer than 2 images.
    """
    if not runs:
        raise EvalError("got no runs, expected the scores of at least one")
    for run in runs[1:]:
        if run.image_ids != runs[0].image_ids:
            raise EvalError(
                f"runs captioned {len(runs[0].image_ids)} and {len(run.image_ids)} images, not the same ones in the "
                "same order; expected one split for all runs"
            )
    return percentile_intervals([resampled_scores(run, resamples, seed) for run in runs])


def compare_captions(
    scores_a: CaptionScores, scores_b: CaptionScores, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Compare the scores that two sets of captions of the same images have, drawing the same images for both.

    The order of the images may differ. The smallest p-value is 2 / (resamples + 1).

    Raises:
        EvalError: other images or another tokenizer, less than 40 resamples or fewer than 2 images.
    """
    names_a = list(map(image_key, scores_a.image_ids))
    names_b = list(map(image_key, scores_b.image_ids))
    if set(names_a) != set(names_b):
        only = len(set(names_a) ^ set(names_b))
        raise EvalError(
            f"the sets caption {len(names_a)} and {len(names_b)} images, {only} of them in one set only; "
            "expected the same images, score both on the same split"
        )
    if scores_a.tokenizer != scores_b.tokenizer:
        raise EvalError(
            f"the sets were scored with the tokenizers {scores_a.tokenizer!r} and {scores_b.tokenizer!r}; "
            "expected the same, score both again on a machine with Java"
        )
    row_of = {name: row for row, name in enumerate(names_b)}
    drawn_a = resampled_scores(scores_a, resamples, seed)
    drawn_b = resampled_scores(scores_b, resamples, seed, rows=[row_of[name] for name in names_a])
    differences = {}
    for name, a in scores_a.corpus.items():
        if name in scores_b.corpus:
            differences[name] = paired_difference(a, scores_b.corpus[name], drawn_b[name] - drawn_a[name])
    return differences


def resampled_scores(
    scores: CaptionScores, resamples: int = RESAMPLES, seed: int = 0, *, rows: Sequence[int] | None = None
) -> dict[str, Floats]:
    """Compute every corpus score, float64 [resamples], on many draws of the images with replacement.

    The draws depend on the seed and on the number of images only, so that sets can be paired; `rows` is an order of the
    images, to pair sets that name them in another one.

    Raises:
        EvalError: less than 40 resamples or fewer than 2 images.
    """
    num_images = len(scores.image_ids)
    require_resamples(resamples)
    if num_images < 2:
        raise EvalError(f"got scores of {num_images} image, expected 2 or more for an interval")
    order = np.arange(num_images)
    if rows is not None:
        order = np.asarray(rows)
    columns = {name: scores.per_image[name][order, None] for name in _MEANS if name in scores.per_image}
    columns |= {name: values[order] for name, values in scores.statistics.items()}
    random = stream(seed, "bootstrap", "captions", num_images)
    sums: dict[str, list[Floats]] = {}
    for _ in range(resamples):
        times = np.bincount(random.integers(num_images, size=num_images), minlength=num_images)  # [N]
        for name, values in columns.items():
            sums.setdefault(name, []).append(times @ values)
    drawn: dict[str, Floats] = {}
    for name, rows_of_sums in sums.items():
        drawn |= _scores_of(name, np.stack(rows_of_sums), num_images)
    return drawn


def _scores_of(name: str, sums: Floats, num_images: int) -> dict[str, Floats]:
    if name == "bleu":
        return dict(zip(BLEU_NAMES, bleu_from_statistics(sums).T, strict=True))
    if name == "meteor":
        return {name: meteor_from_statistics(sums)}
    return {name: sums[:, 0] / num_images}
