"""The table of data sets: the reader of each name."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from datasets.captions.coco import read_coco
from datasets.captions.flickr import read_flickr8k, read_flickr30k
from datasets.captions.flickr30k_entities import EntityNotes, read_entities
from datasets.captions.karpathy import read_karpathy
from datasets.captions.msrvtt import read_msrvtt
from datasets.captions.precomputed import read_precomputed
from datasets.fixations.csv_file import read_fixations_csv
from datasets.fixations.mit1003 import read_mit1003
from datasets.fixations.osie import read_osie
from datasets.fixations.records import FixationData
from datasets.records import ImageRecord, of_split
from datasets.scenes.dataset import read_scene_entities, read_scenes
from vislang.core.errors import ConfigError, DataError, look_up, unknown_name
from vislang.core.files import keyed, path_of

Data = TypeVar("Data")

READERS: dict[str, Callable[..., tuple[ImageRecord, ...]]] = {
    "flickr8k": read_flickr8k,  # Flickr8k.token.txt and three lists
    "flickr30k": read_flickr30k,  # results_20130124.token and three lists
    "karpathy": read_karpathy,  # dataset.json of Flickr8K, Flickr30K or COCO
    "coco": read_coco,  # captions_{train,val}2014.json
    "precomputed": read_precomputed,  # <name>_{train,dev,test}_caps.txt and _ims.npy
    "msrvtt": read_msrvtt,  # videodatainfo.json; clips take the place of images
    "scenes": read_scenes,  # drawn by datasets.scenes
}
FIXATION_READERS: dict[str, Callable[..., FixationData]] = {
    "osie": read_osie,  # fixations.mat and stimuli/*.jpg
    "mit1003": read_mit1003,  # ALLSTIMULI/*.jpeg and DATA/<person>/<image>.mat
    "csv": read_fixations_csv,  # your own: images and one CSV file
}


def reader_options(words: Iterable[str]) -> dict[str, str]:
    """Return words such as "restval=train" as keyword arguments of a reader.

    Raises:
        ConfigError: a word without "=".
        DataError: an option that comes twice.
    """
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--option got {word!r}, expected NAME=VALUE, such as restval=train")
        pairs.append((name, value))
    return keyed(pairs, "--option", "leave one out")


def read(
    name: str,
    folder: str | Path,
    *,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
    require_images: bool = True,
) -> tuple[ImageRecord, ...]:
    """Read a data set of captioned images by its name.

    Args:
        name: a key of `READERS`, such as "flickr8k".
        folder: where its files are.
        split: "train", "dev" or "test"; None: all images.
        options: keyword arguments of the reader, such as {"restval": "train"} for karpathy.
        require_images: False allows missing image files, for uses that read features alone.

    Raises:
        ConfigError: no such data set or option; the message names the nearest.
        DataError: the files do not follow the format, or no image is in the split.

    Example:
        >>> import datasets
        >>> records = datasets.read("scenes", "drawn-scenes", split="dev")
        >>> records[0].image_id, len(records[0].captions)
        ('dev_000000.png', 5)
    """
    options = dict(options or {})
    if not require_images and "require_images" in inspect.signature(look_up(READERS, name, "data set")).parameters:
        options.setdefault("require_images", False)
    records = _reader(READERS, "data set", name, options)(path_of(folder, "the data set"))
    if split is None:
        return records
    return of_split(records, split)


def read_named_boxes(
    name: str, folder: str | Path, entities: str | Path | None, image_ids: Iterable[str]
) -> dict[str, EntityNotes]:
    """Read the phrases of sentences and the boxes that they name.

    Drawn scenes hold their boxes themselves; `entities` is the folder of Flickr30k Entities, for the images of Flickr8K
    and Flickr30K.

    Raises:
        ConfigError: the data set has no boxes of its own and `entities` is None.
        DataError: missing or damaged annotations.
    """
    if name == "scenes":
        return read_scene_entities(folder, image_ids)
    if entities is None:
        raise ConfigError(f"data set {name!r} has no boxes of its own, expected --entities DIR (Flickr30k Entities)")
    return read_entities(entities, image_ids)


def read_fixations(name: str, folder: str | Path, *, options: Mapping[str, Any] | None = None) -> FixationData:
    """Read a data set of fixations by its name.

    Args:
        name: "osie", "mit1003" or "csv".
        folder: where its files are.
        options: keyword arguments of the reader, such as {"drop_first": True}.

    Raises:
        ConfigError: no such data set or option; the message names the nearest.
        DataError: the files do not follow the format, or hold no fixation.

    Example:
        >>> import datasets
        >>> data = datasets.read_fixations("csv", "gaze")
        >>> data.records[0].image_id, data.records[0].subjects[0].tolist()
        ('dog.png', [[30.0, 20.0]])
    """
    data = _reader(FIXATION_READERS, "data set of fixations", name, options)(path_of(folder, "the data set"))
    if not any(len(points) for record in data.records for points in record.subjects):
        first = ""
        if data.skipped:
            file, reason = data.skipped[0]
            first = f", first {file}: {reason}"
        raise DataError(
            f"{folder} holds no fixation on {len(data.records)} images and {len(data.skipped)} files could not be"
            f" read{first}; name another folder with --data"
        )
    return data


def _reader(
    readers: Mapping[str, Callable[..., Data]], kind: str, name: str, options: Mapping[str, Any] | None
) -> Callable[[str | Path], Data]:
    """Return the reader of a name with its options set."""
    reader = look_up(readers, name, kind)
    known = [parameter for parameter in inspect.signature(reader).parameters if parameter != "folder"]
    for option in options or {}:
        if option not in known:
            raise unknown_name(f"option of {kind} {name!r}", option, known)
    return functools.partial(reader, **(options or {}))
