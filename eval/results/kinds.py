"""The result files of eval.run: the rows of each table."""

from dataclasses import dataclass, field
from typing import Any

from eval.metrics.bootstrap import Difference
from eval.metrics.calibration import ReliabilityBin
from eval.metrics.fixations.evaluate import FixationProtocol, MetricSummary
from eval.results.result import Result, Scores, SeedRun
from vislang.core.files import file_name

OF_REFERENCES = "of the references"
BASELINE = "baseline"
ALL = "all"
MAIN = "model"
WITH_MAPS = "with the maps of a ranker"

PhraseScores = dict[str, Scores]  # ALL or a kind of phrase: "count" and the measures, in per cent
MapScores = dict[str, MetricSummary | None]  # None where a metric is not defined


@dataclass(frozen=True, kw_only=True)
class RetrievalResult(Result):
    """Image-sentence retrieval: recalls in per cent, median and mean ranks from 1, reciprocal rank."""

    kind = "retrieval"
    main_metric = "rsum"
    protocol: str = "full"  # or "first-fold" or "five-folds"
    setting: str  # size of the collection: "1k", "5k", "5x1k", or the number of images
    num_images: int
    num_captions: int
    checkpoints_per_seed: int = 1  # how many checkpoints of each training were averaged
    parts: dict[str, Scores] = field(default_factory=dict)  # of an aligner's score: the metrics of each alone

    def variant(self) -> str:
        """Return the protocol, "" for the full one."""
        if self.protocol == "full":
            return ""
        return self.protocol


@dataclass(frozen=True)
class CaptionSeedRun(SeedRun):
    """One trained captioner of a row; `diversity` as in `CaptionResult`."""

    diversity: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CaptionResult(Result):
    """Caption scores, times 100; `system` is "captioner" or BASELINE."""

    kind = "captions"
    per_seed: tuple[CaptionSeedRun, ...] = ()
    num_images: int
    diversity: dict[str, float | None]  # of the captions, means over seeds; see `eval.metrics.captions.diversity`
    tokenizer: str  # "ptb" or "treebank"
    document_frequencies: str = OF_REFERENCES  # what weighs the n-grams of CIDEr
    decoding: dict[str, Any] = field(default_factory=dict)  # how captions were found
    skipped: dict[str, str] = field(default_factory=dict)  # the reason for each metric that was not computed

    def sort_key(self) -> Any:
        """Return the place of the row: baselines first, the best CIDEr last."""
        return self.system != BASELINE, self.metrics.get("cider", 0.0)


@dataclass(frozen=True)
class CaptionComparison:
    """Paired differences of two caption files, B minus A, times 100 but for the p-values; A and B are file names."""

    a: str
    b: str
    differences: dict[str, Difference]


@dataclass(frozen=True, kw_only=True)
class CaptionFileResult(CaptionResult):
    """The scores of a caption file of any origin."""

    kind = "caption-file"
    results: str  # name of the file
    references: str  # name of the file of references, or data set and split
    unused_references: int  # number of images that have references and no caption
    comparison: CaptionComparison | None = None  # with a second file
    per_image: dict[str, list[Any]] = field(default_factory=dict)  # "image_id", and each score of every image

    def file_name(self) -> str:
        """Return the name of its JSON file."""
        return file_name(f"captions-{self.name}-scores") + ".json"


@dataclass(frozen=True)
class Gain:
    """The gain of a model over the baseline `over` in pointing, in per cent points; 95 % interval over images."""

    over: str
    points: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class PhraseResult(Result):
    """Phrases that were looked up in their images, in per cent."""

    main_metric = "pointing"
    methods: dict[str, PhraseScores]  # the scores of each method that reads the phrase; MAIN is the one of `metrics`
    baselines: dict[str, PhraseScores]  # the same of methods that do not read it
    gain: Gain  # of MAIN over the best baseline
    ranker: SeedRun | None = None  # whose maps a method reads


@dataclass(frozen=True, kw_only=True)
class GroundingResult(PhraseResult):
    """Phrase grounding of an aligner; `proposals` names what proposed the regions."""

    kind = "grounding"
    proposals: str


@dataclass(frozen=True)
class WordEvidence:
    """How well the evidence score separates words of the image's captions from other words: ROC AUC 0..1, counts."""

    roc_auc: float
    present: int
    absent: int


@dataclass(frozen=True, kw_only=True)
class PointingResult(PhraseResult):
    """The pointing game with the maps of a captioner's words."""

    kind = "pointing"
    word_evidence: WordEvidence


@dataclass(frozen=True, kw_only=True)
class RegionCaptionResult(Result):
    """Scores, times 100, of captions of annotated boxes."""

    kind = "region-captions"
    main_metric = "cider"
    reads: str  # "regions" or "whole images": what the captioner was trained on
    num_boxes: int
    tokenizer: str  # "ptb" or "treebank"
    ranker: SeedRun | None = None  # whose maps chose among the captions
    skipped: dict[str, str] = field(default_factory=dict)  # the reason for each metric that was not computed


@dataclass(frozen=True, kw_only=True)
class CalibrationResult(Result):
    """Calibration of a captioner's words, and the confidence of its captions.

    The metrics are "temperature"; "ece_before", at temperature 1, and "ece"; and shares, 0 to 1: "trusted", of the
    captions, and "good_trusted" and "good_others", of those that are trusted and of the others.
    """

    kind = "calibration"
    num_images: int
    bins: tuple[ReliabilityBin, ...]  # of the words of all seeds, calibrated


@dataclass(frozen=True)
class DomainScores:
    """One domain of a classification: the number of images, and int [C, C] confusions over all seeds."""

    images: int
    confusion: list[list[int]]


@dataclass(frozen=True)
class Prediction:
    """A classified image: its domain, its true class, and the class that each seed's network predicts."""

    domain: str
    label: str
    predicted: list[str]


@dataclass(frozen=True, kw_only=True)
class ClassificationResult(Result):
    """Accuracy in per cent in each domain; `metrics` and `intervals` are named by domains."""

    kind = "classification"
    preset: str
    backbone: str  # of the networks, "none" for networks trained from scratch
    trained_on: list[str]  # the domains of the training images
    num_training_images: int
    classes: list[str]
    domains: dict[str, DomainScores]
    predictions: dict[str, Prediction]  # by image id

    def table_key(self) -> tuple[Any, ...]:
        """Return data set, split and fingerprint: rows are compared image by image."""
        return (self.dataset, self.split, self.data_fingerprint)

    def sort_key(self) -> Any:
        """Return the settings first: networks that differ in their domains alone are neighbours."""
        return self.preset, self.backbone, len(self.trained_on), self.num_training_images


@dataclass(frozen=True, kw_only=True)
class FixationResult(Result):
    """Maps scored against eye fixations; `metrics` and `intervals` are those of the first method."""

    kind = "fixations"
    main_metric = "sauc_exact"
    num_images: int
    num_fixations: int
    outside: int = 0  # number of fixations outside of the images, which were left out
    reader: dict[str, Any] = field(default_factory=dict)  # options of the data set's reader
    protocol: FixationProtocol
    methods: dict[str, MapScores] = field(default_factory=dict)  # the map as it is, then with the centre prior
    baselines: dict[str, MapScores]  # of maps without a model, and of the observers
    gain_over: str  # the best baseline without observers
    gains: dict[str, MapScores] = field(default_factory=dict)  # of each method over it
    skipped: dict[str, list[list[str]]] = field(default_factory=dict)  # (image, reason) of missing maps

    def variant(self) -> str:
        """Return the settings of the protocol that are not the default."""
        return self.protocol.suffix()

    def table_key(self) -> tuple[Any, ...]:
        """Return data set, images and protocol; rows may differ in their centre prior."""
        return (self.dataset, self.num_images, self.data_fingerprint, self.protocol.without_prior())
