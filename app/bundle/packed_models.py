"""PACKED_MODELS: what each bundled model is made from, and how it is evaluated."""

from dataclasses import dataclass

from eval.results.kinds import CaptionResult, FixationResult, RegionCaptionResult, RetrievalResult
from eval.results.result import Result

MANTISSA_BITS = 8  # of each weight that are kept


@dataclass(frozen=True)
class PackedModel:
    """How a bundled model was trained and how it is evaluated."""

    kind: str  # of its checkpoint
    training: str  # the module that trains it
    task: str  # of eval.run
    results: str  # how the names of the task's result files begin
    result: type[Result]  # type of these results
    options: str = ""  # of the training, beside preset, seed and data
    cached: bool = True  # whether training and evaluation read a feature cache
    regions: bool = False  # whether it reads one region at a time
    kept: str = "only the words of the vocabulary are stored"  # what of the training data is stored in it


PACKED_MODELS = {
    "ranker": PackedModel("vse", "vse.train", "retrieval", "retrieval-", RetrievalResult),
    "captioner": PackedModel("captioner", "captioner.train", "captions", "captions-captioner-", CaptionResult),
    "explainer": PackedModel("captioner", "captioner.train", "captions", "captions-captioner-", CaptionResult),
    "aligner": PackedModel("aligner", "captioner.alignment.train", "alignment", "retrieval-", RetrievalResult),
    "region-captioner": PackedModel(
        "captioner",
        "captioner.train",
        "regions",
        "region-captions-",
        RegionCaptionResult,
        regions=True,
    ),
    "naturalness": PackedModel(
        "naturalness",
        "naturalness.train",
        "fixations",
        "fixations-",
        FixationResult,
        options=" --limit 2000",
        cached=False,
        kept="only statistics of features are stored",
    ),
}
