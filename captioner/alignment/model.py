"""The alignment model: words of a sentence and regions of an image in one space.

Letters: B images, R regions of F features, C sentences, T words, D joint width. In the presets of the paper

    x_t = W_w I_t,  e_t = f(W_e x_t + b_e),  hf_t = f(e_t + W_f hf_{t-1} + b_f),  hb_t = f(e_t + W_b hb_{t+1} + b_b),
    s_t = f(W_d (hf_t + hb_t) + b_d),  v_i = W_m CNN(I_b) + b_m,  f(x) = max(0, x)

References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, section 3.1.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.alignment.config import AlignmentConfig
from captioner.alignment.scores import max_scores, products, soft_scores, sum_scores
from captioner.models.base import dense
from captioner.models.cells import ReluCell
from vislang.core.compile import compiled
from vislang.text.vocabulary import PAD, UNKNOWN
from vislang.training.feature_scaling import FeatureScaling, unit_length
from vislang.training.losses import logit_scale

Tensor = Any
# Vectors float32 [N, K, D], mask bool [N, K] and global embeddings float32 [N, W] of N images or sentences.
Fragments = tuple[Tensor, Tensor, Tensor]
_MASKED = -1e4  # state of a padding word under max-pooling, below any real one
_TINY = 1e-6


class WordEncoder(keras.layers.Layer):
    """Embed words in their sentence: a word table, a bidirectional recurrent network, a map into the joint space."""

    def __init__(self, config: AlignmentConfig, num_words: int):
        super().__init__()
        self.config = config
        uniform = keras.initializers.RandomUniform(-0.1, 0.1)
        self.table = keras.layers.Embedding(num_words, config.word_dim, embeddings_initializer=uniform)
        self.table.trainable = config.learn_words
        self.input_projection = None
        if config.recurrent == "relu":
            self.input_projection = dense(config.hidden_dim, config.word_dim, "relu")
        self.forwards = _recurrent(config, go_backwards=False)
        self.backwards = _recurrent(config, go_backwards=True)
        state_dim = config.hidden_dim
        if config.directions == "concat":
            state_dim = 2 * config.hidden_dim
        self.output_projection = dense(config.joint_dim, state_dim, "relu" if config.relu_words else None)
        self.global_projection = None
        if config.global_dim:
            self.global_projection = dense(config.global_dim, state_dim)
        self.bag = None
        if config.bag_dim:
            self.bag = keras.layers.Embedding(num_words, config.bag_dim, uniform)
            self.bag.build((None, None))
        self.embedding_dropout = keras.layers.Dropout(config.embedding_dropout)
        self.state_dropout = keras.layers.Dropout(config.state_dropout)
        self.word_dropout_seed = keras.random.SeedGenerator()
        self.table.build((None, None))
        num_inputs = config.word_dim
        if self.input_projection is not None:
            num_inputs = config.hidden_dim
        for layer in (self.forwards, self.backwards):
            layer.build((None, None, num_inputs))
        self.built = True

    def call(self, words: Tensor, training: bool = False) -> Fragments:
        """Encode int32 [C, T], padded at the end with 0.

        Returns:
            float32 [C, T, D]; bool [C, T], True for real words; and the global embeddings float32 [C, W]: of the max of
            the states, then of the bag of words, as far as the settings have them.
        """
        mask = ops.not_equal(words, PAD)  # [C, T]
        if training and self.config.word_dropout:
            dropped = keras.random.uniform(ops.shape(words), seed=self.word_dropout_seed) < self.config.word_dropout
            words = ops.where(ops.logical_and(dropped, mask), UNKNOWN, words)
        vectors = self.embedding_dropout(self.table(words), training=training)
        if self.input_projection is not None:
            vectors = self.input_projection(vectors)
        forwards = self.forwards(vectors, mask=mask, training=training)
        backwards = ops.flip(self.backwards(vectors, mask=mask, training=training), axis=1)
        if self.config.directions == "concat":
            states = ops.concatenate([forwards, backwards], axis=-1)
        else:
            states = forwards + backwards
        states = self.state_dropout(states, training=training)  # [C, T, H or 2H]
        parts = []
        if self.global_projection is not None:
            parts.append(self.global_projection(ops.max(ops.where(mask[..., None], states, _MASKED), axis=1)))
        if self.bag is not None:
            entries = self.embedding_dropout(self.bag(words), training=training)
            parts.append(ops.sum(ops.where(mask[..., None], entries, 0.0), axis=1))
        return self.output_projection(states), mask, _global_embeddings(parts, words)


def _recurrent(config: AlignmentConfig, *, go_backwards: bool) -> keras.layers.Layer:
    if config.recurrent == "relu":
        cell = ReluCell(config.hidden_dim, bias=True)
        return keras.layers.RNN(cell, return_sequences=True, go_backwards=go_backwards)
    return keras.layers.GRU(config.hidden_dim, return_sequences=True, go_backwards=go_backwards)


def _global_embeddings(parts: list[Tensor], like: Tensor) -> Tensor:
    """Join float32 [N, ...] parts to [N, W]; [N, 0] without any, for as many rows as `like` [N, ...] has."""
    if not parts:
        return ops.zeros((ops.shape(like)[0], 0))
    return ops.concatenate(parts, axis=-1)


class RegionEncoder(keras.layers.Layer):
    """Embed regions by one linear map; a region whose own features are all 0 is padding.

    Args:
        num_beside: how many of them, the last, are of the whole image and not of the region.
    """

    def __init__(self, config: AlignmentConfig, num_features: int, num_beside: int = 0):
        super().__init__()
        self.config = config
        self.num_own = num_features - num_beside
        self.scaling = FeatureScaling(config.image_scaling, num_features)
        self.projection = dense(config.joint_dim, self.num_own)
        self.global_projection = None
        if config.global_dim:
            self.global_projection = dense(config.global_dim, num_features)
        self.bag_projection = None
        if config.bag_dim:
            self.bag_projection = dense(config.bag_dim, num_features)
        self.context = None
        if config.context:
            self.context = dense(config.joint_dim, num_features, use_bias=False)
        self.dropout = keras.layers.Dropout(config.region_dropout)
        self.built = True

    def call(self, descriptors: Tensor, training: bool = False) -> Fragments:
        """Encode float32 [B, R, F].

        Returns:
            float32 [B, R, D]; bool [B, R], True for real regions; and the global embeddings of the images, float32
            [B, W].
        """
        if self.config.global_only:
            descriptors = descriptors[:, :1]
        mask = ops.any(ops.not_equal(descriptors[..., : self.num_own], 0.0), axis=-1)
        scaled = self.dropout(self.scaling.each(descriptors), training=training)
        vectors = self.projection(scaled[..., : self.num_own])
        whole_image = scaled[:, 0]
        if self.context is not None:
            vectors = vectors + self.context(whole_image)[:, None]
        if self.config.normalised:
            vectors = unit_length(vectors)
        projections = (self.global_projection, self.bag_projection)
        parts = []
        for projection in projections:
            if projection is not None:
                parts.append(projection(whole_image))
        return vectors, mask, _global_embeddings(parts, descriptors)


class Aligner(keras.Model):
    """Both encoders and the score between them.

    Args:
        num_beside: as for `RegionEncoder`.
    """

    GRAPHS = ("predict_regions", "predict_words", "predict_scores")

    def __init__(self, config: AlignmentConfig, num_words: int, num_features: int, num_beside: int = 0):
        super().__init__()
        self.config = config
        self.num_features = num_features
        self.num_beside = num_beside
        self.words = WordEncoder(config, num_words)
        self.regions = RegionEncoder(config, num_features, num_beside)
        learned = config.loss == "softmax"
        start = -math.log(config.temperature) if learned else 0.0
        self.log_logit_scale = self.add_weight(
            shape=(1 + len(config.global_dims),),
            initializer=keras.initializers.Constant(start),
            trainable=learned,
            name="log_logit_scale",
        )
        vectors = ((None, None, config.joint_dim), "float32")
        fragments = (vectors, ((None, None), "bool"), ((None, sum(config.global_dims)), "float32"))
        # Compiled graphs; see the encoders' calls and `each_score`, whose fragments are passed one by one.
        self.predict_regions = compiled(self.regions, ((None, None, num_features), "float32"), model=self)
        self.predict_words = compiled(self.words, ((None, None), "int32"), model=self)
        self.predict_scores = compiled(self._each_score_of, *fragments, *fragments, model=self)
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Score every image of a batch against every sentence of it.

        Args:
            inputs: "descriptors" float32 [B, R, F] and "words" int32 [C, T].

        Returns:
            float32 [K, B, C] as from `each_score`.
        """
        regions = self.regions(inputs["descriptors"], training=training)
        words = self.words(inputs["words"], training=training)
        return self.each_score(regions, words)

    def each_score(self, regions: Fragments, words: Fragments) -> Tensor:
        """Compute float32 [K, B, C]: S_kl, then cosines of global embeddings; for the softmax loss, scaled."""
        scores = [self._alignment_score(regions, words)]
        start = 0
        for width in self.config.global_dims:
            images = unit_length(regions[2][:, start : start + width])
            sentences = unit_length(words[2][:, start : start + width])
            scores.append(ops.matmul(images, ops.transpose(sentences)))
            start += width
        return ops.stack(scores) * logit_scale(self.log_logit_scale)[:, None, None]

    def _alignment_score(self, regions: Fragments, words: Fragments) -> Tensor:
        """Compute S_kl, float32 [B, C]."""
        region_vectors, region_mask, _ = regions
        word_vectors, word_mask, _ = words
        similarity = products(region_vectors, word_vectors)
        temperature = self.config.pooling_temperature
        if not self.config.normalised:
            return self._pooled(similarity, region_mask, word_mask, temperature)
        norms = ops.sqrt(ops.sum(ops.square(word_vectors), axis=-1) + _TINY)  # [C, T]
        total = self._pooled(similarity, region_mask, word_mask, temperature * norms)
        return total / (ops.sum(ops.where(word_mask, norms, 0.0), axis=-1) + _TINY)

    def _pooled(self, similarity: Tensor, region_mask: Tensor, word_mask: Tensor, temperature: Any) -> Tensor:
        if self.config.pooling == "soft":
            return soft_scores(similarity, region_mask, word_mask, temperature)
        if self.config.pooling == "max":
            return max_scores(similarity, region_mask, word_mask)
        return sum_scores(similarity, region_mask, word_mask)

    def set_word_vectors(self, vectors: np.ndarray) -> None:
        """Set the word table to float32 [num_words, word_dim]."""
        self.words.table.embeddings.assign(vectors)

    def _each_score_of(self, *fragments: Tensor) -> Tensor:
        return self.each_score(fragments[:3], fragments[3:])
