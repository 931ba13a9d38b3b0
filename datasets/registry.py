"""The table of data sets: a name, and the reader that knows its files."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from datasets.captions.coco import read_coco
from datasets.captions.flickr import read_flickr8k, read_flickr30k
from datasets.captions.flickr30k_entities import EntityNotes, read_entities
from datasets.captions.karpathy import read_karpathy
from datasets.captions.msrvtt import read_msrvtt
from datasets.captions.precomputed import read_precomputed
from datasets.fixations.mit1003 import read_mit1003
from datasets.fixations.osie import read_osie
from datasets.fixations.records import FixationData
from datasets.records import ImageRecord
from datasets.scenes.dataset import read_scene_entities, read_scenes
from vislang.core.errors import ConfigError, DataError, unknown_name

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
    "mit1003": read_mit1003,  # ALLSTIMULI/*.jpeg and DATA/<person>/<picture>.mat
}


def reader_options(settings: Iterable[str]) -> dict[str, str]:
    """Turn words such as "restval=train" into keyword arguments of a reader.

    Raises:
        ConfigError: a word without "=".
    """
    options = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--option got {setting!r}, expected NAME=VALUE, such as restval=train")
        options[name] = value
    return options


def read_dataset(name: str, folder: str | Path, /, **options: Any) -> tuple[ImageRecord, ...]:
    """Read a data set by name.

    Args:
        name: a key of `READERS`.
        folder: where its files are.
        options: keyword arguments of that reader, such as `restval="train"` for karpathy.

    Raises:
        ConfigError: no such data set or option; the message names the nearest.
        DataError: the files are not as the format says.
    """
    if name not in READERS:
        raise unknown_name("data set", name, READERS)
    known = [parameter for parameter in inspect.signature(READERS[name]).parameters if parameter != "folder"]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of data set {name!r}", option, known)
    return READERS[name](folder, **options)


def read_named_boxes(
    name: str, folder: str | Path, entities: str | Path | None, image_ids: Iterable[str]
) -> dict[str, EntityNotes]:
    """Read which words of which sentences name which boxes.

    Args:
        name: a key of `READERS`.
        folder: where its files are; drawn scenes know their boxes themselves.
        entities: folder of Flickr30k Entities, for the pictures of Flickr8K and Flickr30K.
        image_ids: the pictures.

    Raises:
        ConfigError: nothing tells the boxes of this data set.
        DataError: missing or damaged annotations.
    """
    if name == "scenes":
        return read_scene_entities(folder, image_ids)
    if entities is None:
        raise ConfigError(f"no boxes of data set {name!r} were named, expected --entities DIR (Flickr30k Entities)")
    return read_entities(entities, image_ids)


def read_fixations(name: str, folder: str | Path, /, **options: Any) -> FixationData:
    """Read by name where people looked.

    Args:
        name: a key of `FIXATION_READERS`.
        folder: where its files are.
        options: keyword arguments of that reader, such as `drop_first=True`.

    Raises:
        ConfigError: no such data set; the message names the nearest.
        DataError: the files are not as the format says, or hold no fixation.
    """
    if name not in FIXATION_READERS:
        raise unknown_name("data set of fixations", name, FIXATION_READERS)
    data = FIXATION_READERS[name](folder, **options)
    if not any(len(points) for record in data.records for points in record.subjects):
        first = f", first {data.skipped[0][0]}: {data.skipped[0][1]}" if data.skipped else ""
        raise DataError(
            f"{folder} holds no fixation on {len(data.records)} pictures and {len(data.skipped)} files could not be"
            f" read{first}; name another folder with --data"
        )
    return data
