"""illustration2vec: tags and features of drawings, with weights that the user brings.

    drawings = load("illust2vec_tag_ver200.caffemodel", "tag_list.json", features="illust2vec_ver200.caffemodel")
    drawings.estimate_plausible_tags(["miku.jpg"])

Reference: Saito & Matsui 2015, "Illustration2Vec: a semantic vector representation of illustrations".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.errors import ConfigError, DataError, look_up
from vislang.core.files import keyed, read_array, read_json
from vislang.images.decode import ImageSource
from vislang.images.preprocess import prepare

PREPROCESSING = "squash-224-bgr-drawn/v1"
GROUPS = {  # which of the 1,539 tags are of which kind
    "general": slice(0, 512),
    "character": slice(512, 1024),
    "copyright": slice(1024, 1536),
    "rating": slice(1536, 1539),  # safe, questionable, explicit
}
NUM_TAGS = GROUPS["rating"].stop
RULES = {"constant": None, "f0.5": 0, "f1": 1, "f2": 2}  # columns of the thresholds

Tags = dict[str, list[tuple[str, float]]]  # {group: (tag, its probability), the most probable first}


class Illustration2Vec:
    """Tags and features of drawings.

    Args:
        tagger: a Keras model of float32 [B, S, S, 3], BGR minus mean, to probabilities of 1,539 tags; None: no tags.
        tags: their names, in the order of its outputs.
        encoder: a Keras model of the same images to features [B, D], before their sigmoid; None: no features.
        thresholds: float [1539, 3], above which a tag counts as present by the rules f0.5, f1 and f2.

    Raises:
        DataError: tags or thresholds of another number.
    """

    def __init__(
        self,
        tagger: Any = None,
        tags: Sequence[str] = (),
        encoder: Any = None,
        thresholds: np.ndarray | None = None,
    ):
        if tagger is not None and len(tags) != NUM_TAGS:
            raise DataError(f"a list of {len(tags)} tags, expected {NUM_TAGS}; give the tag_list.json of the network")
        if thresholds is not None and thresholds.shape != (NUM_TAGS, 3):
            raise DataError(f"thresholds of shape {thresholds.shape}, expected {(NUM_TAGS, 3)}: f0.5, f1 and f2")
        self.tagger = tagger
        self.encoder = encoder
        self.tags = tuple(tags)
        self.thresholds = thresholds
        self._columns = {tag: column for column, tag in enumerate(self.tags)}

    def estimate_plausible_tags(
        self, images: Sequence[ImageSource], threshold: float = 0.25, threshold_rule: str = "constant"
    ) -> list[Tags]:
        """Return the tags of each image that are more probable than a threshold; all ratings.

        Args:
            images: what `decode_image` takes.
            threshold: for the rule "constant".
            threshold_rule: "constant", or "f0.5", "f1", "f2" for each tag's own threshold.

        Raises:
            ConfigError: an unknown rule, or a rule without thresholds.
        """
        column = look_up(RULES, threshold_rule, "threshold rule")
        limits = np.full(NUM_TAGS, threshold)
        if column is not None:
            if self.thresholds is None:
                raise ConfigError(f"rule {threshold_rule} needs thresholds; give their file, or take 'constant'")
            limits = self.thresholds[:, column]
        limits = np.where(np.arange(NUM_TAGS) < GROUPS["rating"].start, limits, -np.inf)
        return [self._ranked(row, row > limits, NUM_TAGS) for row in self.probabilities(images)]

    def estimate_top_tags(self, images: Sequence[ImageSource], n_tag: int = 10) -> list[Tags]:
        """Return the most probable tags of each image: up to `n_tag` of each group, and all ratings."""
        return [self._ranked(row, np.ones(NUM_TAGS, bool), n_tag) for row in self.probabilities(images)]

    def estimate_specific_tags(self, images: Sequence[ImageSource], tags: Sequence[str]) -> list[dict[str, float]]:
        """Return the probabilities of some tags, for each image.

        Raises:
            ConfigError: an unknown tag.
        """
        columns = {tag: look_up(self._columns, tag, "tag") for tag in tags}
        rows = self.probabilities(images)
        return [{tag: float(row[column]) for tag, column in columns.items()} for row in rows]

    def probabilities(self, images: Sequence[ImageSource]) -> np.ndarray:
        """Return float32 [N, 1539], the probability of each tag."""
        return _run(self.tagger, "tags", images, NUM_TAGS)

    def extract_feature(self, images: Sequence[ImageSource]) -> np.ndarray:
        """Return float32 [N, D], the features (4,096 of them) before their sigmoid."""
        return _run(self.encoder, "features", images, None)

    def extract_binary_feature(self, images: Sequence[ImageSource]) -> np.ndarray:
        """Return uint8 [N, D / 8]: a bit for each feature whose sigmoid is above 0.5, the first in the highest bit."""
        return np.packbits(self.extract_feature(images) > 0, axis=1)

    def _ranked(self, row: np.ndarray, wanted: np.ndarray, most: int) -> Tags:
        result = {}
        for group, places in GROUPS.items():
            order = places.start + np.argsort(-row[places], kind="stable")
            kept = [place for place in order if wanted[place]][: NUM_TAGS if group == "rating" else most]
            result[group] = [(self.tags[place], float(row[place])) for place in kept]
        return result


def load(
    tagger: str | Path | None = None,
    tags: str | Path | None = None,
    *,
    features: str | Path | None = None,
    thresholds: str | Path | None = None,
) -> Illustration2Vec:
    """Load the networks of illustration2vec.

    Args:
        tagger: the .caffemodel with the tags (layers conv1_1 to conv6_4).
        tags: a JSON list of their 1,539 names.
        features: the .caffemodel with the features (layers conv1_1 to encode1).
        thresholds: a .npz or .npy file with [1539, 3] thresholds.

    Raises:
        ConfigError: neither of the two networks, or tags without names.
        DataError: a file that is missing, damaged or of another network.
    """
    from vislang.backbones.caffe import load as caffe

    if tagger is None and features is None:
        raise ConfigError("neither a tagger nor features, expected at least one .caffemodel of illustration2vec")
    if (tagger is None) != (tags is None):
        raise ConfigError("a tagger and the list of its tags go together; give both, such as tag_list.json")
    names: tuple[str, ...] = ()
    if tags is not None:
        names = read_tags(tags)
    limits = None
    if thresholds is not None:
        limits = read_thresholds(thresholds)
    encoder = None
    if features is not None:
        encoder = caffe.at_layers(caffe.load_named("illustration2vec-features", features), ["encode1"])
    return Illustration2Vec(caffe.load_named("illustration2vec", tagger) if tagger else None, names, encoder, limits)


def read_tags(path: str | Path) -> tuple[str, ...]:
    """Read the 1,539 names of the tags, a JSON list."""
    names = read_json(path, "list of tags", "give the tag_list.json of the network")
    if not isinstance(names, list) or len(names) != NUM_TAGS or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: expected a JSON list of {NUM_TAGS} strings; give the tag_list.json of the network")
    return tuple(keyed(((name, None) for name in names), f"{path}, tags", "give the tag_list.json of the network"))


def read_thresholds(path: str | Path) -> np.ndarray:
    """Read the thresholds of the tags: float64 [1539, 3], columns f0.5, f1 and f2."""
    array = read_array(path, "give the thresholds of the network")
    if array.shape != (NUM_TAGS, 3) or array.dtype.kind != "f":
        found = f"{array.dtype} {list(array.shape)}"
        raise DataError(f"{path}: holds {found}, expected one array of floats {(NUM_TAGS, 3)}: f0.5, f1 and f2")
    return array.astype(np.float64)


def _run(model: Any, what: str, images: Sequence[ImageSource], width: int | None) -> np.ndarray:
    if model is None:
        raise ConfigError(f"no network for {what} was given; load one")
    batch = np.stack([prepare(image, PREPROCESSING) for image in images]) if len(images) else np.empty((0, 224, 224, 3))
    rows = [model(batch[start : start + 8], training=False) for start in range(0, len(batch), 8)]
    arrays = [np.asarray(next(iter(row.values())) if isinstance(row, dict) else row) for row in rows]
    flat = [array.reshape(len(array), -1) for array in arrays]
    result = np.concatenate(flat) if flat else np.empty((0, width or 0), np.float32)
    if width is not None and result.shape[1] != width:
        raise DataError(f"the network for {what} gives {result.shape[1]} numbers for an image, expected {width}")
    return result
