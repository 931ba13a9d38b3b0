"""Calibration of a trained captioner on dev images: the temperature of words, and the confidence of captions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from captioner.calibration import FILE, Calibration, CalibrationScores
from captioner.inference import TrainedCaptioner
from datasets.records import ImageRecord
from eval.metrics.calibration import expected_calibration_error, reliability_bins
from eval.metrics.captions.ptb_tokenizer import TREEBANK
from eval.metrics.captions.score import score_captions
from eval.metrics.fixations.auc import roc_auc
from vislang.core.errors import CheckpointError
from vislang.core.files import write_json
from vislang.features.cache.reader import FeatureCache
from vislang.text.vocabulary import PAD
from vislang.training.cached_data import CaptionSource

_BLOCK = 64  # images that are captioned at once
_SMALLEST = 1e-6  # probability of a mistake
_RIDGE = 1e-3  # penalty of the logistic regression's squared weights


@dataclass(frozen=True)
class CaptionedSplit:
    """Images with human captions, and the cache of their features."""

    cache: FeatureCache
    records: Sequence[ImageRecord]

    @property
    def ids(self) -> list[str]:
        """The ids of the images."""
        return [record.image_id for record in self.records]


def dev_splits(sources: Sequence[CaptionSource]) -> dict[str, CaptionedSplit]:
    """Return the dev images of the data sets that have some, by the data set's name."""
    return {source.name: CaptionedSplit(source.cache, source.dev) for source in sources if source.dev}


@dataclass(frozen=True)
class WordTerms:
    """Terms of N words of human captions at one temperature, float32 [N]; see `Captioner.predict_calibration`."""

    confidence: np.ndarray  # of the most probable word, 0 to 1
    slope: np.ndarray  # of the confidence's logarithm by the inverse temperature
    correct: np.ndarray  # bool, whether the most probable word is right


@dataclass(frozen=True)
class ScoredCaptions:
    """One caption for each of I images: its statistics, float64 [I], and whether it is good, bool [I]."""

    statistics: dict[str, np.ndarray]
    good: np.ndarray


def calibrate(
    model: TrainedCaptioner, splits: Mapping[str, CaptionedSplit], folder: Path
) -> dict[str, CalibrationScores]:
    """Calibrate a captioner on dev images, write the calibration into its checkpoint folder, and return its scores.

    Args:
        model: the captioner.
        splits: dev images of each data set, by its name; every data set weighs the same.
        folder: the checkpoint folder.
    """
    temperature = fit_temperature(lambda value: [word_terms(model, split, value) for split in splits.values()])
    at_temperature = replace(model, calibration=Calibration(temperature))
    written = {name: scored_captions(at_temperature, split) for name, split in splits.items()}
    calibration = fit_confidence(temperature, list(written.values()))
    fitted = replace(model, calibration=calibration)
    scores = {}
    for name, split in splits.items():
        scores[name] = calibration_scores(fitted, split, written[name])
    of_splits = {name: asdict(one) for name, one in scores.items()}
    write_json(folder / FILE, {**asdict(calibration), "datasets": of_splits})
    return scores


def fit_temperature(predict: Callable[[float], list[WordTerms]]) -> float:
    """Find the temperature of lowest log loss of whether the most probable word is right, by Fisher scoring.

    The likelihood of all words is another loss: it also fits the tail of improbable words that label smoothing leaves,
    at the cost of the confidence.

    Args:
        predict: returns the words of each data set at a temperature; every data set weighs the same.
    """
    inverse = 1.0
    for _ in range(20):
        slope = 0.0
        curvature = 1e-12
        for words in predict(1.0 / inverse):
            odds = words.confidence / np.maximum(1.0 - words.confidence, _SMALLEST)
            slope += np.mean(np.where(words.correct, -1.0, odds) * words.slope)
            curvature += np.mean(odds * np.square(words.slope))
        moved = float(np.clip(inverse - slope / curvature, inverse / 2, inverse * 2))
        is_found = abs(moved / inverse - 1.0) < 1e-3
        inverse = moved
        if is_found:
            break
    return 1.0 / inverse


def word_terms(model: TrainedCaptioner, split: CaptionedSplit, temperature: float) -> WordTerms:
    """Predict each word of the human captions from the words before it."""
    found = []
    captions = [record.captions for record in split.records]
    for descriptors, words in model.given_captions(split.cache, split.ids, captions):
        descriptors = np.asarray(descriptors, np.float32)
        mask = np.ones(descriptors.shape[:2], bool)
        terms = model.network.predict_calibration(descriptors, mask, words, np.float32(temperature))
        found.append(np.asarray(terms)[1:, words != PAD])
    confidence, slope, correct = np.concatenate(found, axis=1)
    return WordTerms(confidence, slope, correct > 0)


def scored_captions(model: TrainedCaptioner, split: CaptionedSplit) -> ScoredCaptions:
    """Caption the images as the settings of the model say, and find the captions above the median of CIDEr-D."""
    parts: dict[str, list[np.ndarray]] = {}
    texts: list[str] = []
    for block in model.cached_descriptors(split.cache, split.ids).blocks(_BLOCK):
        written = model.write(block)
        texts.extend(" ".join(model.vocabulary.decode(words[0].tolist())) for words in written.words)
        for name, values in written.statistics.items():
            parts.setdefault(name, []).append(values[:, 0].astype(np.float64))
    captions: dict[int | str, str] = dict(zip(split.ids, texts, strict=True))
    references: dict[int | str, Any] = {record.image_id: record.captions for record in split.records}
    scores = score_captions(captions, references, metrics=("cider",), tokenizer=TREEBANK).per_image["cider"]
    statistics = {name: np.concatenate(values) for name, values in parts.items()}
    return ScoredCaptions(statistics, np.asarray(scores) > np.median(scores))


def fit_confidence(temperature: float, written: Sequence[ScoredCaptions]) -> Calibration:
    """Fit the confidence by logistic regression, and its threshold, the median; each of `written` weighs the same."""
    names = list(written[0].statistics)
    good = np.concatenate([captions.good for captions in written])
    share = np.concatenate([np.full(len(captions.good), 1 / len(captions.good)) for captions in written])
    share = share / share.sum()
    columns = []
    for captions in written:
        columns.append(np.stack([captions.statistics[name] for name in names], axis=1))
    inputs = np.concatenate(columns)
    mean = share @ inputs
    std = np.sqrt(share @ np.square(inputs - mean)) + 1e-9
    inputs = np.concatenate([(inputs - mean) / std, np.ones((len(inputs), 1))], axis=1)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = inputs @ weights
        value = share @ (np.logaddexp(0.0, scores) - good * scores) + _RIDGE * weights @ weights
        return value, inputs.T @ (share * (expit(scores) - good)) + 2 * _RIDGE * weights

    found = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x
    weights = found[:-1] / std
    bias = float(found[-1] - weights @ mean)
    confidences = expit(inputs @ found)
    threshold = float(np.quantile(confidences, 0.5, weights=share, method="inverted_cdf"))
    return Calibration(temperature, bias, dict(zip(names, weights.tolist(), strict=True)), threshold)


def calibrated(model: TrainedCaptioner) -> Calibration:
    """Return the calibration of a captioner.

    Raises:
        CheckpointError: it has none.
    """
    if model.calibration is None:
        raise CheckpointError(f"the checkpoint holds no {FILE}; run: python -m captioner.calibrate --model DIR")
    return model.calibration


def calibration_scores(model: TrainedCaptioner, split: CaptionedSplit, written: ScoredCaptions) -> CalibrationScores:
    """Measure how well a calibrated captioner is calibrated on a split.

    Args:
        written: by `scored_captions`.

    Raises:
        CheckpointError: the captioner is not calibrated.
    """
    calibration = calibrated(model)
    before = word_terms(model, split, 1.0)
    words = word_terms(model, split, calibration.temperature)
    bins = reliability_bins(words.confidence, words.correct)
    ranked = {"confidence": calibration.confidence(written.statistics), **written.statistics}
    auc = {}
    if written.good.any():
        auc = {name: roc_auc(values[written.good], values[~written.good]) for name, values in ranked.items()}
    trusted = ranked["confidence"] >= calibration.threshold
    return CalibrationScores(
        num_words=len(words.correct),
        ece_before=expected_calibration_error(reliability_bins(before.confidence, before.correct)),
        ece=expected_calibration_error(bins),
        bins=tuple(bins),
        num_captions=len(trusted),
        auc=auc,
        num_trusted=int(trusted.sum()),
        good_trusted=int((trusted & written.good).sum()),
        good_others=int((~trusted & written.good).sum()),
    )
