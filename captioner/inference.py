"""A trained captioner: its network, words and settings, read from a checkpoint, and how it writes."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.decoding.consensus_reranking import ConsensusReranker, read_consensus_reranker
from captioner.decoding.decoder import Decoder, Sentences
from captioner.decoding.options import DecodeOptions
from captioner.decoding.step import IMPOSSIBLE
from captioner.models.ensemble import Captioner
from captioner.training.cross_entropy import encode_caption
from vislang.core.config import from_json
from vislang.core.errors import CheckpointError
from vislang.features.cache.reader import FeatureCache
from vislang.features.descriptors import join_layers
from vislang.features.reading_options import ReadingOptions
from vislang.images.sources import Skipped
from vislang.text.vocabulary import END, PAD, Vocabulary
from vislang.training.epoch_batches import pad_sentences
from vislang.training.trained_model import TrainedModel

Tensor = Any
KIND = "captioner"


@dataclass(frozen=True)
class Caption:
    """A sentence that the captioner wrote.

    Attributes:
        text: its words, joined by blanks.
        log_prob: natural logarithm of its probability, the end mark included.
        probabilities: of each word given the image and the words before it, and last of the end mark; 0 to 1.
    """

    text: str
    log_prob: float
    probabilities: tuple[float, ...]

    @property
    def words(self) -> list[str]:
        """The words; one less than there are probabilities, unless the sentence was cut."""
        return self.text.split()


@dataclass(frozen=True)
class TrainedCaptioner(TrainedModel):
    """A trained captioner: what `captioner.load_model` returns.

    Attributes:
        consensus: training images and their captions; None where the settings ask for none or training has not ended.
    """

    kind = KIND
    network: Captioner
    vocabulary: Vocabulary
    consensus: ConsensusReranker | None = None

    @classmethod
    def build_network(cls, description: dict[str, Any], vocabulary: Any) -> Captioner:
        """Build the generators and scorers, without their weights."""
        config = from_json(CaptionerConfig, description["config"])
        return Captioner(config, len(vocabulary), int(description["num_features"]))

    @classmethod
    def read(
        cls,
        folder: str | Path,
        *,
        backbone_weights: str | Path | None = None,
        network_weights: Path | None = None,
    ) -> Self:
        """Read a checkpoint folder; all arguments and errors as in `TrainedModel.read`."""
        model = super().read(folder, backbone_weights=backbone_weights, network_weights=network_weights)
        return replace(model, consensus=read_consensus_reranker(Path(folder)))

    def complete(self, options: DecodeOptions | None) -> DecodeOptions:
        """Return options of decoding in which the preset has filled in what is None; None: all of them."""
        config = self.config
        preset = {
            "width": config.beam,
            "max_words": config.decode_words,
            "length_power": config.length_power,
            "scorer_weight": config.scorer_weight,
            "consensus_weight": config.consensus_weight,
        }
        return (options or DecodeOptions()).completed(preset)

    def decoder(self, options: DecodeOptions) -> Decoder:
        """Give the compiled decoder for these options; asked again with equal ones, the same."""
        return _decoder(self.network, options)

    def caption_descriptors(
        self,
        descriptors: Tensor,
        mask: Tensor | None = None,
        *,
        options: DecodeOptions | None = None,
        numbers: np.ndarray | None = None,
    ) -> list[list[Caption]]:
        """Caption images seen as descriptors.

        Args:
            descriptors: float [B, N, F].
            mask: bool [B, N], True for real descriptors; None: all are.
            options: how to decode; None: as the preset says.
            numbers: int [B], the images' places in the whole work, so that sampling does not hang on the batches;
                None: 0 to B - 1.

        Returns:
            the captions of each image, best first; with `num` in the options so many, or fewer when there are no more.

        Raises:
            DataError: features of another width than the model was trained on.
        """
        descriptors, mask = self._checked(descriptors, mask)
        words, log_probs = self._decode(descriptors, mask, self.complete(options), numbers)  # [B, K, T], [B, K]
        chosen = self._chosen_log_probs(descriptors, mask, words)
        return [
            [
                self._caption(words[image, rank], float(log_probs[image, rank]), chosen[image, rank])
                for rank in range(words.shape[1])
                if log_probs[image, rank] > IMPOSSIBLE / 2
            ]
            for image in range(len(words))
        ]

    def _decode(
        self, descriptors: Tensor, mask: Tensor, options: DecodeOptions, numbers: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decode, and re-rank all beams where scorers or the consensus have a weight.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N].
            options: how to decode.
            numbers: as for `caption_descriptors`.

        Returns:
            int32 [B, K, T] words, padded with the end mark, and float32 [B, K] log-probabilities, best first.
        """
        if not options.scorer_weight and not options.consensus_weight:
            sentences = self.decoder(options)(descriptors, mask, numbers)
            return sentences.words, sentences.log_probs
        every_beam = replace(options, num=options.width or 1, scorer_weight=0.0, consensus_weight=0.0)
        sentences = self.decoder(every_beam)(descriptors, mask, numbers)
        scores = self._rerank_scores(descriptors, mask, sentences, options)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : options.num]
        words = np.take_along_axis(sentences.words, best[..., None], axis=1)
        return words, np.take_along_axis(sentences.log_probs, best, axis=1)

    def _rerank_scores(
        self, descriptors: Tensor, mask: Tensor, sentences: Sentences, options: DecodeOptions
    ) -> np.ndarray:
        """Compute what finished sentences are re-ranked by, float64 [B, K].

        It is log P / length ** length_power + scorer_weight * cosine + consensus_weight * CIDEr-D. Sentences cut at the
        maximum length come last, in the order of decoding.
        """
        words = sentences.words
        rows = until_end(words.reshape(-1, words.shape[-1]))  # [B * K, T]
        lengths = (rows != PAD).sum(axis=1).reshape(words.shape[:2])
        scores = sentences.log_probs / lengths**options.length_power
        if options.scorer_weight and self.network.scorers:
            cosines = self.network.predict_scores(descriptors, mask, ops.convert_to_tensor(rows))
            scores = scores + options.scorer_weight * np.asarray(cosines).reshape(scores.shape)
        if options.consensus_weight:
            if self.consensus is None:
                raise CheckpointError(
                    "this captioner keeps no training captions: its settings ask for none, or its training has not "
                    "ended; decode with consensus_weight=0, or run its training command again to the end"
                )
            embeddings = np.asarray(self.network.predict_image_embeddings(descriptors, mask))
            without_end = np.where(rows == END, PAD, rows).reshape(words.shape)
            agreement = self.consensus.scores(embeddings, without_end, self.config.consensus_images)
            scores = scores + options.consensus_weight * agreement
        scores = np.where((words == END).any(axis=-1), scores, IMPOSSIBLE)
        return np.where(sentences.exists, scores, -np.inf)

    def caption_cached(
        self,
        cache: FeatureCache,
        ids: Sequence[str],
        *,
        options: DecodeOptions | None = None,
        batch_size: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Caption]]:
        """Caption images whose features lie in a cache made with the same weights.

        Args:
            cache: an open cache.
            ids: the images.
            options: how to decode; None: as the preset says.
            batch_size: images decoded at once.
            progress: called with the number of images just dealt with.

        Raises:
            DataError: an image is not there, or other weights made the features.
        """
        captions: list[list[Caption]] = []
        for block in self.cached_descriptors(cache, ids).blocks(batch_size):
            numbers = np.arange(len(captions), len(captions) + len(block))
            captions += self.caption_descriptors(block, options=options, numbers=numbers)
            if progress is not None:
                progress(len(block))
        return captions

    def caption_images(
        self,
        sources: Sequence[Any],
        decode: DecodeOptions | None = None,
        options: ReadingOptions = ReadingOptions(),
    ) -> Iterator[tuple[list[list[Caption]], list[int], list[Skipped]]]:
        """Caption images, and hand the captions out batch by batch.

        Args:
            sources: paths, bytes, PIL images or arrays.
            decode: how to decode; None: as the preset says.
            options: how the images are read.

        Yields:
            for each batch: captions of its K usable images, their indices among `sources`, the others with reasons.
        """
        for batch in self.encode_batches(sources, options):
            captions: list[list[Caption]] = []
            if batch.kept:
                joined = join_layers([batch.features[layer] for layer in self.config.layers])
                captions = self.caption_descriptors(joined, options=decode, numbers=np.array(batch.kept))
            yield captions, batch.kept, batch.skipped

    def perplexity(self, cache: FeatureCache, ids: Sequence[str], captions: Sequence[Sequence[str]]) -> float:
        """Give exp of the mean -log P over all words and end marks of given captions, those of one image together."""
        total = 0.0
        count = 0
        start = 0
        for block in self.cached_descriptors(cache, ids).blocks(32):
            owners = [row for row in range(len(block)) for _ in captions[start + row]]
            texts = [caption for row in range(len(block)) for caption in captions[start + row]]
            words = pad_sentences([encode_caption(caption, self.config, self.vocabulary) for caption in texts])
            descriptors = ops.take(block, np.asarray(owners, np.int32), axis=0)
            chosen = self.given_log_probs(descriptors, words)
            total = total - chosen.sum()
            count = count + int((words != PAD).sum())
            start = start + len(block)
        return float(np.exp(total / count))

    def given_log_probs(self, descriptors: Tensor, words: np.ndarray, mask: Tensor | None = None) -> np.ndarray:
        """Give float32 [B, T], the log-probability of each word of given sentences; 0 where there is none.

        Args:
            descriptors: float [B, N, F].
            words: int32 [B, T], end mark included, padded with 0.
            mask: bool [B, N], or None.
        """
        descriptors, mask = self._checked(descriptors, mask)
        return np.asarray(
            self.network.predict_caption_log_probs(descriptors, mask, ops.convert_to_tensor(words, "int32"))
        )

    def mean_descriptor(self) -> np.ndarray:
        """Return the mean of the training images' descriptors, float32 [F]; zeros unless features are standardised."""
        return np.array(self.network.generators[0].scaling.each_shift)

    def fingerprinted(self) -> list[Any]:
        """Return the arrays that captions depend on."""
        arrays = super().fingerprinted()
        if self.consensus is not None:
            arrays += [self.consensus.embeddings, self.consensus.words]
        return arrays

    def _checked(self, descriptors: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return descriptors as float32 [B, N, F] and their mask as bool [B, N]."""
        self.check_width(descriptors)
        descriptors = ops.cast(descriptors, "float32")
        if mask is None:
            return descriptors, ops.ones(descriptors.shape[:2], "bool")
        return descriptors, ops.cast(mask, "bool")

    def _chosen_log_probs(self, descriptors: Tensor, mask: Tensor, words: np.ndarray) -> np.ndarray:
        """Give float32 [B, K, T] for decoded words [B, K, T]; 0 after the end mark."""
        flat = until_end(words.reshape(-1, words.shape[-1]))
        return self.given_log_probs(descriptors, flat, mask).reshape(words.shape)

    def _caption(self, words: np.ndarray, log_prob: float, chosen: np.ndarray) -> Caption:
        real = until_end(words[None])[0] != PAD
        text = " ".join(self.vocabulary.decode(words.tolist()))
        return Caption(text, log_prob, tuple(np.exp(chosen[real]).tolist()))


@functools.lru_cache(maxsize=8)
def _decoder(network: Captioner, options: DecodeOptions) -> Decoder:
    return Decoder(network, options)


def until_end(words: np.ndarray) -> np.ndarray:
    """Replace what follows the first end mark of each row of int [B, T] by padding."""
    ended = np.cumsum(words == END, axis=1) - (words == END)  # end marks before each place
    return np.where(ended > 0, PAD, words).astype(np.int32)
