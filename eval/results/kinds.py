"""The result files of eval.run: what the rows of each table hold beside the fields of every `Result`."""

from dataclasses import dataclass, field
from typing import Any

from eval.metrics.bootstrap import Difference
from eval.metrics.fixations.evaluate import FixationProtocol, MetricSummary
from eval.results.result import Result, Scores, SeedRun
from vislang.core.files import file_name

OF_REFERENCES = "of the references"
BASELINE = "baseline"
ALL = "all"
MAIN = "model"

PhraseScores = dict[str, Scores]  # ALL or a kind of phrase: "count" and the measures, in per cent
MapScores = dict[str, MetricSummary | None]  # None where a metric is not defined


@dataclass(frozen=True, kw_only=True)
class RetrievalResult(Result):
    """Image-sentence retrieval: recalls in per cent, median and mean ranks from 1, reciprocal rank.

    Attributes:
        protocol: "full" or "five-folds".
        setting: size of the collection: "1k", "5k", "5x1k", or the number of images.
        num_images: that were searched.
        num_captions: of these images.
        checkpoints_per_seed: how many checkpoints of each training were averaged.
        parts: for aligners, the metrics of each part of the score alone, means over seeds.
    """

    kind = "retrieval"
    protocol: str = "full"
    setting: str
    num_images: int
    num_captions: int
    checkpoints_per_seed: int = 1
    parts: dict[str, Scores] = field(default_factory=dict)

    def file_name(self) -> str:
        """Return the name of its JSON file, which the row's name already leads with its system."""
        protocol = "" if self.protocol == "full" else self.protocol
        return file_name("-".join(filter(None, (self.name, self.dataset, self.split, protocol)))) + ".json"

    def sort_key(self) -> Any:
        """Return the sum of recalls: the best row stands last."""
        return self.metrics["rsum"]


@dataclass(frozen=True)
class CaptionSeedRun(SeedRun):
    """One trained captioner of a row; `diversity` as in `CaptionResult`."""

    diversity: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CaptionResult(Result):
    """Caption scores, times 100; `system` is "captioner" or BASELINE.

    Attributes:
        num_images: that were captioned.
        diversity: of the captions, means over seeds; see `eval.metrics.captions.diversity`.
        tokenizer: "ptb" or "treebank".
        document_frequencies: what weighs the n-grams of CIDEr.
        decoding: how captions were found.
        skipped: the reason for each metric that was not computed.
    """

    kind = "captions"
    per_seed: tuple[CaptionSeedRun, ...] = ()
    num_images: int
    diversity: dict[str, float | None]
    tokenizer: str
    document_frequencies: str = OF_REFERENCES
    decoding: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def sort_key(self) -> Any:
        """Return baselines first, the best CIDEr last."""
        return self.system != BASELINE, self.metrics.get("cider", 0.0)


@dataclass(frozen=True)
class CaptionComparison:
    """Paired differences of two caption files, B minus A, times 100 but for the p-values; A and B are file names."""

    a: str
    b: str
    differences: dict[str, Difference]


@dataclass(frozen=True, kw_only=True)
class CaptionFileResult(CaptionResult):
    """The scores of a caption file of any origin.

    Attributes:
        results: name of the file.
        references: name of the file of references, or data set and split.
        unused_references: images that have references and no caption.
        comparison: with a second file.
        per_image: "image_id", and each score of every image.
    """

    kind = "caption-file"
    results: str
    references: str
    unused_references: int
    comparison: CaptionComparison | None = None
    per_image: dict[str, list[Any]] = field(default_factory=dict)

    def file_name(self) -> str:
        """Return the name of its JSON file."""
        return file_name(f"captions-{self.name}-scores") + ".json"


@dataclass(frozen=True)
class Gain:
    """How far a model is ahead of a baseline in pointing.

    Attributes:
        over: the best baseline.
        points: the difference in per cent points.
        interval: its 95 % bootstrap interval over images.
    """

    over: str
    points: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class PhraseResult(Result):
    """Phrases that were looked up in their images, in per cent.

    Attributes:
        methods: the scores of each method that reads the phrase; MAIN is the one of `metrics`.
        baselines: the same of methods that do not read it.
        gain: of MAIN over the best baseline.
    """

    methods: dict[str, PhraseScores]
    baselines: dict[str, PhraseScores]
    gain: Gain

    def sort_key(self) -> Any:
        """Return the pointing accuracy: the best row stands last."""
        return self.metrics["pointing"]


@dataclass(frozen=True, kw_only=True)
class GroundingResult(PhraseResult):
    """Phrase grounding of an aligner; `proposals` names what proposed the regions."""

    kind = "grounding"
    proposals: str


@dataclass(frozen=True)
class WordEvidence:
    """How well the evidence score separates words of the image's captions from other words.

    Attributes:
        roc_auc: 0..1.
        present: number of words from captions of the image.
        absent: number of other words.
    """

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
    """Scores, times 100, of captions of annotated boxes.

    Attributes:
        reads: "regions" or "whole images": what the captioner was trained on.
        num_boxes: that were captioned.
        tokenizer: "ptb" or "treebank".
        skipped: the reason for each metric that was not computed.
    """

    kind = "region-captions"
    reads: str
    num_boxes: int
    tokenizer: str
    skipped: dict[str, str] = field(default_factory=dict)

    def sort_key(self) -> Any:
        """Return CIDEr: the best row stands last."""
        return self.metrics.get("cider", 0.0)


@dataclass(frozen=True)
class DomainScores:
    """One domain of a classification: the number of images, and int [C, C] confusions over all seeds."""

    images: int
    confusion: list[list[int]]


@dataclass(frozen=True)
class Prediction:
    """One classified image: its domain, its true class, and the class that each seed's network predicts."""

    domain: str
    label: str
    predicted: list[str]


@dataclass(frozen=True, kw_only=True)
class ClassificationResult(Result):
    """Accuracy in per cent in each domain; `metrics` and `intervals` are named by domains.

    Attributes:
        preset: of the training.
        backbone: of the networks, "none" for networks trained from scratch.
        trained_on: the domains of the training images.
        num_training_images: how many of them.
        classes: C of them.
        domains: image counts and confusions.
        predictions: by image id.
    """

    kind = "classification"
    preset: str
    backbone: str
    trained_on: list[str]
    num_training_images: int
    classes: list[str]
    domains: dict[str, DomainScores]
    predictions: dict[str, Prediction]

    def table_key(self) -> tuple[Any, ...]:
        """Return data set and split and their fingerprint: rows are compared image by image."""
        return (self.dataset, self.split, self.data_fingerprint)

    def sort_key(self) -> Any:
        """Return what was trained: networks that differ in their domains alone stand side by side."""
        return self.preset, self.backbone, len(self.trained_on), self.num_training_images


@dataclass(frozen=True, kw_only=True)
class FixationResult(Result):
    """Maps scored against eye fixations; `metrics` and `intervals` are those of the first method.

    Attributes:
        num_images: that were looked at.
        num_fixations: inside of them.
        outside: fixations that were left out.
        reader: options of the data set's reader.
        protocol: how maps are scored.
        methods: the map as it is, then with the centre prior; empty where baselines alone were scored.
        baselines: of maps without a model, and of people.
        gain_over: the best baseline without people.
        gains: how far each method is ahead of it.
        skipped: for each method (image, reason) of maps that are missing.
    """

    kind = "fixations"
    num_images: int
    num_fixations: int
    outside: int = 0
    reader: dict[str, Any] = field(default_factory=dict)
    protocol: FixationProtocol
    methods: dict[str, MapScores] = field(default_factory=dict)
    baselines: dict[str, MapScores]
    gain_over: str
    gains: dict[str, MapScores] = field(default_factory=dict)
    skipped: dict[str, list[list[str]]] = field(default_factory=dict)

    def file_name(self) -> str:
        """Return the name of its JSON file, with the settings of the protocol that are not the default."""
        words = (self.kind, self.name, self.dataset, self.protocol.suffix())
        return file_name("-".join(filter(None, words))) + ".json"

    def table_key(self) -> tuple[Any, ...]:
        """Return data set, images and protocol; rows may differ in their centre prior."""
        return (self.dataset, self.num_images, self.data_fingerprint, self.protocol.without_prior())

    def sort_key(self) -> Any:
        """Return the shuffled AUC: the best row stands last."""
        return self.metrics.get("sauc_exact", float("-inf"))
