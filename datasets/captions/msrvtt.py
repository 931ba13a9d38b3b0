"""MSR-VTT: video clips and their sentences, in the layout of the first release.

References: Xu et al. 2016, CVPR (MSR-VTT). 6,513 clips are for training, 497 for validation, 2,990 for testing.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.records import ImageRecord, check_splits
from datasets.text_files import clean_caption
from vislang.core.errors import DataError
from vislang.core.files import read_json

_FILES = ("videodatainfo.json", "train_val_videodatainfo.json", "test_videodatainfo.json")
_FOLDERS = ("videos", "TrainValVideo", "TestVideo", "TrainVal", "Test", "Videos")
_SPLITS = {"train": "train", "validate": "dev", "val": "dev", "test": "test"}
_NEXT = "get train_val_videodatainfo.json and test_videodatainfo.json of MSR-VTT and the folders of its clips"


def read_msrvtt(folder: str | Path, *, dev: int | str = 0) -> tuple[ImageRecord, ...]:
    """Read clips and sentences; `path` is None where the clip's file is absent.

    Args:
        folder: holds videodatainfo.json, or one or both of the published files, and folders of clips.
        dev: this many of the last training clips are used for validation, for subsets without validation clips.

    Raises:
        DataError: no such file, an entry is malformed, two clips have one name, or `dev` is more than there are clips.
    """
    folder = Path(folder)
    found = [folder / name for name in _FILES if (folder / name).is_file()]
    if not found:
        raise DataError(f"{folder} holds none of {', '.join(_FILES)}; {_NEXT}")
    clips = _clips(folder)
    records: list[ImageRecord] = []
    for path in found:
        records += _records(path, clips)
    return check_splits(_with_dev(records, _count(dev)))


def _clips(folder: Path) -> dict[str, Path]:
    """Return the files of the clips by their names without suffix."""
    clips: dict[str, Path] = {}
    for name in _FOLDERS:
        for path in sorted((folder / name).glob("*.*")):
            other = clips.setdefault(path.stem, path)
            if other.resolve() != path.resolve():
                raise DataError(f"{path} and {other} have the same name, expected one file of each clip; remove one")
    return clips


def _records(path: Path, clips: dict[str, Path]) -> list[ImageRecord]:
    document = read_json(path, "MSR-VTT annotations", _NEXT)
    videos = _rows(path, document, "videos")
    captions: dict[str, list[str]] = {}
    for row in _rows(path, document, "sentences"):
        text = " ".join(clean_caption(str(row.get("caption", ""))).split())
        if text:
            captions.setdefault(str(row.get("video_id")), []).append(text)
    records = []
    for row in videos:
        name = str(row.get("video_id"))
        split = _SPLITS.get(str(row.get("split")))
        if split is None:
            known = ", ".join(_SPLITS)
            raise DataError(f"{path}: clip {name!r} has split {row.get('split')!r}, expected one of {known}; {_NEXT}")
        if name not in captions:
            raise DataError(f"{path}: clip {name!r} has no sentence, expected one or more; {_NEXT}")
        records.append(ImageRecord(name, clips.get(name), split, tuple(captions[name])))
    return records


def _rows(path: Path, document: Any, name: str) -> list[dict[str, Any]]:
    rows = None
    if isinstance(document, dict):
        rows = document.get(name)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} has no list {name!r} of objects; {_NEXT}")
    return rows


def _count(dev: int | str) -> int:
    if not str(dev).isdecimal():
        raise DataError(f"option dev got {dev!r}, expected a number of clips")
    return int(dev)


def _with_dev(records: list[ImageRecord], dev: int) -> list[ImageRecord]:
    training = [row for row, record in enumerate(records) if record.split == "train"]
    if dev and dev >= len(training):
        raise DataError(f"option dev got {dev}, expected fewer than the {len(training)} training clips")
    for row in training[len(training) - dev :]:
        records[row] = replace(records[row], split="dev")
    return records
