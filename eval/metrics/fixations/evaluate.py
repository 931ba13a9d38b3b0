"""Scores maps against where people looked: every metric for every picture, with people themselves as the ceiling.

All maps of a picture are judged in one go, on the same negatives, so that models can be compared picture by picture.
Nothing here knows a model: a method is a function that gives the map of a record.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eval.metrics.bootstrap import mean_interval
from eval.metrics.fixations.auc import (
    OTHERS,
    SPLITS,
    STEP,
    Places,
    auc_borji,
    auc_borji_exact,
    auc_judd,
    auc_judd_exact,
    auc_shuffled,
    auc_shuffled_exact,
    places_inside,
)
from eval.metrics.fixations.maps import PRIORS, Floats, blurred, fitted, people_map, with_prior
from eval.metrics.fixations.nss_cc_sim_kl import cc, information_gain, kl, nss, sim
from eval.metrics.pointing_game import centre_map
from vislang.core.errors import ConfigError, EvalError, ToolkitError
from vislang.core.seeds import stream

METRICS = (
    "sauc_exact",  # all fixations on the other pictures are negatives
    "sauc_ten_exact",  # those on ten others
    "sauc",  # the benchmark's, of the same ten
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
LOWER_IS_BETTER = frozenset({"kl"})
OF_MAPS = ("cc", "sim", "kl")  # compare with the people's map, the others with the fixations themselves
_CEILING_WIDTH = 200  # pixels


class Viewed(Protocol):
    """What a record of fixations must have; `datasets.fixations.records.FixationRecord` does."""

    @property
    def image_id(self) -> str:
        """Name of the picture."""

    @property
    def path(self) -> Path:
        """The picture."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    @property
    def subjects(self) -> Sequence[Floats]:
        """For each person float [n, 2], x and y in pixels."""


MapOf = Callable[[Any], np.ndarray]  # a record's map, float [h, w] of any size


@dataclass(frozen=True)
class FixationProtocol:
    """How maps are judged; goes into every result.

    Attributes:
        blur: deviation of the Gaussian that smooths every map, in shares of the width; 0 for none.
        centre_prior: how the centre is brought into a map; see `eval.metrics.fixations.maps.with_prior`.
        centre_deviation: of the centre Gaussian, in shares of the sides; as a prior, as a baseline, and as what
            information gain is measured against.
        people_blur: deviation of the Gaussian that makes a map of fixations, in shares of the width.
        others: pictures whose fixations are the negatives of the benchmark's shuffled AUC.
        splits: draws of negatives.
        step: between the benchmark's thresholds.
        seed: of the draws.
    """

    blur: float = 0.03
    centre_prior: str = "none"
    centre_deviation: float = 0.25
    people_blur: float = 0.03
    others: int = OTHERS
    splits: int = SPLITS
    step: float = STEP
    seed: int = 0

    def __post_init__(self) -> None:
        if self.centre_prior not in PRIORS:
            raise ConfigError(f"centre prior {self.centre_prior!r} is not known, expected one of {', '.join(PRIORS)}")
        if not 0 <= self.blur < 1 or not 0 < self.people_blur < 1:
            raise ConfigError(
                f"blur {self.blur:g} and {self.people_blur:g} were given, expected shares of the width below 1, such"
                " as 0.03"
            )

    def to_json(self) -> dict[str, Any]:
        """Give the settings by name."""
        return asdict(self)


@dataclass(frozen=True)
class FixationScores:
    """What came of one method.

    Attributes:
        values: for each of `METRICS` float64 [N], one for each picture; NaN where it is not defined.
        skipped: (picture, reason) of maps that could not be had; their values are NaN.
    """

    values: Mapping[str, NDArray[np.float64]]
    skipped: tuple[tuple[str, str], ...] = ()

    def summary(self, seed: int = 0) -> dict[str, dict[str, float] | None]:
        """Give mean, ends of the 95 % interval over pictures, and number of pictures of each metric, or None."""
        table: dict[str, dict[str, float] | None] = {}
        for name, values in self.values.items():
            ends = mean_interval(values, seed=seed)
            known = int((~np.isnan(values)).sum())
            mean = float(np.nanmean(values)) if known else math.nan
            table[name] = ends and {"mean": mean, "low": ends[0], "high": ends[1], "images": known}
        return table

    def ahead_of(self, other: "FixationScores", seed: int = 0) -> dict[str, dict[str, float] | None]:
        """Give how far this method is above another on the same pictures, with the 95 % interval; see `summary`."""
        if any(len(values) != len(other.values[name]) for name, values in self.values.items()):
            raise EvalError(
                "two methods were judged on other pictures, so they cannot be compared; run both on one set"
            )
        differences = {name: values - other.values[name] for name, values in self.values.items()}
        return FixationScores(differences).summary(seed)


class Truth(NamedTuple):
    """What the maps of one picture are judged against.

    Attributes:
        places: int64 [n, 2], rows and columns of all people's fixations.
        people: float64 [H, W], the fixations smoothed; None where only fixations are asked.
        others: int64 [m, 2], the fixations on all other pictures, in this one's pixels.
        ten: int64 [k, 2], those on ten of them.
        baseline: float64 [H, W], the centre Gaussian.
    """

    places: Places
    people: Floats | None
    others: Places
    ten: Places
    baseline: Floats


def evaluate_maps(
    records: Sequence[Viewed],
    methods: Mapping[str, MapOf],
    protocol: FixationProtocol,
    *,
    progress: Callable[[Any], Iterable] = iter,
) -> dict[str, FixationScores]:
    """Judge several methods on all pictures.

    Args:
        records: N pictures, at least 2.
        methods: {name: function of a record}; an error of ours that one raises skips that picture of that method.
        protocol: see `FixationProtocol`.
        progress: wraps the loop over pictures.
    """
    field = _Field(records)
    table = {name: {metric: np.full(len(records), np.nan) for metric in METRICS} for name in methods}
    skipped: dict[str, list[tuple[str, str]]] = {name: [] for name in methods}
    for number, record in enumerate(progress(records)):
        truth = field.truth(number, record.size, protocol)
        for name, map_of in methods.items():
            try:
                scores = prepared(map_of(record), record.size, protocol)
            except ToolkitError as error:
                skipped[name].append((record.image_id, str(error)))
                continue
            for metric, value in judge(scores, truth, protocol, record.image_id).items():
                table[name][metric][number] = value
    return {name: FixationScores(values, tuple(skipped[name])) for name, values in table.items()}


def prepared(scores: np.ndarray, size: tuple[int, int], protocol: FixationProtocol) -> Floats:
    """Bring a map to the picture's size, smooth it, then bring in the centre: float64 [H, W]."""
    smooth = blurred(fitted(scores, size), protocol.blur)
    return with_prior(smooth, centre_map(*smooth.shape, deviation=protocol.centre_deviation), protocol.centre_prior)


def judge(scores: Floats, truth: Truth, protocol: FixationProtocol, image_id: str) -> dict[str, float]:
    """Give every metric of one map [H, W]; those that compare with the people's map only where there is one."""
    random = stream(protocol.seed, "fixations", image_id)
    places, ten = truth.places, truth.ten
    found = {
        "sauc_exact": auc_shuffled_exact(scores, places, truth.others),
        "sauc_ten_exact": auc_shuffled_exact(scores, places, ten),
        "sauc": auc_shuffled(scores, places, ten, random, splits=protocol.splits, step=protocol.step),
        "auc_judd": auc_judd(scores, places, random),
        "auc_judd_exact": auc_judd_exact(scores, places),
        "auc_borji": auc_borji(scores, places, random, splits=protocol.splits, step=protocol.step),
        "auc_borji_exact": auc_borji_exact(scores, places),
        "nss": nss(scores, places),
        "ig": information_gain(scores, places, truth.baseline),
    }
    if truth.people is not None and len(places):
        people = truth.people
        found |= {"cc": cc(scores, people), "sim": sim(scores, people), "kl": kl(scores, people)}
    return found


def evaluate_people(
    records: Sequence[Viewed], protocol: FixationProtocol, *, progress: Callable[[Any], Iterable] = iter
) -> FixationScores:
    """Judge people by each other, the ceiling: the others' smoothed fixations predict one person, for each in turn.

    A picture's value is the mean over its people. Maps are 200 pixels wide: the Gaussians are several pixels wide even
    so, nothing finer is in them, and a picture costs fifteen maps. CC, SIM and KL are left out: one person's few
    fixations make another map than the fifteen's that models are compared with.

    Args:
        records: N pictures.
        protocol: see `FixationProtocol`; `blur` and `centre_prior` take no part.
        progress: wraps the loop over pictures.
    """
    values = {metric: np.full(len(records), np.nan) for metric in METRICS}
    field = _Field(records)
    for number, record in enumerate(progress(records)):
        scale = min(1.0, _CEILING_WIDTH / record.size[0])
        size = max(1, round(record.size[0] * scale)), max(1, round(record.size[1] * scale))
        shape, deviation = size[::-1], protocol.people_blur * size[0]
        truth = field.truth(number, size, protocol, with_map=False)
        stretch = np.array(size) / record.size
        places = [places_inside(points * stretch, size)[0] for points in record.subjects]
        found = [
            judge(rest, truth._replace(places=own), protocol, f"{record.image_id}/{person}")
            for person, (own, rest) in enumerate(zip(places, _sums_of_others(places, shape, deviation), strict=True))
            if len(own) and len(own) < sum(map(len, places))
        ]
        for metric in found[0] if found else ():
            column = np.array([one[metric] for one in found])
            values[metric][number] = np.nanmean(column) if not np.isnan(column).all() else np.nan
    return FixationScores(values)


def _sums_of_others(places: Sequence[Places], shape: tuple[int, int], deviation: float) -> Floats:
    """Give float64 [people, H, W], for each person the map of all the others.

    Nothing is subtracted: far from all fixations the rounding of a difference would decide the order of the pixels.
    """
    each = np.stack([people_map(one, shape, deviation) for one in places])
    nobody = np.zeros((1, *shape))
    before = np.concatenate([nobody, each[:-1].cumsum(axis=0)])
    after = np.concatenate([each[:0:-1].cumsum(axis=0)[::-1], nobody])
    return before + after


class _Field:
    """The fixations on all pictures in shares of their sides, for negatives from other pictures."""

    def __init__(self, records: Sequence[Viewed]):
        if len(records) < 2:
            raise EvalError(
                f"{len(records)} picture was given, expected at least 2: shuffled AUC takes its negatives from others"
            )
        self._records = records
        inside = [
            places_inside(np.concatenate([np.zeros((0, 2)), *record.subjects]), record.size)[0] for record in records
        ]
        shares = [(places + 0.5) / record.size[::-1] for places, record in zip(inside, records, strict=True)]
        self._shares = np.concatenate(shares)
        self._owners = np.repeat(np.arange(len(records)), [len(places) for places in inside])

    def truth(self, number: int, size: tuple[int, int], protocol: FixationProtocol, *, with_map: bool = True) -> Truth:
        """Give what maps of `size` of one picture are judged against."""
        shape = size[::-1]
        places = np.floor(self._shares * shape).astype(np.int64)
        random = stream(protocol.seed, "other pictures", self._records[number].image_id)
        count = min(protocol.others, len(self._records) - 1)
        drawn = random.choice(len(self._records) - 1, count, replace=False)
        chosen = drawn + (drawn >= number)
        own = self._owners == number
        ten = np.isin(self._owners, chosen)
        people = people_map(places[own], shape, protocol.people_blur * size[0]) if with_map else None
        baseline = centre_map(*shape, deviation=protocol.centre_deviation)
        return Truth(places[own], people, places[~own], places[ten], baseline)
