"""Score saliency maps against eye fixations: every metric for every image, with inter-observer scores as the ceiling.

All maps of an image are scored on the same negatives, so that methods can be compared image by image. A method is a
function that returns the map of a record.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.metrics.bootstrap import mean_interval
from eval.metrics.fixations.auc import (
    OTHERS,
    SPLITS,
    STEP,
    Pixels,
    auc_borji,
    auc_borji_exact,
    auc_judd,
    auc_judd_exact,
    auc_shuffled,
    auc_shuffled_exact,
    pixels_inside,
)
from eval.metrics.fixations.maps import PRIORS, Floats, add_prior, blur_map, fixation_map, resize_map
from eval.metrics.fixations.nss_cc_sim_kl import cc, information_gain, kl, nss, sim
from eval.metrics.pointing_game import centre_map
from vislang.core.errors import ConfigError, EvalError, ToolkitError, unknown_name
from vislang.core.seeds import stream

METRICS = (
    "sauc_exact",  # negatives: all fixations on the other images
    "sauc_ten_exact",  # negatives: those on ten other images
    "sauc",  # the benchmark's, with the same ten
    "auc_judd",
    "auc_judd_exact",
    "auc_borji",
    "auc_borji_exact",
    "nss",
    "cc",
    "sim",
    "kl",
    "ig",
)
_CEILING_WIDTH = 200  # pixels


Viewed = Any  # a `datasets.fixations.records.FixationRecord`, which this layer cannot import
MapOf = Callable[[Any], np.ndarray]  # a record's map, float [h, w] of any size


@dataclass(frozen=True)
class FixationProtocol:
    """How maps are scored; goes into every result.

    Attributes:
        blur: standard deviation of the Gaussian that smooths every map, in shares of the width; 0 for none.
        centre_prior: "none", "multiply" or "log-add".
        centre_std: of the centre Gaussian, in shares of the sides; as a prior, as a baseline, and as the reference of
            information gain.
        fixation_blur: standard deviation of the Gaussians of a fixation map, in shares of the width.
        others: number of images whose fixations are the negatives of the benchmark's shuffled AUC.
        splits: draws of negatives.
        step: between the benchmark's thresholds.
        seed: of the draws.
    """

    blur: float = 0.03
    centre_prior: str = "none"
    centre_std: float = 0.25
    fixation_blur: float = 0.03
    others: int = OTHERS
    splits: int = SPLITS
    step: float = STEP
    seed: int = 0

    def __post_init__(self) -> None:
        if self.centre_prior not in PRIORS:
            raise unknown_name("centre prior", self.centre_prior, PRIORS)
        if not 0 <= self.blur < 1 or not 0 < self.fixation_blur < 1:
            raise ConfigError(
                f"got blur {self.blur:g} and fixation blur {self.fixation_blur:g}, expected shares of the width"
                " below 1, such as 0.03"
            )

    def without_prior(self) -> "FixationProtocol":
        """Return the same protocol without a centre prior."""
        return replace(self, centre_prior="none")

    def suffix(self) -> str:
        """Return what distinguishes file names of this protocol from those of the default: "", or such as "blur0"."""
        default = FixationProtocol()
        words = []
        if self.blur != default.blur:
            words.append(f"blur{self.blur:g}")
        if self.seed != default.seed:
            words.append(f"seed{self.seed}")
        return "-".join(words)


@dataclass(frozen=True)
class MetricSummary:
    """Mean of a metric over images, the ends of its 95 % bootstrap interval, and the number of images."""

    mean: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class FixationScores:
    """The scores of one method.

    Attributes:
        values: for each of `METRICS` float64 [N], one for each image; NaN where it is not defined.
        skipped: (image, reason) of missing maps; their values are NaN.
    """

    values: Mapping[str, NDArray[np.float64]]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def summary(self) -> dict[str, MetricSummary | None]:
        """Return the summary of each metric; None where it is defined for no image."""
        return {name: _summarize(values) for name, values in self.values.items()}

    def gain_over(self, other: "FixationScores") -> dict[str, MetricSummary | None]:
        """Return the summary of this method's scores minus those of another method on the same images.

        Raises:
            EvalError: the two were scored on other images.
        """
        gains = {}
        for name, values in self.values.items():
            if len(values) != len(other.values[name]):
                raise EvalError("two methods were scored on other images, expected the same ones; run both on one set")
            gains[name] = _summarize(values - other.values[name])
        return gains


def _summarize(values: Floats) -> MetricSummary | None:
    interval = mean_interval(values)
    if interval is None:
        return None
    return MetricSummary(float(np.nanmean(values)), *interval, int((~np.isnan(values)).sum()))


class GroundTruth(NamedTuple):
    """What the maps of one image are scored against."""

    fixations: Pixels  # int64 [n, 2], rows and columns of all observers' fixations
    fixation_map: Floats | None  # float64 [H, W], the smoothed fixations; None where no map is compared with it
    others: Pixels  # int64 [m, 2], the fixations on all other images, in this image's pixels
    ten_others: Pixels  # int64 [k, 2], those on ten of them
    centre: Floats  # float64 [H, W], the centre Gaussian


def evaluate_maps(
    records: Sequence[Viewed],
    methods: Mapping[str, MapOf],
    protocol: FixationProtocol,
    *,
    progress: Callable[[Any], Iterable] = iter,
) -> dict[str, FixationScores]:
    """Score several methods, {name: function of a record}, on all images, at least 2.

    A ToolkitError that a method raises skips that image for that method; `progress` wraps the loop over images.
    """
    fixations = _FixationPool(records)
    found = {name: FixationScores(_empty_columns(len(records))) for name in methods}
    for row, record in enumerate(progress(records)):
        truth = fixations.ground_truth(row, record.size, protocol)
        for name, map_of in methods.items():
            try:
                scores = prepare_map(map_of(record), record.size, protocol)
            except ToolkitError as error:
                found[name].skipped.append((record.image_id, str(error)))
                continue
            for metric, value in score_map(scores, truth, protocol, record.image_id).items():
                found[name].values[metric][row] = value
    return found


def prepare_map(scores: np.ndarray, size: tuple[int, int], protocol: FixationProtocol) -> Floats:
    """Resize a map [h, w] to the image's (width, height), smooth it and add the centre prior: float64 [H, W]."""
    smooth = blur_map(resize_map(scores, size), protocol.blur)
    return add_prior(smooth, centre_map(*smooth.shape, std=protocol.centre_std), protocol.centre_prior)


def score_map(scores: Floats, truth: GroundTruth, protocol: FixationProtocol, image_id: str) -> dict[str, float]:
    """Return every metric of a map [H, W] from `prepare_map`; CC, SIM and KL only where there is a fixation map.

    `image_id` decides the random draws.
    """
    random = stream(protocol.seed, "fixations", image_id)
    fixations = truth.fixations
    ten = truth.ten_others
    found = {
        "sauc_exact": auc_shuffled_exact(scores, fixations, truth.others),
        "sauc_ten_exact": auc_shuffled_exact(scores, fixations, ten),
        "sauc": auc_shuffled(scores, fixations, ten, random, splits=protocol.splits, step=protocol.step),
        "auc_judd": auc_judd(scores, fixations, random),
        "auc_judd_exact": auc_judd_exact(scores, fixations),
        "auc_borji": auc_borji(scores, fixations, random, splits=protocol.splits, step=protocol.step),
        "auc_borji_exact": auc_borji_exact(scores, fixations),
        "nss": nss(scores, fixations),
        "ig": information_gain(scores, fixations, truth.centre),
    }
    other_map = truth.fixation_map
    if other_map is not None and len(fixations):
        found |= {"cc": cc(scores, other_map), "sim": sim(scores, other_map), "kl": kl(scores, other_map)}
    return found


def evaluate_observers(
    records: Sequence[Viewed], protocol: FixationProtocol, *, progress: Callable[[Any], Iterable] = iter
) -> FixationScores:
    """Score observers by each other, the ceiling: each one is predicted by the smoothed fixations of the others.

    An image's value is the mean over its observers. Maps are 200 pixels wide, since an image costs fifteen maps. CC,
    SIM and KL are left out: a map of one observer's few fixations differs from the fifteen observers' map that models
    are compared with. `blur` and `centre_prior` of the protocol are not used.
    """
    columns = _empty_columns(len(records))
    pool = _FixationPool(records)
    for row, record in enumerate(progress(records)):
        found = _score_observers(record, row, pool, protocol)
        if not found:
            continue
        for metric in found[0]:
            values = np.array([one[metric] for one in found])
            if not np.isnan(values).all():
                columns[metric][row] = np.nanmean(values)
    return FixationScores(columns)


def _score_observers(
    record: Viewed, row: int, pool: "_FixationPool", protocol: FixationProtocol
) -> list[dict[str, float]]:
    """Return the scores of each observer of an image who has fixations, predicted by the others."""
    scale = min(1.0, _CEILING_WIDTH / record.size[0])
    size = (max(1, round(record.size[0] * scale)), max(1, round(record.size[1] * scale)))
    shape = size[::-1]
    truth = pool.ground_truth(row, size, protocol, with_map=False)
    stretch = np.array(size) / record.size
    pixels = [pixels_inside(points * stretch, size)[0] for points in record.subjects]
    maps = _maps_of_others(pixels, shape, protocol.fixation_blur * size[0])
    total = sum(map(len, pixels))
    found = []
    for observer, own in enumerate(pixels):
        if 0 < len(own) < total:
            truth_of_one = truth._replace(fixations=own)
            found.append(score_map(maps[observer], truth_of_one, protocol, f"{record.image_id}/{observer}"))
    return found


def _maps_of_others(pixels: Sequence[Pixels], shape: tuple[int, int], std: float) -> Floats:
    """Return float64 [observers, H, W], for each observer the fixation map of all the others.

    Nothing is subtracted: far from all fixations the rounding of a difference would decide the order of the pixels.
    """
    each = np.stack([fixation_map(one, shape, std) for one in pixels])
    nothing = np.zeros((1, *shape))
    before = np.concatenate([nothing, each[:-1].cumsum(axis=0)])
    after = np.concatenate([each[:0:-1].cumsum(axis=0)[::-1], nothing])
    return before + after


def _empty_columns(count: int) -> dict[str, Floats]:
    return {metric: np.full(count, np.nan) for metric in METRICS}


class _FixationPool:
    """The fixations on all images in shares of their sides, for negatives from other images."""

    def __init__(self, records: Sequence[Viewed]):
        if len(records) < 2:
            raise EvalError(
                f"got {len(records)} image, expected at least 2: shuffled AUC takes its negatives from other images"
            )
        self._records = records
        shares = []
        for record in records:
            points = np.concatenate([np.zeros((0, 2)), *record.subjects])
            shares.append((pixels_inside(points, record.size)[0] + 0.5) / record.size[::-1])
        self._shares = np.concatenate(shares)
        self._owners = np.repeat(np.arange(len(records)), list(map(len, shares)))

    def ground_truth(
        self, row: int, size: tuple[int, int], protocol: FixationProtocol, *, with_map: bool = True
    ) -> GroundTruth:
        """Return what maps of `size` of one image are scored against."""
        shape = size[::-1]
        pixels = np.floor(self._shares * shape).astype(np.int64)
        random = stream(protocol.seed, "other pictures", self._records[row].image_id)
        count = min(protocol.others, len(self._records) - 1)
        drawn = random.choice(len(self._records) - 1, count, replace=False)
        own = self._owners == row
        ten = np.isin(self._owners, drawn + (drawn >= row))
        observed = None
        if with_map:
            observed = fixation_map(pixels[own], shape, protocol.fixation_blur * size[0])
        centre = centre_map(*shape, std=protocol.centre_std)
        return GroundTruth(pixels[own], observed, pixels[~own], pixels[ten], centre)
