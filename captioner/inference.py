"""A trained captioner, read from a checkpoint: it writes captions and scores given ones."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from captioner.calibration import Calibration, read_calibration
from captioner.config import CaptionerConfig
from captioner.decoding.consensus_reranking import ConsensusReranker, read_consensus_reranker
from captioner.decoding.decoder import Decoder
from captioner.decoding.options import DecodeOptions
from captioner.decoding.sentences import IMPOSSIBLE, Sentences, repeated_words, until_end
from vislang.backbones.feature_name import FeatureName
from vislang.core.errors import CheckpointError
from vislang.features.cache.reader import FeatureCache
from vislang.features.descriptors import as_float32, join_layers
from vislang.features.model_inputs import encode_layers
from vislang.features.reading_options import ReadingOptions
from vislang.images.sources import Skipped
from vislang.text.function_words import FUNCTION_WORDS
from vislang.text.vocabulary import END, PAD, Vocabulary, pad_sentences
from vislang.training.trained_model import TrainedModel

if TYPE_CHECKING:
    from captioner.models.ensemble import Captioner

Tensor = Any


@dataclass(frozen=True)
class Caption:
    """A sentence that the captioner wrote.

    Attributes:
        text: its words, joined by blanks.
        log_prob: natural logarithm of its probability, the end mark included.
        probabilities: of each word given the image and the words before it, and last of the end mark; 0 to 1,
            calibrated where the model is, so that their product is not the exponential of `log_prob`.
        cosine: of the caption with the image, the mean of the scorers'; 0 without scorers.
        confidence: the probability that the caption is better than half of the captions of dev images, 0 to 1; None
            where the model is not calibrated.
    """

    text: str
    log_prob: float
    probabilities: tuple[float, ...]
    cosine: float = 0.0
    confidence: float | None = None

    @property
    def trusted(self) -> bool | None:
        """Whether the confidence is at least 0.5; None where there is none."""
        if self.confidence is None:
            return None
        return self.confidence >= 0.5

    @property
    def words(self) -> list[str]:
        """The words; one less than there are probabilities, unless the sentence was cut."""
        return self.text.split()


@dataclass(frozen=True)
class TrainedCaptioner(TrainedModel):
    """A trained captioner: what `captioner.load_model` returns.

    Attributes:
        consensus: training images and their captions; None where the settings have none or training has not ended.
        calibration: of its probabilities; None: they are reported as they are.
    """

    kind = "captioner"
    config_class = CaptionerConfig
    network: "Captioner"
    vocabulary: Vocabulary
    consensus: ConsensusReranker | None = None
    calibration: Calibration | None = None

    @classmethod
    def new_network(cls, config: Any, *sizes: Any) -> "Captioner":
        """Build an untrained captioner; see `TrainedModel`."""
        from captioner.models.ensemble import Captioner

        return Captioner(config, *sizes)

    def with_files(self, folder: Path) -> Self:
        """Return the model with the captions for consensus re-ranking and the calibration."""
        return replace(self, consensus=read_consensus_reranker(folder), calibration=read_calibration(folder))

    def complete(self, options: DecodeOptions) -> DecodeOptions:
        """Return options of decoding in which the preset has filled in what is None."""
        config = self.config
        preset = {
            "width": config.beam,
            "max_words": config.decode_words,
            "length_power": config.length_power,
            "forbid_repeats": config.forbid_repeats,
            "no_repeat_ngram": config.no_repeat_ngram,
            "repetition_weight": config.repetition_weight,
            "scorer_weight": config.scorer_weight,
            "consensus_weight": config.consensus_weight,
        }
        return options.completed(preset)

    def caption_descriptors(
        self, descriptors: Tensor, *, options: DecodeOptions = DecodeOptions(), numbers: np.ndarray | None = None
    ) -> list[list[Caption]]:
        """Caption images given as descriptors.

        Args:
            descriptors: float [B, N, F].
            numbers: int [B], indices of the images among all that are captioned, so that samples do not depend on the
                batches; None: 0 to B - 1.

        Returns:
            the captions of each image, best first; `options.num`, or fewer when there are no more.

        Raises:
            DataError: features of another width than the model was trained on.
        """
        self.check_width(descriptors)
        descriptors = as_float32(descriptors)
        words, log_probs = self._decode(descriptors, self.complete(options), numbers)  # [B, K, T], [B, K]
        rows = until_end(words.reshape(-1, words.shape[-1]))
        temperature = 1.0
        if self.calibration is not None:
            temperature = self.calibration.temperature
        of_words = self.given_log_probs(descriptors, rows, temperature).reshape(words.shape)
        cosines = np.zeros(log_probs.shape, np.float32)
        if self.config.scorers:
            scores = self.network.predict_scores(descriptors, _all_real(descriptors), rows)
            cosines = np.asarray(scores).reshape(log_probs.shape)
        captions: list[list[Caption]] = []
        for image, sums in enumerate(log_probs):
            captions.append([])
            for rank in np.flatnonzero(sums > IMPOSSIBLE / 2):
                at = (image, rank)
                captions[-1].append(self._caption(words[at], float(log_probs[at]), of_words[at], float(cosines[at])))
        return captions

    def _decode(
        self, descriptors: Tensor, options: DecodeOptions, numbers: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decode float32 [B, N, F], and re-rank all beams where scorers or the consensus have a weight.

        Returns:
            int32 [B, K, T] words, padded with the end mark, and float32 [B, K] log-probabilities, best first.
        """
        mask = _all_real(descriptors)
        sentences = _decoder(self.network, options.of_search())(descriptors, mask, numbers)
        if not options.is_reranked:
            return sentences.words, sentences.log_probs
        scores = self._rerank_scores(descriptors, mask, sentences, options)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : options.num]
        words = np.take_along_axis(sentences.words, best[..., None], axis=1)
        return words, np.take_along_axis(sentences.log_probs, best, axis=1)

    def _rerank_scores(
        self, descriptors: Tensor, mask: np.ndarray, sentences: Sentences, options: DecodeOptions
    ) -> np.ndarray:
        """Compute the re-ranking scores of finished sentences, float64 [B, K].

        They are log P / length ** length_power - repetition_weight * repeated words + scorer_weight * cosine
        + consensus_weight * CIDEr-D. Sentences cut at the maximum length come last, in the order of decoding.
        """
        words = sentences.words
        rows = until_end(words.reshape(-1, words.shape[-1]))  # [B * K, T]
        lengths = (rows != PAD).sum(axis=1).reshape(words.shape[:2])
        scores = sentences.log_probs / lengths**options.length_power
        if options.repetition_weight:
            repeated = repeated_words(rows, self.vocabulary.encode(FUNCTION_WORDS))
            scores = scores - options.repetition_weight * repeated.reshape(scores.shape)
        if options.scorer_weight and self.config.scorers:
            cosines = self.network.predict_scores(descriptors, mask, rows)
            scores = scores + options.scorer_weight * np.asarray(cosines).reshape(scores.shape)
        if options.consensus_weight:
            if self.consensus is None:
                raise CheckpointError(
                    "this captioner keeps no training captions: its settings have none, or its training has not "
                    "ended; decode with consensus_weight=0, or run its training command again to the end"
                )
            embeddings = np.asarray(self.network.predict_image_embeddings(descriptors, mask))
            without_end = np.where(rows == END, PAD, rows).reshape(words.shape)
            agreement = self.consensus.scores(embeddings, without_end, self.config.consensus_images)
            scores = scores + options.consensus_weight * agreement
        scores = np.where((words == END).any(axis=-1), scores, IMPOSSIBLE)
        return np.where(sentences.exists, scores, -np.inf)

    def caption_cached(
        self, cache: FeatureCache, ids: Sequence[str], *, options: DecodeOptions = DecodeOptions()
    ) -> list[list[Caption]]:
        """Caption images whose features lie in a cache made with the same weights.

        Raises:
            DataError: an image is not there, or other weights made the features.
        """
        captions: list[list[Caption]] = []
        for block in self.cached_descriptors(cache, ids).blocks(64):
            numbers = np.arange(len(captions), len(captions) + len(block))
            captions += self.caption_descriptors(block, options=options, numbers=numbers)
        return captions

    def caption_images(
        self, sources: Sequence[Any], decode: DecodeOptions, options: ReadingOptions
    ) -> Iterator[tuple[list[list[Caption]], list[int], list[Skipped]]]:
        """Caption images batch by batch.

        Args:
            sources: paths, bytes, PIL images or arrays.

        Yields:
            for each batch: captions of its K usable images, their indices among `sources`, the others with reasons.
        """
        for batch in self.encode_batches(sources, options):
            captions: list[list[Caption]] = []
            if batch.kept:
                joined = join_layers([batch.features[layer] for layer in self.config.layers])
                captions = self.caption_descriptors(joined, options=decode, numbers=np.array(batch.kept))
            yield captions, batch.kept, batch.skipped

    def caption_clip(
        self, frames: Sequence[Image.Image], decode: DecodeOptions, options: ReadingOptions, number: int = 0
    ) -> list[Caption]:
        """Caption a video, best first.

        Args:
            frames: of the whole clip, RGB, in the order of time.
            number: index of the clip among all that are captioned, so that samples do not depend on the others.

        Raises:
            DataError: weights other than in training.
        """
        descriptors = self.clip_descriptors(frames, options)
        return self.caption_descriptors(descriptors[None], options=decode, numbers=np.array([number]))[0]

    def clip_descriptors(self, frames: Sequence[Image.Image], options: ReadingOptions) -> np.ndarray:
        """Compute what the captioner reads of a video, float32 [N, F].

        S2VT reads one descriptor after another, which are the frames: the mean of the cells of each. Every other
        captioner reads a set of descriptors, which are the cells of all frames.

        Args:
            frames: of the whole clip, RGB, in the order of time.

        Raises:
            DataError: weights other than in training.
        """
        backbone = self.description["backbone"]
        weights = dict(backbone["weights"])
        layers = []
        for layer in self.config.layers:
            name = FeatureName.parse(layer)
            if name.layer == "frames":
                name = replace(name, layer="pooled")  # "frames" of a cache is this of every frame
            layers.append(str(name))
            if layer in weights:
                weights[str(name)] = weights[layer]
        reading = self.reading_options(replace(options, strict=True))
        parts = []
        for batch in encode_layers(frames, layers, {**backbone, "weights": weights}, reading):
            parts.append(np.asarray(join_layers([batch.features[layer] for layer in layers]), np.float32))
        descriptors = np.concatenate(parts)  # [frames, cells, F]
        if self.config.model == "s2vt":
            return descriptors.mean(axis=1)
        return descriptors.reshape(-1, descriptors.shape[-1])

    def perplexity(self, cache: FeatureCache, ids: Sequence[str], captions: Sequence[Sequence[str]]) -> float:
        """Compute exp of the mean -log P over all words and end marks of each image's captions."""
        total = 0.0
        count = 0
        for descriptors, words in self.given_captions(cache, ids, captions):
            total = total - self.given_log_probs(descriptors, words).sum()
            count = count + int((words != PAD).sum())
        return float(np.exp(total / count))

    def given_captions(
        self, cache: FeatureCache, ids: Sequence[str], captions: Sequence[Sequence[str]]
    ) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Yield, for B images at a time, descriptors, float [B, N, F], and words of the captions, int32 [B * C, T].

        C is the highest number of captions of an image; images with fewer get rows of padding.

        Args:
            captions: those of each image.
        """
        from captioner.training.cross_entropy import encode_caption

        start = 0
        for block in self.cached_descriptors(cache, ids).blocks(32):
            own = captions[start : start + len(block)]
            count = max(map(len, own))
            words: list[list[int]] = []
            for some in own:
                words.extend(encode_caption(caption, self.config, self.vocabulary) for caption in some)
                words.extend([] for _ in range(count - len(some)))
            yield block, pad_sentences(words)
            start = start + len(block)

    def given_log_probs(self, descriptors: Tensor, words: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Compute the log-probability of each word of given sentences, float32 [H, T]; 0 for padding.

        Args:
            descriptors: float [B, N, F].
            words: int32 [H, T], end mark included, padded with 0; H a multiple of B, those of an image side by side.
            temperature: divides the log-probabilities before they are normalised again.

        Raises:
            DataError: features of another width than the model was trained on.
        """
        self.check_width(descriptors)
        descriptors = as_float32(descriptors)
        mask = _all_real(descriptors)
        words = np.asarray(words, np.int32)
        return np.asarray(self.network.predict_caption_log_probs(descriptors, mask, words, np.float32(temperature)))

    def mean_descriptor(self) -> np.ndarray:
        """Return the mean of the training images' descriptors, float32 [F]; zeros unless features are standardised."""
        return np.array(self.network.predict_mean_descriptor())

    def fingerprinted(self) -> list[Any]:
        """Return the arrays that captions depend on."""
        arrays = super().fingerprinted()
        if self.consensus is not None:
            arrays += [self.consensus.embeddings, self.consensus.words]
        return arrays

    def _caption(self, words: np.ndarray, log_prob: float, chosen: np.ndarray, cosine: float) -> Caption:
        real = until_end(words[None])[0] != PAD
        confidence = None
        if self.calibration is not None:
            confidence = self.calibration.confidence(float(chosen[real].mean()), cosine)
        text = " ".join(self.vocabulary.decode(words.tolist()))
        return Caption(text, log_prob, tuple(np.exp(chosen[real]).tolist()), cosine, confidence)


@functools.lru_cache(maxsize=8)
def _decoder(network: Any, options: DecodeOptions) -> Decoder:
    return Decoder(network, options)


def _all_real(descriptors: Tensor) -> np.ndarray:
    """Return the mask of descriptors [B, N, F] without padding, bool [B, N]."""
    return np.ones(descriptors.shape[:2], bool)
