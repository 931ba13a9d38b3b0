"""COCO captions as published: captions_{train,val}2014.json, with splits that must be said explicitly.

References:
    Chen et al. 2015, arXiv:1504.00325.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from datasets.records import ImageRecord, check_splits
from datasets.text_files import clean_caption, first_existing, read_lines
from vislang.core.errors import DataError
from vislang.core.files import read_json

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
    """Read the two caption files.

    COCO publishes no captions of its test images, and papers cut dev and test from val in different ways. Hence:
    without lists, train is train, val is dev and there is no test; with lists, only they decide.
    For the splits of most papers read Karpathy's dataset_coco.json with the karpathy reader.

    Args:
        folder: holds `captions_{train,val}<year>.json` (or in `annotations/`), `train<year>` and `val<year>`.
        year: 2014 or 2017.
        split_lists: a folder with `train.txt dev.txt test.txt` of file names; images in no list are "restval".
        restval: "train" adds those to train, "drop" leaves them out; must be chosen where there are any.
        require_images: False gives `path=None` for photographs that are not there.

    Raises:
        DataError: a file is missing or malformed, a list names an unknown image, splits overlap, restval not chosen.
    """
    if restval not in (None, "train", "drop"):
        raise DataError(f"restval got {restval!r}, expected 'train' (add those images to train) or 'drop'")
    folder = Path(folder)
    listed = {} if split_lists is None else _read_lists(Path(split_lists))
    records, unlisted = [], 0
    for part, default in (("train", "train"), ("val", "dev")):
        name = f"captions_{part}{year}.json"
        path = first_existing(folder, (name, f"annotations/{name}"), "COCO caption file", _NEXT)
        for file_name, captions in _captions_by_file(path).items():
            split = default if split_lists is None else listed.pop(file_name, "restval")
            unlisted += split == "restval"
            if split == "restval" and restval == "drop":
                continue
            photo = _photo(folder, f"{part}{year}", file_name, require_images)
            records.append(ImageRecord(file_name, photo, "train" if split == "restval" else split, captions))
    if unlisted and restval is None:
        raise DataError(
            f"{unlisted} images are in no list of {split_lists} and must be chosen explicitly, got restval=None,"
            " expected restval='train' or restval='drop'"
        )
    if listed:
        raise DataError(f"{split_lists} lists {len(listed)} images without captions, first {min(listed)!r}; {_NEXT}")
    return check_splits(records)


def _captions_by_file(path: Path) -> dict[str, tuple[str, ...]]:
    """Give file name -> captions in order of their ids, file names in the file's order."""
    document = read_json(path, "COCO caption file", _NEXT)
    try:
        file_of = {image["id"]: str(image["file_name"]) for image in document["images"]}
        captions: dict[Any, list[str]] = defaultdict(list)
        for note in sorted(document["annotations"], key=lambda note: note["id"]):
            captions[note["image_id"]].append(clean_caption(note["caption"]))
    except (TypeError, KeyError) as error:
        raise DataError(f"{path} is no COCO caption file, {error!r} in its images or annotations; {_NEXT}") from error
    strangers = sorted(set(captions) - set(file_of), key=str)
    if strangers:
        raise DataError(f"{path}: captions of {len(strangers)} unknown images, first id {strangers[0]!r}; {_NEXT}")
    for number, name in file_of.items():
        if not captions[number] or not all(captions[number]):
            raise DataError(f"{path}: image {name!r} has a missing or empty caption; {_NEXT}")
    return {name: tuple(captions[number]) for number, name in file_of.items()}


def _read_lists(folder: Path) -> dict[str, str]:
    """Give file name -> split of every listed image."""
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


def _photo(folder: Path, part: str, file_name: str, required: bool) -> Path | None:
    for candidate in (folder / part / file_name, folder / "images" / part / file_name):
        if candidate.exists():
            return candidate
    if required:
        raise DataError(
            f"{folder / part} has no image {file_name!r}; get {part}.zip from cocodataset.org,"
            " or read with require_images=False"
        )
    return None
