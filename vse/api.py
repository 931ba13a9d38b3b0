"""The public functions of the ranker. Keras, where it is needed, is imported inside them: `vse` alone costs nothing."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vislang.core.errors import ConfigError, DataError, shown
from vislang.core.files import path_of
from vislang.core.model_kinds import require_kind
from vislang.core.quiet_backend import import_backend_quietly
from vislang.features.reading_options import ReadingOptions
from vse.nearest import nearest

if TYPE_CHECKING:
    from vislang.images.sources import Skipped
    from vse.inference import TrainedRanker

_KIND = "vse"


@dataclass(frozen=True)
class EncodedImages:
    """Images in the joint space; `numpy.asarray` of it gives the vectors.

    Attributes:
        vectors: float32 [K, D], each of length 1.
        names: K names: the path of each image, or its index in the input.
        skipped: the images that could not be used, each with `source` and `reason`.
    """

    vectors: np.ndarray
    names: list[str]
    skipped: "list[Skipped]" = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.vectors)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.vectors, dtype=dtype, copy=True if copy is None else copy)


@dataclass(frozen=True)
class Match:
    """One result of a search.

    Attributes:
        name: the caption, or the name of the image.
        index: its index among the candidates.
        score: its cosine similarity to the query, -1 to 1.
    """

    name: str
    index: int
    score: float


@dataclass(frozen=True)
class Retrieved:
    """The results of a search for each of several queries; iterating yields `matches`.

    Attributes:
        names: Q queries: the sentence, or the name of the image.
        matches: Q lists, the best match first.
        skipped: the images that could not be used, each with `source` and `reason`.
    """

    names: list[str]
    matches: list[list[Match]]
    skipped: "list[Skipped]" = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.matches)

    def __iter__(self) -> Iterator[list[Match]]:
        return iter(self.matches)


def load_model(name_or_path: str | Path | None = None, *, weights: str | Path | None = None) -> "TrainedRanker":
    """Load a trained ranker.

    Args:
        name_or_path: the name of a bundled model; a checkpoint folder; or a model file of the original (".npz", with
            its ".dictionary.pkl" beside it, read without running anything from it). None: the bundled ranker.
        weights: weights file of the backbone, for images; None: looked for in VISLANG_WEIGHTS, then downloaded.

    Raises:
        CheckpointError: missing, damaged or of another kind.
        DataError: a bundled model that differs from its model card.
    """
    from vislang.core.bundled_models import find_checkpoint
    from vse.inference import TrainedRanker

    if name_or_path is not None and path_of(name_or_path, "the model").is_file():
        import_backend_quietly()
        from vse.kiros.load_released import read_original

        return read_original(name_or_path, backbone_weights=weights)
    return TrainedRanker.read(find_checkpoint(TrainedRanker.kind, name_or_path), backbone_weights=weights)


@functools.cache
def bundled_ranker() -> "TrainedRanker":
    """Return the bundled ranker, loaded once."""
    return load_model()


def encode_sentences(model: "TrainedRanker", sentences: str | Sequence[str], *, batch_size: int = 256) -> np.ndarray:
    """Encode sentences.

    Args:
        model: from `load_model`.
        sentences: one sentence or several, as raw text; unknown words are read as the unknown word.
        batch_size: sentences in one forward pass; similar lengths go together.

    Returns:
        float32 [M, D], each of length 1.

    Example:
        >>> import vse
        >>> model = vse.load_model()
        >>> vse.encode_sentences(model, ["a dog on the grass", "a red car"]).shape
        (2, 1024)
    """
    require_kind(model, _KIND)
    if batch_size < 1:
        raise ConfigError(f"batch_size got {batch_size}, expected 1 or more")
    return model.encode_sentences(_several(sentences), batch_size=batch_size)


def encode_images(model: "TrainedRanker", images: Any, *, options: ReadingOptions = ReadingOptions()) -> EncodedImages:
    """Encode images, or features of them.

    Args:
        model: from `load_model`.
        images: a path, a folder, a glob, bytes, a PIL image, a uint8 array [H, W], [H, W, 3] or [N, H, W, 3], or a
            list of any of these; or features of the model's backbone: float [N, F], or {layer: float [N, ...]}.
        options: how they are read; with batches of 8, the preset "best" stays near 1 GB.

    Raises:
        DataError: no usable image, weights other than in training, or features of another width.

    Example:
        >>> import vse
        >>> encoded = vse.encode_images(vse.load_model(), "drawn.png")
        >>> encoded.names, encoded.vectors.shape
        (['drawn.png'], (1, 1024))
    """
    from vislang.features.model_inputs import given_features
    from vislang.images.sources import image_sources

    require_kind(model, _KIND)
    features = given_features(images, model.config.layers)
    if features is not None:
        vectors = model.encode_features(features)
        return EncodedImages(vectors, list(map(str, range(len(vectors)))))
    sources, names = image_sources(images)
    parts: list[np.ndarray] = []
    kept: list[int] = []
    skipped: list[Skipped] = []
    for vectors, usable, bad in model.encode_images(sources, options):
        parts.append(vectors)
        kept += usable
        skipped += bad
    if not kept:
        raise DataError(f"none of {len(sources)} images could be encoded; the first: {skipped[0].reason}")
    return EncodedImages(np.concatenate(parts), [names[index] for index in kept], skipped)


def retrieve_captions(
    model: "TrainedRanker",
    images: Any,
    captions: str | Sequence[str],
    *,
    vectors: np.ndarray | None = None,
    top: int = 5,
    options: ReadingOptions = ReadingOptions(),
) -> Retrieved:
    """Find the captions that describe each image best.

    Args:
        model: from `load_model`.
        images: as for `encode_images`, or its result.
        captions: the candidates; those without a word that the model knows match nothing.
        vectors: what `encode_sentences` returned for them, float32 [M, D]; None: they are encoded.
        top: matches of each image.
        options: how the images are read.

    Raises:
        ConfigError: `top` below 1, or no caption has a word that the model knows.
        DataError: as `encode_images`, or another number of vectors than captions.

    Example:
        >>> import vse
        >>> found = vse.retrieve_captions(vse.load_model(), "drawn.png", ["a dog", "a red car"], top=1)
        >>> found.names, len(found.matches[0])
        (['drawn.png'], 1)
    """
    encoded = _encoded(model, images, options)
    captions = _several(captions)
    if vectors is None:
        vectors = encode_sentences(model, captions)
    _require_one_each(vectors, captions)
    known = [index for index, caption in enumerate(captions) if model.known_words(caption)[0]]
    if captions and not known:
        model.require_known(captions[0], f"the first of {len(captions)} sentences")
    found = _matches(encoded.vectors, vectors[known], [captions[index] for index in known], top)
    matches = [[replace(match, index=known[match.index]) for match in of_image] for of_image in found]
    return Retrieved(encoded.names, matches, encoded.skipped)


def retrieve_images(
    model: "TrainedRanker",
    images: Any,
    sentences: str | Sequence[str],
    *,
    top: int = 5,
    options: ReadingOptions = ReadingOptions(),
) -> Retrieved:
    """Find the images that fit each sentence best.

    Args:
        model: from `load_model`.
        images: the candidates, as for `encode_images`, or its result.
        sentences: one query or several.
        top: matches of each sentence.
        options: how the images are read.

    Raises:
        ConfigError: `top` below 1, or a sentence without a word that the model knows.
        DataError: as `encode_images`.

    Example:
        >>> import vse
        >>> (matches,) = vse.retrieve_images(vse.load_model(), ["drawn.png"], "a red car")
        >>> matches[0].name, matches[0].index
        ('drawn.png', 0)
    """
    encoded = _encoded(model, images, options)
    sentences = _several(sentences)
    for sentence in sentences:
        model.require_known(sentence, "the search")
    matches = _matches(encode_sentences(model, sentences), encoded.vectors, encoded.names, top)
    return Retrieved(sentences, matches, encoded.skipped)


def regularities(
    model: "TrainedRanker",
    images: Any,
    image: Any,
    negative: str,
    positive: str,
    *,
    top: int = 5,
    rerank: bool = False,
    options: ReadingOptions = ReadingOptions(),
) -> list[Match]:
    """Find the images nearest to image - negative word + positive word in the joint space.

    Published to work with a linear sentence encoder only: train with the preset "kiros-bow".

    Args:
        model: from `load_model`.
        images: the candidates, as for `encode_images`, or its result.
        image: one image to start from, as for `encode_images`.
        negative: the word to subtract, such as "blue".
        positive: the word to add, such as "red".
        top: number of matches.
        rerank: order the matches by their similarity to their own mean.
        options: how the images are read.

    References: Kiros et al. 2014, arXiv:1411.2539, section 3.3.

    Raises:
        ConfigError: `top` below 1, a word that the model does not know, or several images to start from.
        DataError: as `encode_images`.

    Example:
        >>> import vse
        >>> matches = vse.regularities(vse.load_model(), ["drawn.png"], "drawn.png", "blue", "red")
        >>> matches[0].name
        'drawn.png'
    """
    from vislang.images.sources import one_image

    encoded = _encoded(model, images, options)
    model.require_known(negative, "negative")
    model.require_known(positive, "positive")
    (start,) = encode_images(model, [one_image(image)], options=options).vectors
    from vse.arithmetic import arithmetic_query, order_by_mean

    query = arithmetic_query(model, start, negative, positive)
    (found,) = _matches(query[None], encoded.vectors, encoded.names, top)
    if rerank:
        found = [found[rank] for rank in order_by_mean(encoded.vectors[[match.index for match in found]])]
    return found


def _several(sentences: str | Iterable[str]) -> list[str]:
    """Return one sentence or several as a list.

    Raises:
        ConfigError: something else than text.
    """
    if isinstance(sentences, str):
        return [sentences]
    listed = list(sentences) if isinstance(sentences, Iterable) else [sentences]
    for sentence in listed:
        if not isinstance(sentence, str):
            raise ConfigError(f"sentences got {shown(sentence)}, expected a text or several")
    return listed


def _encoded(model: "TrainedRanker", images: Any, options: ReadingOptions) -> EncodedImages:
    if isinstance(images, EncodedImages):
        return images
    return encode_images(model, images, options=options)


def _require_one_each(vectors: np.ndarray, captions: Sequence[str]) -> None:
    if len(vectors) != len(captions):
        raise DataError(f"{len(vectors)} vectors were given for {len(captions)} candidates; expected one each")


def _matches(queries: np.ndarray, candidates: np.ndarray, names: Sequence[str], top: int) -> list[list[Match]]:
    if not isinstance(top, Integral) or isinstance(top, bool) or top < 1:
        raise ConfigError(f"top got {shown(top)}, expected a whole number, 1 or more")
    indices, scores = nearest(queries, candidates, top)
    found = []
    for of_query, values in zip(indices, scores, strict=True):
        pairs = zip(of_query, values, strict=True)
        found.append([Match(names[index], int(index), float(score)) for index, score in pairs])
    return found
