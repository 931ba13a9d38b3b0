"""The result files of other commands: metric agreement, changes, inversions, comparisons of networks, benchmarks."""

from dataclasses import dataclass, field
from typing import Any

from eval.results.result import Result, Scores


@dataclass(frozen=True, kw_only=True)
class ChangeResult(Result):
    """Per cent of changed images whose change a model of natural images notices, by kind of change."""

    kind = "unnatural-changes"
    system: str = "naturalness"
    num_images: int
    seed: int


@dataclass(frozen=True)
class InversionRow:
    """The inversions of one layer by one search: means and standard deviations over images.

    `metrics` may hold feature_error, distance, gradients, and in per cent same_class, second_network_top1 and
    second_network_top5.
    """

    search: str
    layer: str
    metrics: Scores
    std: Scores
    feature_errors: list[float]


@dataclass(frozen=True, kw_only=True)
class InversionResult(Result):
    """Feature inversions of a network."""

    kind = "inversions"
    system: str = "preimage"
    network: str
    size: int  # side of its input in pixels
    second_network: str | None = None  # classifies the inversions; None without one
    settings: list[str] = field(default_factory=list)  # changed from the presets
    seed: int = 0
    images: list[str]  # file names
    rows: tuple[InversionRow, ...]  # one for each layer and search


@dataclass(frozen=True)
class MaximisedClass:
    """One maximised class: its activation, and its rank from 0 by the network and by a second one."""

    name: str
    activation: float
    rank: int
    second_network_rank: int | None = None


@dataclass(frozen=True, kw_only=True)
class MaximisationResult(Result):
    """Images that maximise classes of a network, found by `command`; `second_network` classifies them."""

    kind = "maximisations"
    system: str = "preimage"
    command: str
    network: str
    second_network: str | None = None
    layer: str
    preset: str
    classes: tuple[MaximisedClass, ...]


@dataclass(frozen=True, kw_only=True)
class ComparisonResult(Result):
    """Two networks, A and B, compared: inversions at several depths, and CKA between their layers."""

    kind = "comparison"
    system: str = "preimage"
    networks: list[str]  # names of the folders of A and B
    images: list[str]  # file names of the inverted images
    classes: list[str]  # whose units were maximised
    a: dict[str, Any]  # "layers", the inversions of each compared layer, and "cka_layers", those of `cka`
    b: dict[str, Any]  # the same of network B
    cka: dict[str, Any]  # linear CKA between all layers, and "matched" between the compared ones, debiased and biased
    weights_fingerprints: list[str]
    skipped: list[dict[str, str]] = field(default_factory=list)  # "source" and "reason" of unreadable images


@dataclass(frozen=True)
class AgreementPart:
    """Kendall's tau, times 100, between metrics and one set of human judgements."""

    pairs: int  # number of pairs of image and candidate caption
    images: int
    ratings: int  # number of data points; a pair may have several
    own_references: int  # number of candidates that are a reference of their image, which were left out
    variant: str  # "tau-b" or "tau-c", the published one
    tau: Scores = field(default_factory=dict)
    other_tau: Scores = field(default_factory=dict)  # of the other variant
    tau_of_mean_rating: Scores = field(default_factory=dict)  # against the mean of several ratings of a pair


@dataclass(frozen=True, kw_only=True)
class AgreementResult(Result):
    """Agreement of caption metrics with human judgements."""

    kind = "metric-agreement"
    name: str = ""
    system: str = "metrics"
    expert: AgreementPart
    crowd: AgreementPart
    tokenizer: str
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(Result):
    """What each benchmark printed: its measurements, its claim as a ratio last."""

    kind = "benchmarks"
    name: str = ""
    system: str = "benchmarks"
    machine: dict[str, Any]
    printed: dict[str, list[str]]
