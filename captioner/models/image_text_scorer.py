"""Image-text scorer: the cosine of an image and the bag of a sentence's words, trained beside the generators."""

from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import dense, for_each_hypothesis
from vislang.text.vocabulary import END, PAD, UNKNOWN
from vislang.training.feature_scaling import FeatureScaling, unit_length
from vislang.training.losses import logit_scale, softmax_loss

Tensor = Any
_TEMPERATURE = 0.05


class ImageTextScorer(keras.layers.Layer):
    """Score finished sentences by their words as a bag.

        score = cos(W_v v, W_s sum_t e_t)          v the image's mean descriptor, e_t the vector of word t

    References: Kiros et al. 2014, arXiv:1411.2539 (the linear sentence side); Fang et al. 2015, arXiv:1411.4952
        (candidates re-ranked by a joint embedding).
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int):
        super().__init__()
        self.scaling = FeatureScaling(config.image_scaling, num_features)
        uniform = keras.initializers.RandomUniform(-0.1, 0.1)
        self.words = keras.layers.Embedding(num_words, config.scorer_word_dim, embeddings_initializer=uniform)
        self.from_words = dense(config.scorer_dim, config.scorer_word_dim)
        self.from_image = dense(config.scorer_dim, num_features)
        self.word_dropout = keras.layers.Dropout(config.embedding_dropout)
        self.image_dropout = keras.layers.Dropout(config.image_dropout)
        start = keras.initializers.Constant(-ops.log(_TEMPERATURE))
        self.log_logit_scale = self.add_weight(shape=(), initializer=start, name="log_logit_scale")
        self.words.build((None,))
        self.built = True

    def scores(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        """Compute the cosine of each sentence with its image, float32 [H], -1 to 1.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.
            words: int32 [H, T], H a multiple of B, the sentences of an image side by side.
        """
        images = for_each_hypothesis(self.image_embeddings(descriptors, mask), words)
        return ops.sum(images * self.sentence_embeddings(words), axis=-1)

    def loss(
        self, descriptors: Tensor, mask: Tensor, words: Tensor, rows: Tensor, owners: Tensor | None = None
    ) -> Tensor:
        """Compute the softmax loss over all pairs of a batch, a scalar; sentences of one image are no negatives.

        Args:
            descriptors: as for `scores`.
            mask: as for `scores`.
            words: int32 [C, T], sentences; those of padding alone do not count.
            rows: int32 [B], the index of each image.
            owners: int32 [C], the image of each sentence, 0 to B - 1; None: sentence c is of image c.
        """
        images = self.image_embeddings(descriptors, mask, training=True)
        sentences = self.sentence_embeddings(words, training=True)
        if owners is not None:
            images = ops.take(images, owners, axis=0)
            rows = ops.take(rows, owners, axis=0)
        scores = logit_scale(self.log_logit_scale) * ops.matmul(images, ops.transpose(sentences))
        counts = ops.any(ops.not_equal(words, PAD), axis=1)  # [C]
        both_count = ops.logical_and(counts[:, None], counts[None, :])
        negatives = ops.logical_and(ops.not_equal(rows[:, None], rows[None, :]), both_count)
        # An empty sentence has no negatives, so that it adds 0 to the sum of which the loss is the mean.
        return softmax_loss(scores, negatives) / ops.mean(ops.cast(counts, scores.dtype))

    def image_embeddings(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Embed images, float32 [B, D] of length 1; all arguments as for `scores`."""
        vectors = self.image_dropout(self.scaling.mean(descriptors, mask), training=training)
        return unit_length(self.from_image(vectors))

    def sentence_embeddings(self, words: Tensor, training: bool = False) -> Tensor:
        """Embed sentences int32 [C, T], float32 [C, D] of length 1; padding, end and unknown words do not count."""
        counted = ops.logical_and(ops.not_equal(words, PAD), ops.not_equal(words, END))
        counted = ops.logical_and(counted, ops.not_equal(words, UNKNOWN))
        vectors = self.word_dropout(self.words(words), training=training)
        bag = ops.sum(ops.where(counted[..., None], vectors, 0.0), axis=1)  # [C, E]
        return unit_length(self.from_words(bag))
