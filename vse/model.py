"""The ranker: two encoders into one space.

Letters: B batch, T steps, E word width, H state width, D joint width, N descriptors, F feature width.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from vislang.core.compile import compiled
from vislang.text.vocabulary import PAD, UNKNOWN
from vislang.training.feature_scaling import FeatureScaling, unit_length
from vislang.training.losses import logit_scale
from vse.config import VseConfig
from vse.kiros.gru import OriginalGRUCell

Tensor = Any
_NEVER = -1e4  # score of a padded step: below any state, and exp() of it is 0


class SentenceEncoder(keras.layers.Layer):
    """Encode word ids to one vector: embedding, a network over the words, pooling over steps, a projection."""

    def __init__(self, config: VseConfig, num_words: int, **options: Any):
        super().__init__(**options)
        self.config = config
        uniform = keras.initializers.RandomUniform(-0.1, 0.1)
        self.embedding = keras.layers.Embedding(num_words, config.word_dim, embeddings_initializer=uniform)
        self.recurrent = _recurrent(config)
        self.projection = None
        if config.project_sentences:
            self.projection = keras.layers.Dense(config.embed_dim)
        self.word_dropout = keras.layers.Dropout(config.sentence_dropout)
        self.state_dropout = keras.layers.Dropout(config.sentence_dropout)
        self.word_dropout_seed = keras.random.SeedGenerator()

    def build(self, input_shape: tuple) -> None:
        """Create every weight."""
        config = self.config
        self.embedding.build(input_shape)
        if self.recurrent is not None:
            self.recurrent.build((None, None, config.word_dim))
        if self.projection is not None:
            self.projection.build((None, config.sentence_width))

    def call(self, words: Tensor, training: bool = False) -> Tensor:
        """Encode int32 [B, T], padded at the end with 0, to float32 [B, D] of any length."""
        real = ops.not_equal(words, PAD)  # [B, T]
        if training and self.config.word_dropout:
            dropped = keras.random.uniform(ops.shape(words), seed=self.word_dropout_seed) < self.config.word_dropout
            words = ops.where(ops.logical_and(dropped, real), UNKNOWN, words)
        vectors = self.word_dropout(self.embedding(words), training=training)  # [B, T, E]
        if self.recurrent is not None:
            vectors = self.recurrent(vectors, mask=real, training=training)  # [B, T, H] or, of the last word, [B, H]
        pooled = self._pool(vectors, ops.expand_dims(real, -1))  # [B, H]
        if self.projection is not None:
            pooled = self.projection(self.state_dropout(pooled, training=training))
        return pooled

    def _pool(self, states: Tensor, real: Tensor) -> Tensor:
        if self.config.sentence_pooling == "max":
            return ops.max(ops.where(real, states, _NEVER), axis=1)
        if self.config.sentence_pooling == "sum":
            return ops.sum(ops.where(real, states, 0.0), axis=1)
        return states


def _recurrent(config: VseConfig) -> keras.layers.Layer | None:
    if config.encoder == "bow":
        return None
    sequences = config.sentence_pooling != "last"
    if config.encoder == "lstm":
        return keras.layers.LSTM(config.hidden_dim, return_sequences=sequences)
    forwards = keras.layers.RNN(OriginalGRUCell(config.hidden_dim), return_sequences=sequences)
    if config.encoder == "gru":
        return forwards
    backwards = keras.layers.RNN(OriginalGRUCell(config.hidden_dim), return_sequences=sequences, go_backwards=True)
    return keras.layers.Bidirectional(forwards, backward_layer=backwards)


class ImageEncoder(keras.layers.Layer):
    """Encode the descriptors of an image to one vector: a linear map of their mean.

    With `image_pooling` "attention", `attention_heads` learned weightings of the descriptors are averaged, pass through
    a linear map of their own and are added.
    """

    def __init__(self, config: VseConfig, num_features: int, **options: Any):
        super().__init__(**options)
        self.config = config
        self.linear = keras.layers.Dense(config.embed_dim, name="linear")
        self.dropout = keras.layers.Dropout(config.image_dropout)
        self.scaling = FeatureScaling(config.image_scaling, num_features)
        self.attention: keras.layers.Layer | None = None
        self.attended: Any = None
        if config.image_pooling == "attention":
            self.attention = keras.layers.Dense(config.attention_heads, use_bias=False, name="attention")
            self.attended = keras.layers.Dense(config.embed_dim, use_bias=False, name="attended")

    def build(self, input_shape: tuple) -> None:
        """Create every weight."""
        for layer in (self.linear, self.attention, self.attended):
            if layer is not None:
                layer.build((None, input_shape[-1]))

    def call(self, descriptors: Tensor, training: bool = False) -> Tensor:
        """Encode float32 [B, N, F] to float32 [B, D] of any length."""
        pooled = self.scaling.mean(descriptors)  # [B, F]
        vector = self.linear(self.dropout(pooled, training=training))
        if self.attention is not None:
            cells = self.scaling.each(descriptors)
            weights = ops.softmax(self.attention(cells), axis=1)  # [B, N, heads]
            attended = ops.mean(ops.matmul(ops.swapaxes(weights, 1, 2), cells), axis=1)  # [B, F]
            vector = vector + self.attended(self.dropout(attended, training=training))
        return vector


class Ranker(keras.Model):
    """An ensemble of pairs of encoders; M members."""

    GRAPHS = ("predict_images", "predict_sentences", "predict_feature_weights")

    def __init__(self, config: VseConfig, num_words: int, num_features: int, **options: Any):
        super().__init__(**options)
        self.config = config
        self.num_features = num_features
        # Compiled graphs for ranking; see `images`, `sentences` and `feature_weights`.
        self.predict_images = compiled(self.images, ((None, None, num_features), "float32"), model=self)
        self.predict_sentences = compiled(self.sentences, ((None, None), "int32"), model=self)
        vectors = ((None, config.ensemble_size, config.embed_dim), "float32")
        self.predict_feature_weights = compiled(self.feature_weights, vectors, model=self)
        self.sentence_encoders = [SentenceEncoder(config, num_words) for _ in range(config.ensemble_size)]
        self.image_encoders = [ImageEncoder(config, num_features) for _ in range(config.ensemble_size)]
        start = keras.initializers.Constant(-np.log(config.temperature))
        self.log_logit_scale = self.add_weight(
            shape=(config.ensemble_size,), initializer=start, trainable=config.loss == "softmax", name="log_logit_scale"
        )
        for sentence_encoder, image_encoder in zip(self.sentence_encoders, self.image_encoders, strict=True):
            sentence_encoder.build((None, None))
            image_encoder.build((None, None, num_features))
        self.built = True

    def set_feature_statistics(self, means: np.ndarray, stds: np.ndarray) -> None:
        """Set the statistics of the training images' features, float32 [2, F] each (`FeatureScaling`)."""
        for encoder in self.image_encoders:
            encoder.scaling.set_statistics(means, stds)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Score images against sentences, float32 [M, B, B]; for the softmax loss, divided by the temperature.

        Args:
            inputs: "descriptors" float32 [B, N, F] and "words" int32 [B, T].
        """
        images = self.images(inputs["descriptors"], training, normalize=self.config.normalize_images_in_loss)
        sentences = self.sentences(inputs["words"], training)
        scores = ops.matmul(images, ops.swapaxes(sentences, 1, 2))
        if self.config.loss == "softmax":
            scores = scores * logit_scale(self.log_logit_scale)[:, None, None]
        return scores

    def images(self, descriptors: Tensor, training: bool = False, *, normalize: bool = True) -> Tensor:
        """Encode float32 [B, N, F] to float32 [M, B, D], of length 1 unless `normalize` is False."""
        vectors = ops.stack([encoder(descriptors, training=training) for encoder in self.image_encoders])
        if normalize:
            return unit_length(vectors)
        return vectors

    def feature_weights(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Compute how much each standardised feature of the mean descriptor adds to the score of sentences.

        Args:
            vectors: float32 [B, M, D], embedded sentences.

        Returns:
            float32 [B, F], summed over the members, without what attention adds; and float32 [F], the factors that
            standardise features.
        """
        weights = 0.0
        for member, encoder in enumerate(self.image_encoders):
            weights = weights + ops.matmul(vectors[:, member], ops.transpose(encoder.linear.kernel))
        return weights, ops.convert_to_tensor(self.image_encoders[0].scaling.mean_scale)

    def sentences(self, words: Tensor, training: bool = False) -> Tensor:
        """Encode int32 [B, T] to float32 [M, B, D] of length 1."""
        return unit_length(ops.stack([encoder(words, training=training) for encoder in self.sentence_encoders]))
