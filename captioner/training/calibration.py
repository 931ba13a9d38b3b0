"""Calibration of a trained captioner on dev images: the temperature of words, and the confidence of captions."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from captioner.calibration import FILE, Calibration
from captioner.inference import Caption, TrainedCaptioner
from datasets.records import ImageRecord
from eval.metrics.captions.ptb_tokenizer import TREEBANK
from eval.metrics.captions.score import score_captions
from vislang.core.errors import DataError
from vislang.core.files import write_json
from vislang.features.cache.reader import FeatureCache
from vislang.text.vocabulary import PAD

TEMPERATURES = 2.0 ** (np.arange(-10, 11) / 10)  # 1/2 to 2
_RIDGE = 1e-5  # penalty of the squared weights of the logistic regression

Split = tuple[FeatureCache, Sequence[ImageRecord]]  # images with human captions, and the cache of their features


def calibrate(model: TrainedCaptioner, splits: Sequence[Split], folder: Path) -> TrainedCaptioner:
    """Calibrate a captioner, write the calibration into its checkpoint folder, and return the calibrated captioner.

    Args:
        model: the captioner.
        splits: dev images of each data set; every data set weighs the same.
        folder: the checkpoint folder.
    """
    temperature = fit_temperature([predict_words(model, split, TEMPERATURES) for split in splits])
    at_temperature = replace(model, calibration=Calibration(temperature))
    calibration = fit_confidence(temperature, [scored_captions(at_temperature, split) for split in splits])
    write_json(folder / FILE, asdict(calibration))
    return replace(model, calibration=calibration)


def predict_words(
    model: TrainedCaptioner, split: Split, temperatures: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predict each of the N words of the human captions, end marks included, from the words before it.

    Returns:
        float32 [K, N], the probability of the most probable word at each of K temperatures, and bool [N], whether that
        word is the next one.
    """
    cache, records = split
    ids = [record.image_id for record in records]
    probabilities = []
    correct = []
    for descriptors, words in model.given_captions(cache, ids, [record.captions for record in records]):
        is_word = words != PAD
        mask = np.ones(descriptors.shape[:2], bool)
        log_probs = np.asarray(model.network.word_log_probs(descriptors, mask, words))[is_word]  # [N, V]
        below = log_probs - log_probs.max(axis=1, keepdims=True)
        probabilities.append([1.0 / np.exp(below / np.float32(value)).sum(axis=1) for value in temperatures])
        correct.append(log_probs.argmax(axis=1) == words[is_word])
    return np.concatenate(probabilities, axis=1), np.concatenate(correct)


def fit_temperature(predictions: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Find the temperature of lowest log loss of whether the most probable word is right.

    The likelihood of all words is another loss: it also fits the tail of improbable words that label smoothing leaves,
    at the cost of the confidence.

    Args:
        predictions: of the words of each data set, by `predict_words` at TEMPERATURES; every data set weighs the same.
    """
    loss = np.zeros(len(TEMPERATURES))
    for probabilities, correct in predictions:
        of_outcome = np.where(correct, probabilities, 1.0 - probabilities)
        loss -= np.log(np.maximum(of_outcome, 1e-6)).mean(axis=1)
    return float(TEMPERATURES[loss.argmin()])


def scored_captions(model: TrainedCaptioner, split: Split) -> tuple[list[Caption], np.ndarray]:
    """Caption I images; also return bool [I], whether the CIDEr-D of each caption is above the median."""
    cache, records = split
    ids = [record.image_id for record in records]
    captions = [best[0] for best in model.caption_cached(cache, ids)]
    texts: dict[int | str, str] = {one: caption.text for one, caption in zip(ids, captions, strict=True)}
    references: dict[int | str, Any] = {record.image_id: record.captions for record in records}
    scored = score_captions(texts, references, metrics=("cider",), tokenizer=TREEBANK)
    if "cider" in scored.skipped:
        raise DataError(f"captions cannot be compared ({scored.skipped['cider']}); take a split of several images")
    scores = scored.per_image["cider"]
    return captions, np.asarray(scores) > np.median(scores)


def fit_confidence(temperature: float, scored: Sequence[tuple[Sequence[Caption], np.ndarray]]) -> Calibration:
    """Fit the confidence to whether captions are good, by logistic regression.

    Args:
        temperature: of the captions' probabilities.
        scored: captions of each data set, by `scored_captions`; every data set weighs the same.
    """
    data = []
    for captions, good in scored:
        rows = [[1.0, np.log(caption.probabilities).mean(), caption.cosine] for caption in captions]
        data.append((np.array(rows), good))

    def loss(weights: np.ndarray) -> float:
        total = _RIDGE * weights @ weights
        for inputs, good in data:
            scores = inputs @ weights
            total += np.mean(np.logaddexp(0.0, scores) - good * scores)
        return total

    return Calibration(temperature, *minimize(loss, np.zeros(3)).x.tolist())
