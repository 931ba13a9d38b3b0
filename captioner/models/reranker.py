"""How well a sentence fits an image: a bag of its words beside the image in one space, trained with the generators."""

from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import for_each_hypothesis
from captioner.models.image_features import ImageScaling
from vislang.text.vocabulary import END, PAD, UNKNOWN
from vislang.training.losses import softmax_loss

Tensor = Any
_TEMPERATURE = 0.05


class Judge(keras.layers.Layer):
    """Scores finished sentences, which a generator, going word by word, never sees as a whole.

        fit = cos(W_v v, W_s sum_t e_t)          v the image's mean descriptor, e_t the vector of word t

    The order of the words is the generators' business.

    Args:
        config: the settings.
        num_words: V, special words included.
        num_features: F.

    References: Kiros et al. 2014, arXiv:1411.2539 (the linear sentence side); Fang et al. 2015, arXiv:1411.4952
        (candidates ranked by a joint embedding).
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int, **options: Any):
        super().__init__(**options)
        self.image = ImageScaling(config.image_scaling, num_features)
        uniform = keras.initializers.RandomUniform(-0.1, 0.1)
        self.words = keras.layers.Embedding(num_words, config.judge_word_dim, embeddings_initializer=uniform)
        self.from_words, self.from_image = (keras.layers.Dense(config.judge_dim) for _ in range(2))
        self.word_dropout = keras.layers.Dropout(config.word_dropout)
        self.image_dropout = keras.layers.Dropout(config.image_dropout)
        self.log_sharpness = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(-ops.log(_TEMPERATURE)), name="log_sharpness"
        )
        self.words.build((None,))
        self.from_words.build((None, config.judge_word_dim))
        self.from_image.build((None, num_features))
        self.built = True

    def fit(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        """Give float32 [H], the cosine of each sentence with its image, -1 to 1.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.
            words: int32 [H, T], H a multiple of B, the sentences of an image side by side.
        """
        images = for_each_hypothesis(self.images(descriptors, mask), words)
        return ops.sum(images * self._sentences(words, False), axis=-1)

    def loss(
        self, descriptors: Tensor, mask: Tensor, words: Tensor, rows: Tensor, owners: Tensor | None = None
    ) -> Tensor:
        """Give the softmax loss over all pairs of a batch; sentences of the same image are no negatives.

        Args:
            descriptors: float32 [I, N, F].
            mask: bool [I, N].
            words: int32 [B, T], sentences.
            rows: int32 [I], which image each is.
            owners: int32 [B], whose each sentence is, 0 to I - 1; None: one of each image.
        """
        images, sentences = self.images(descriptors, mask, True), self._sentences(words, True)
        if owners is not None:
            images, rows = (ops.take(one, owners, axis=0) for one in (images, rows))
        sharpness = ops.exp(ops.minimum(self.log_sharpness, 4.6))  # at most 100, as CLIP bounds it
        scores = sharpness * ops.matmul(images, ops.transpose(sentences))
        return softmax_loss(scores, ops.not_equal(rows[:, None], rows[None, :]))

    def images(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Give float32 [B, judge_dim] of length 1, where images lie in the joint space; arguments as for `fit`."""
        vectors = self.image_dropout(self.image.mean(descriptors, mask), training=training)
        return ops.normalize(self.from_image(vectors), axis=-1, epsilon=1e-12)

    def _sentences(self, words: Tensor, training: bool) -> Tensor:
        counted = ops.logical_and(ops.not_equal(words, PAD), ops.not_equal(words, END))
        counted = ops.logical_and(counted, ops.not_equal(words, UNKNOWN))
        vectors = self.word_dropout(self.words(words), training=training)
        bag = ops.sum(ops.where(counted[..., None], vectors, 0.0), axis=1)  # [H, E]
        return ops.normalize(self.from_words(bag), axis=-1, epsilon=1e-12)
