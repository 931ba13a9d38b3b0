"""COCO captions as published: captions_{train,val}2014.json, with splits that must be chosen explicitly.

References:
    Chen et al. 2015, arXiv:1504.00325.
"""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from datasets.records import SPLITS, ImageRecord, check_restval, check_splits
from datasets.text_files import clean_caption, first_existing, read_lines
from vislang.core.errors import DataError
from vislang.core.files import keyed, read_json

_NEXT = "get annotations_trainval2014.zip from cocodataset.org and unpack it there"
_LIST_SPLITS = ("train", "dev", "test", "restval")


def read_coco(
    folder: str | Path,
    *,
    year: int = 2014,
    split_lists: str | Path | None = None,
    restval: str | None = None,
    require_images: bool = True,
) -> tuple[ImageRecord, ...]:
    """Read the two caption files, or those of data of one's own in the same format, one for each split.

    One's own are `captions_train.json` and, where there are such splits, `captions_dev.json` and `captions_test.json`,
    with the images in `images/`; the year and lists are not for them.

    COCO publishes no captions of its test images, and papers cut dev and test from val in different ways. Without
    lists, train is train, val is dev and there is no test; with lists, they alone decide. For the splits of most
    papers, use `datasets.captions.karpathy` with dataset_coco.json.

    Args:
        folder: holds `captions_{train,val}<year>.json` (or in `annotations/`), `train<year>` and `val<year>`.
        year: 2014 or 2017.
        split_lists: a folder with `train.txt dev.txt test.txt` of file names; images in no list are "restval".
        restval: "train" adds those to train, "drop" leaves them out; required where there are any.
        require_images: False allows missing image files, with `path=None`.

    Raises:
        DataError: a file is missing or malformed, a list names an unknown image, splits overlap, restval not chosen.
    """
    check_restval(restval)
    folder = Path(folder)
    listed: dict[str, str] = {}
    if split_lists is not None:
        listed = _read_lists(Path(split_lists))
    records = []
    unlisted = 0
    for name, images, default in _caption_files(folder, year):
        path = first_existing(folder, (name, f"annotations/{name}"), "COCO caption file", _NEXT)
        for file_name, captions in _captions_by_file(path).items():
            split = default
            if split_lists is not None:
                split = listed.pop(file_name, "restval")
            if split == "restval":
                unlisted += 1
                if restval == "drop":
                    continue
                split = "train"
            image = _image_path(folder, images, file_name, require_images)
            records.append(ImageRecord(file_name, image, split, captions))
    if unlisted and restval is None:
        raise DataError(
            f"{unlisted} images are in no list of {split_lists}, got restval=None, expected restval='train' to train on"
            " them or restval='drop'"
        )
    if listed:
        raise DataError(f"{split_lists} lists {len(listed)} images without captions, first {min(listed)!r}; {_NEXT}")
    return check_splits(records)


def _caption_files(folder: Path, year: int) -> list[tuple[str, str, str]]:
    """Return name of the caption file, folder of its images and split of each part of the data."""
    own = []
    for split in SPLITS:
        name = f"captions_{split}.json"
        if (folder / name).exists() or (folder / "annotations" / name).exists():
            own.append((name, "images", split))
    if own:
        return own
    return [
        (f"captions_train{year}.json", f"train{year}", "train"),
        (f"captions_val{year}.json", f"val{year}", "dev"),
    ]


def _captions_by_file(path: Path) -> dict[str, tuple[str, ...]]:
    """Return {file name: captions in order of their ids}, in the order of the file's images."""
    document = read_json(path, "COCO caption file", _NEXT)
    try:
        images = [(image["id"], str(image["file_name"])) for image in document["images"]]
        file_of = keyed(images, f"{path}, ids of images", _NEXT)
        keyed(((name, image_id) for image_id, name in images), f"{path}, file names of images", _NEXT)
        captions: dict[Any, list[str]] = defaultdict(list)
        for note in sorted(document["annotations"], key=lambda note: note["id"]):
            captions[note["image_id"]].append(clean_caption(note["caption"]))
    except (TypeError, KeyError) as error:
        raise DataError(f"{path} is no COCO caption file, {error!r} in its images or annotations; {_NEXT}") from error
    unknown = sorted(set(captions) - set(file_of), key=str)
    if unknown:
        raise DataError(f"{path}: captions of {len(unknown)} unknown images, first id {unknown[0]!r}; {_NEXT}")
    found = {}
    for image_id, name in file_of.items():
        if not captions[image_id] or not all(captions[image_id]):
            raise DataError(f"{path}: image {name!r} has a missing or empty caption; {_NEXT}")
        found[name] = tuple(captions[image_id])
    return found


def _read_lists(folder: Path) -> dict[str, str]:
    """Return {file name: split} of every listed image."""
    next_step = "write one file name per line"
    split_of: dict[str, str] = {}
    for split in _LIST_SPLITS:
        path = folder / f"{split}.txt"
        if split == "restval" and not path.exists():
            continue
        for name in read_lines(path, next_step):
            other = split_of.setdefault(name.strip(), split)
            if other != split:
                raise DataError(f"{path} lists {name.strip()!r}, which is in {other}.txt as well; keep it in one only")
    return split_of


def _image_path(folder: Path, part: str, file_name: str, required: bool) -> Path | None:
    for candidate in (folder / part / file_name, folder / "images" / part / file_name):
        if os.path.exists(candidate):  # False for names that no file can have, too
            return candidate
    if required:
        raise DataError(
            f"{folder / part} has no image {file_name!r}; get {part}.zip from cocodataset.org or put it there, or read"
            " with require_images=False"
        )
    return None
