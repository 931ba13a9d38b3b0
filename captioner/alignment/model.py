"""The alignment model: words of a sentence and regions of an image in one space.

Letters: B images, R regions of F features, C sentences, T words, D joint width. In the presets of the paper

    x_t = W_w I_t,  e_t = f(W_e x_t + b_e),  hf_t = f(e_t + W_f hf_{t-1} + b_f),  hb_t = f(e_t + W_b hb_{t+1} + b_b),
    s_t = f(W_d (hf_t + hb_t) + b_d),  v_i = W_m CNN(I_b) + b_m,  f(x) = max(0, x)

References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, section 3.1.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.alignment.config import AlignmentConfig
from captioner.alignment.scores import max_scores, products, soft_scores, sum_scores
from captioner.models.cells import ReluCell
from vislang.text.vocabulary import PAD, UNKNOWN
from vislang.training.compile import compiled
from vislang.training.feature_scaling import FeatureScaling, unit_length
from vislang.training.losses import logit_scale

Tensor = Any
Fragments = tuple[Tensor, Tensor, Tensor]  # vectors, which of them are real, and the wholes
_TINY = 1e-6


class WordEncoder(keras.layers.Layer):
    """Words in their sentence: a table, a recurrent network in both directions, a map into the joint space.

    Args:
        config: the settings.
        num_words: size of the vocabulary, special words included.
    """

    def __init__(self, config: AlignmentConfig, num_words: int, **options: Any):
        super().__init__(**options)
        self.config, width = config, config.hidden_dim
        uniform = keras.initializers.RandomUniform(-0.1, 0.1)
        self.table = keras.layers.Embedding(num_words, config.word_dim, embeddings_initializer=uniform)
        self.table.trainable = config.learn_words
        self.entry = keras.layers.Dense(width, activation="relu") if config.recurrent == "relu" else None
        self.forwards, self.backwards = _recurrent(config, False), _recurrent(config, True)
        last = "relu" if config.relu_words else None
        self.exit = keras.layers.Dense(config.joint_dim, activation=last)
        self.whole_exit = keras.layers.Dense(config.global_dim) if config.global_dim else None
        self.bag = keras.layers.Embedding(num_words, config.bag_dim, uniform) if config.bag_dim else None
        self.word_dropout = keras.layers.Dropout(config.embedding_dropout)
        self.state_dropout = keras.layers.Dropout(config.state_dropout)
        self.forget = keras.random.SeedGenerator()
        self.table.build((None, None))
        into = config.word_dim if self.entry is None else width
        if self.entry is not None:
            self.entry.build((None, None, config.word_dim))
        self.forwards.build((None, None, into))
        self.backwards.build((None, None, into))
        joined = width * (2 if config.directions == "concat" else 1)
        self.exit.build((None, None, joined))
        if self.whole_exit is not None:
            self.whole_exit.build((None, joined))
        if self.bag is not None:
            self.bag.build((None, None))
        self.built = True

    def call(self, words: Tensor, training: bool = False) -> Fragments:
        """Encode int32 [C, T], padded at the end with 0.

        Returns:
            float32 [C, T, D], bool [C, T], True for real words, and the sentences as wholes, float32 [C, W]: what is
            read from the states, then the bags of words, as far as the settings have them.
        """
        there = ops.not_equal(words, PAD)  # [C, T]
        if training and self.config.word_dropout:
            lost = keras.random.uniform(ops.shape(words), seed=self.forget) < self.config.word_dropout
            words = ops.where(ops.logical_and(lost, there), UNKNOWN, words)
        vectors = self.word_dropout(self.table(words), training=training)
        if self.entry is not None:
            vectors = self.entry(vectors)
        forwards = self.forwards(vectors, mask=there, training=training)
        backwards = ops.flip(self.backwards(vectors, mask=there, training=training), axis=1)
        both = forwards + backwards
        if self.config.directions == "concat":
            both = ops.concatenate([forwards, backwards], axis=-1)
        states = self.state_dropout(both, training=training)  # [C, T, H or 2H]
        wholes = vectors[:, 0, :0]
        if self.whole_exit is not None:
            peak = ops.max(ops.where(there[..., None], states, -1e4), axis=1)
            wholes = self.whole_exit(peak)
        if self.bag is not None:
            entries = ops.where(there[..., None], self.word_dropout(self.bag(words), training=training), 0.0)
            wholes = ops.concatenate([wholes, ops.sum(entries, axis=1)], axis=-1)
        return self.exit(states), there, wholes


def _recurrent(config: AlignmentConfig, backwards: bool) -> keras.layers.Layer:
    options: dict[str, Any] = {"return_sequences": True, "go_backwards": backwards}
    if config.recurrent == "relu":
        return keras.layers.RNN(ReluCell(config.hidden_dim, bias=True), **options)
    return keras.layers.GRU(config.hidden_dim, **options)


class RegionEncoder(keras.layers.Layer):
    """Regions into the joint space, by one linear map; a region without any feature is none.

    Args:
        config: the settings.
        num_features: F.
        num_beside: how many of them, the last, are of the picture and not of the region.
    """

    def __init__(self, config: AlignmentConfig, num_features: int, num_beside: int = 0, **options: Any):
        super().__init__(**options)
        self.config, self.num_own = config, num_features - num_beside
        self.scaling = FeatureScaling(config.image_scaling, num_features)
        self.linear = keras.layers.Dense(config.joint_dim)
        self.whole_linear = keras.layers.Dense(config.global_dim) if config.global_dim else None
        self.bag_linear = keras.layers.Dense(config.bag_dim) if config.bag_dim else None
        self.context = keras.layers.Dense(config.joint_dim, use_bias=False) if config.context else None
        self.dropout = keras.layers.Dropout(config.region_dropout)
        self.linear.build((None, None, self.num_own))
        for layer in (self.whole_linear, self.bag_linear, self.context):
            if layer is not None:
                layer.build((None, num_features))
        self.built = True

    def call(self, descriptors: Tensor, training: bool = False) -> Fragments:
        """Encode float32 [B, R, F].

        Returns:
            float32 [B, R, D], bool [B, R], True for real regions, and the whole pictures, float32 [B, W].
        """
        if self.config.global_only:
            descriptors = descriptors[:, :1]
        there = ops.any(ops.not_equal(descriptors[..., : self.num_own], 0.0), axis=-1)
        scaled = self.dropout(self.scaling.each(descriptors), training=training)
        vectors = self.linear(scaled[..., : self.num_own])
        if self.context is not None:
            vectors = vectors + self.context(scaled[:, 0])[:, None]
        if self.config.normalised:
            vectors = unit_length(vectors)
        wholes = [layer(scaled[:, 0]) for layer in (self.whole_linear, self.bag_linear) if layer is not None]
        return vectors, there, ops.concatenate([scaled[:, 0, :0], *wholes], axis=-1)


class Aligner(keras.Model):
    """Both encoders and the score between them.

    Args:
        config: the settings.
        num_words: size of the vocabulary, special words included.
        num_features: F.
        num_beside: see `RegionEncoder`.
    """

    def __init__(self, config: AlignmentConfig, num_words: int, num_features: int, num_beside: int = 0, **options: Any):
        super().__init__(**options)
        self.config, self.num_features = config, num_features
        self.words, self.regions = WordEncoder(config, num_words), RegionEncoder(config, num_features, num_beside)
        self.log_logit_scale = self.add_weight(
            shape=(1 + len(config.global_dims),),
            initializer=keras.initializers.Constant(-math.log(config.temperature) if config.loss == "softmax" else 0.0),
            trainable=config.loss == "softmax",
            name="log_logit_scale",
        )
        self._graphs: dict[str, Callable] = {}
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Score every image of a batch against every sentence of it.

        Args:
            inputs: "descriptors" float32 [B, R, F] and "words" int32 [C, T].

        Returns:
            float32 [K, B, C], see `each_score`.
        """
        regions = self.regions(inputs["descriptors"], training=training)
        return self.each_score(*regions, *self.words(inputs["words"], training=training))

    def each_score(
        self,
        regions: Tensor,
        regions_there: Tensor,
        pictures: Tensor,
        words: Tensor,
        words_there: Tensor,
        wholes: Tensor,
    ) -> Tensor:
        """Give float32 [K, B, C] of what both encoders gave, images down, sentences across.

        First comes S_kl, then the cosine of each pair of wholes that the settings have. For the softmax loss each is
        divided by its temperature.
        """
        found = self._fragments(regions, regions_there, words, words_there)[None]
        start = 0
        for width in self.config.global_dims:
            images, sentences = (unit_length(one[:, start : start + width]) for one in (pictures, wholes))
            found = ops.concatenate([found, ops.matmul(images, ops.transpose(sentences))[None]])
            start += width
        return found * logit_scale(self.log_logit_scale)[:, None, None]

    def _fragments(self, regions: Tensor, regions_there: Tensor, words: Tensor, words_there: Tensor) -> Tensor:
        similarity = products(regions, words)
        if not self.config.normalised:
            return self._pooled(similarity, regions_there, words_there, self.config.pooling_temperature)
        lengths = ops.sqrt(ops.sum(ops.square(words), axis=-1) + _TINY)  # [C, T]
        total = self._pooled(similarity, regions_there, words_there, self.config.pooling_temperature * lengths)
        return total / (ops.sum(ops.where(words_there, lengths, 0.0), axis=-1) + _TINY)

    def _pooled(self, similarity: Tensor, regions_there: Tensor, words_there: Tensor, softness: Any) -> Tensor:
        if self.config.pooling == "soft":
            return soft_scores(similarity, regions_there, words_there, softness)
        return {"max": max_scores, "sum": sum_scores}[self.config.pooling](similarity, regions_there, words_there)

    def start_words_from(self, vectors: np.ndarray) -> None:
        """Put float32 [num_words, word_dim] into the word table."""
        self.words.table.embeddings.assign(vectors)

    def predict_regions(self, descriptors: Tensor) -> Tensor:
        """Encode float32 [B, R, F] in one compiled graph; see `RegionEncoder.call`."""
        spec = ((None, None, self.num_features), "float32")
        return self._graph("regions", self.regions, spec)(descriptors)

    def predict_words(self, words: Tensor) -> Tensor:
        """Encode int32 [C, T] in one compiled graph; see `WordEncoder.call`."""
        return self._graph("words", self.words, ((None, None), "int32"))(words)

    def predict_scores(self, *fragments: Tensor) -> Tensor:
        """Score what was encoded, in one compiled graph; see `each_score`."""
        width, wide = self.config.joint_dim, sum(self.config.global_dims)
        three, two, whole = ((None, None, width), "float32"), ((None, None), "bool"), ((None, wide), "float32")
        return self._graph("scores", self.each_score, three, two, whole, three, two, whole)(*fragments)

    def _graph(self, name: str, function: Callable, *inputs: Any) -> Callable:
        if name not in self._graphs:
            self._graphs[name] = compiled(function, *inputs)
        return self._graphs[name]
