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
    """Feature inversions of a network.

    Attributes:
        size: side of its input in pixels.
        second_network: classifies the inversions; None without one.
        settings: changed from the presets.
        images: file names.
        rows: one for each layer and search.
    """

    kind = "inversions"
    system: str = "preimage"
    network: str
    size: int
    second_network: str | None = None
    settings: list[str] = field(default_factory=list)
    seed: int = 0
    images: list[str]
    rows: tuple[InversionRow, ...]


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
    """Two networks, A and B, compared: inversions at several depths, and CKA between their layers.

    Attributes:
        networks: names of the folders of A and B.
        images: file names of the inverted images.
        classes: whose units were maximised.
        a: "layers", the inversions of each compared layer, and "cka_layers", those of `cka`.
        b: the same of network B.
        cka: linear CKA between all layers, and "matched" between the compared ones, debiased and biased.
        skipped: "source" and "reason" of images that could not be read.
    """

    kind = "comparison"
    system: str = "preimage"
    networks: list[str]
    images: list[str]
    classes: list[str]
    a: dict[str, Any]
    b: dict[str, Any]
    cka: dict[str, Any]
    weights_fingerprints: list[str]
    skipped: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class AgreementPart:
    """Kendall's tau, times 100, between metrics and one set of human judgements.

    Attributes:
        pairs: number of pairs of image and candidate caption.
        ratings: number of data points; a pair may have several.
        own_references: number of candidates that are a reference of their image, which were left out.
        variant: "tau-b" or "tau-c", the published one.
        other_tau: of the other variant.
        tau_of_mean_rating: against the mean of the ratings of a pair, where it has several.
    """

    pairs: int
    images: int
    ratings: int
    own_references: int
    variant: str
    tau: Scores = field(default_factory=dict)
    other_tau: Scores = field(default_factory=dict)
    tau_of_mean_rating: Scores = field(default_factory=dict)


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
