"""The public face of the ranker. Keras is imported inside the functions, so that importing `vse` costs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vislang.core.errors import ConfigError, DataError
from vislang.features.reading_options import ReadingOptions
from vse.nearest import nearest

if TYPE_CHECKING:
    from vislang.features.pipeline import Skipped
    from vse.inference import TrainedRanker


@dataclass(frozen=True)
class EncodedImages:
    """Images in the joint space; `numpy.asarray` of it gives the vectors.

    Attributes:
        vectors: float32 [K, D], each of length 1.
        names: K names: the path of each image, or its number in the input.
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
    """An answer: the caption or the image's name, its number among the candidates, and its cosine, -1 to 1."""

    name: str
    number: int
    score: float


def load_model(path: str | Path | None = None) -> "TrainedRanker":
    """Load a trained ranker.

    Args:
        path: a checkpoint folder; the name of a model in the box; or a model file of the original (".npz", with its
            ".dictionary.pkl" beside it, read without running anything from it). None: the ranker in the box.

    Raises:
        CheckpointError: missing, damaged or of another kind; the message says what to do.
        DataError: a model of the box that is not the one of its card.
    """
    if path is not None and Path(path).is_file():
        from vse.kiros.load_released import read_original

        return read_original(path)
    from vislang.core.bundled_models import find_checkpoint
    from vse.inference import KIND, read_ranker

    return read_ranker(find_checkpoint(KIND, path))


def encode_sentences(model: "TrainedRanker", sentences: Sequence[str], *, batch_size: int = 256) -> np.ndarray:
    """Encode sentences.

    Args:
        model: from `load_model`.
        sentences: raw text; unknown words are read as the unknown word.
        batch_size: sentences in one pass; similar lengths go together.

    Returns:
        float32 [M, D], each of length 1.
    """
    if isinstance(sentences, str):
        sentences = [sentences]
    return model.encode_sentences(sentences, batch_size=batch_size)


def encode_images(
    model: "TrainedRanker",
    images: Any,
    *,
    options: ReadingOptions = ReadingOptions(),
) -> EncodedImages:
    """Encode images, or features of them.

    Args:
        model: from `load_model`.
        images: a path, a folder, a glob, a PIL image, a uint8 array [H, W], [H, W, 3] or [N, H, W, 3], or a sequence of
            these; or features of the model's backbone: float [N, F], or {tap: float [N, ...]}.
        options: how they are read; with batches of 8, the preset "best" stays near 1 GB.

    Raises:
        DataError: no usable image, weights other than in training, or features of another width.
    """
    from vislang.features.model_inputs import given_features, image_sources

    features = given_features(images, model.config.taps)
    if features is not None:
        vectors = model.encode_features(features)
        return EncodedImages(vectors, [str(number) for number in range(len(vectors))])
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
    model: "TrainedRanker", images: Any, captions: Sequence[str], *, vectors: np.ndarray | None = None, top: int = 5
) -> list[list[Match]]:
    """Find the captions that fit each image best.

    Args:
        model: from `load_model`.
        images: as for `encode_images`, or its result.
        captions: the candidates.
        vectors: their encoding, float32 [M, D], if it is known already.
        top: answers per image.

    Returns:
        a list of matches for each image, best first.
    """
    encoded = images if isinstance(images, EncodedImages) else encode_images(model, images)
    vectors = encode_sentences(model, captions) if vectors is None else vectors
    return _matches(encoded.vectors, vectors, captions, top)


def retrieve_images(
    model: "TrainedRanker", sentences: str | Sequence[str], images: Any, *, top: int = 5
) -> list[list[Match]]:
    """Find the images that fit each sentence best.

    Args:
        model: from `load_model`.
        sentences: one query or several.
        images: the candidates, as for `encode_images`, or its result.
        top: answers per sentence.

    Returns:
        a list of matches for each sentence, best first.
    """
    encoded = images if isinstance(images, EncodedImages) else encode_images(model, images)
    return _matches(encode_sentences(model, sentences), encoded.vectors, encoded.names, top)


def regularities(
    model: "TrainedRanker",
    image: Any,
    negative: str,
    positive: str,
    images: Any,
    *,
    top: int = 5,
    rerank: bool = False,
) -> list[Match]:
    """Do arithmetic in the joint space: image - negative word + positive word, and the images nearest to it.

    Published to work with a linear sentence encoder only: train with the preset "kiros-bow".

    Args:
        model: from `load_model`.
        image: one image, as for `encode_images`.
        negative: the word to take away, such as "blue".
        positive: the word to add, such as "red".
        images: the candidates, as for `encode_images`, or its result.
        top: number of answers.
        rerank: order the answers by their similarity to their own mean.

    References: Kiros et al. 2014, arXiv:1411.2539, section 3.3.
    """
    encoded = images if isinstance(images, EncodedImages) else encode_images(model, images)
    start = encode_images(model, image, options=ReadingOptions(strict=True)).vectors
    if len(start) != 1:
        raise ConfigError(f"regularities got {len(start)} images to start from, expected one")
    taken, added = encode_sentences(model, [negative, positive])
    query = start[0] - taken + added
    query /= max(float(np.linalg.norm(query)), 1e-12)
    (found,) = _matches(query[None], encoded.vectors, encoded.names, top)
    if rerank:
        vectors = encoded.vectors[[match.number for match in found]]
        order = np.argsort(-(vectors @ vectors.mean(axis=0)), kind="stable")
        found = [found[number] for number in order]
    return found


def _matches(queries: np.ndarray, candidates: np.ndarray, names: Sequence[str], top: int) -> list[list[Match]]:
    if top < 1:
        raise ConfigError(f"top got {top}, expected 1 or more")
    if len(candidates) != len(names):
        raise DataError(f"{len(candidates)} vectors were given for {len(names)} candidates; expected one each")
    found = zip(*nearest(queries, candidates, top), strict=True)
    return [
        [Match(names[number], int(number), float(score)) for number, score in zip(numbers, scores, strict=True)]
        for numbers, scores in found
    ]
