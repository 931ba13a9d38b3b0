"""Karpathy's data: dataset.json with the splits of most papers, and vgg_feats.mat with one column per image.

References:
    Karpathy and Fei-Fei 2015, arXiv:1412.2306.
"""

import os
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datasets.records import ImageRecord, check_restval, check_splits
from datasets.text_files import clean_caption, first_existing
from vislang.core.errors import DataError
from vislang.core.files import keyed, read_json

_JSON_NAMES = ("dataset.json", "dataset_flickr8k.json", "dataset_flickr30k.json", "dataset_coco.json")
_IMAGE_FOLDERS = ("imgs", "images", "Images", "Flicker8k_Dataset", "flickr30k-images", "flickr30k_images")
_COCO_FOLDERS = ("train2014", "val2014")  # as its archives unpack; the entries name them
_SPLITS = {"train": "train", "val": "dev", "test": "test", "restval": "restval"}
_NEXT = "docs/guide/your-own-data.md shows the format; published files are in the authors' caption_datasets.zip"
_FEATURE_SIZE = 4096  # VGG-16 fc7, after ReLU


def read_karpathy(
    folder: str | Path, *, restval: str | None = None, images: str | Path | None = None
) -> tuple[ImageRecord, ...]:
    """Read dataset.json, in the file's order.

    Args:
        folder: holds dataset.json, or is that file.
        restval: COCO keeps 30,504 images as "restval": "train" adds them to train (as papers do), "drop" leaves
            them out. Required where there are any, since results of the two cannot be compared.
        images: the image folder; None looks in the usual sub-folders, and sets `path=None` where there is none.

    Raises:
        DataError: no such file, an entry is malformed, restval is not chosen, an image or caption is missing.
    """
    check_restval(restval)
    path = _json_path(Path(folder))
    image_folder = _image_folder(path.parent, images)
    records = []
    for entry in _entries(path):
        split = _SPLITS.get(entry["split"])
        if split is None:
            raise DataError(f"{path}: split {entry['split']!r}, expected one of {', '.join(_SPLITS)}; {_NEXT}")
        if split == "restval":
            if restval is None:
                raise DataError(
                    f"{path} has 'restval' images and got restval=None, expected restval='train' (113,287 training"
                    " images of COCO, as in most papers) or restval='drop' (82,783)"
                )
            if restval == "drop":
                continue
            split = "train"
        captions = tuple(clean_caption(_raw(sentence)) for sentence in entry["sentences"])
        if not captions or not all(captions):
            raise DataError(f"{path}: image {entry['filename']!r} has a missing or empty caption; {_NEXT}")
        image = None
        if image_folder is not None:
            image = _image_path(image_folder, entry)
        records.append(ImageRecord(entry["filename"], image, split, captions))
    return check_splits(records)


def read_imgids(folder: str | Path) -> dict[str, int]:
    """Return the column of each image in vgg_feats.mat, {image_id: imgid}, over all splits.

    An image without imgid has that of its position.

    Raises:
        DataError: no such file, a file name that comes twice, or imgids that are not 0 to N - 1, once each.
    """
    path = _json_path(Path(folder))
    imgids = ((entry["filename"], entry.get("imgid", position)) for position, entry in enumerate(_entries(path)))
    columns = keyed(imgids, f"{path}, file names of images", _NEXT)
    if sorted(columns.values()) != list(range(len(columns))):
        raise DataError(
            f"{path}: imgids are not 0 to {len(columns) - 1}, once each, so features cannot be matched; {_NEXT}"
        )
    return columns


def read_vgg_feats(path: str | Path, *, num_images: int | None = None) -> np.ndarray:
    """Read VGG-16 fc7 features (after ReLU, not normalised): float32 [N, 4096], row i is the image whose imgid is i.

    Args:
        path: vgg_feats.mat, of MATLAB v5 or v7.3; its key "feats" is 4096 x N.
        num_images: expected N; None: any.

    Raises:
        DataError: no such file or key, a wrong or transposed shape, or values that are not finite.
    """
    path = Path(path)
    feats = _matlab_array(path, "feats")
    if feats.ndim != 2 or feats.shape[0] != _FEATURE_SIZE:
        next_step = "extract fc7 features again"
        if feats.ndim == 2 and feats.shape[1] == _FEATURE_SIZE:
            next_step = "it is transposed, save feats.T under the same key"
        raise DataError(
            f"{path}: feats is {list(feats.shape)}, expected [{_FEATURE_SIZE}, N] with images as columns; {next_step}"
        )
    if num_images is not None and feats.shape[1] != num_images:
        raise DataError(f"{path}: feats holds {feats.shape[1]} images, expected {num_images}; take the same data set's")
    rows = np.ascontiguousarray(feats.T, np.float32)
    if not np.isfinite(rows).all():
        raise DataError(f"{path}: feats holds {np.sum(~np.isfinite(rows))} NaN or inf values; extract them again")
    return rows


def _matlab_array(path: Path, key: str) -> np.ndarray:
    """Read one array with MATLAB's axes; v7.3 is HDF5 and stores them in reverse."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return np.asarray(file[key][()]).T
        found = loadmat(path, variable_names=[key])
        return np.asarray(found[key], np.float32)
    except KeyError as error:
        raise DataError(f"{path} has no array {key!r}, expected 4096 x N; download vgg_feats.mat again") from error
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise DataError(f"{path} is no readable MATLAB file ({error}); download vgg_feats.mat again") from error


def _json_path(folder: Path) -> Path:
    if folder.suffix == ".json":
        return folder
    return first_existing(folder, _JSON_NAMES, "Karpathy split file", _NEXT)


def _entries(path: Path) -> list[dict[str, Any]]:
    document = read_json(path, "Karpathy split file", _NEXT)
    if not isinstance(document, dict) or not isinstance(document.get("images"), list) or not document["images"]:
        raise DataError(f"{path} has no list 'images'; {_NEXT}")
    entries = document["images"]
    needed = {"filename": str, "split": str, "sentences": list}
    for number, entry in enumerate(entries):
        for name, kind in needed.items():
            if not isinstance(entry, dict) or not isinstance(entry.get(name), kind):
                raise DataError(f"{path}: image {number} has no {name!r} of type {kind.__name__}; {_NEXT}")
        if not isinstance(entry.get("filepath", ""), str):
            raise DataError(
                f"{path}: image {number} has filepath {entry['filepath']!r}, expected text or none; {_NEXT}"
            )
        if not isinstance(entry.get("imgid", number), int):
            raise DataError(f"{path}: image {number} has imgid {entry['imgid']!r}, expected an int or none; {_NEXT}")
    return entries


def _raw(sentence: Any) -> str:
    """Return the sentence as written, or its tokens where a smaller copy of the file dropped the text."""
    if not isinstance(sentence, dict):
        return ""
    return str(sentence.get("raw") or " ".join(map(str, sentence.get("tokens", ()))))


def _image_folder(parent: Path, images: str | Path | None) -> Path | None:
    if images is None:
        if any((parent / name).is_dir() for name in _COCO_FOLDERS):
            return parent
        return next((parent / name for name in _IMAGE_FOLDERS if (parent / name).is_dir()), None)
    if not Path(images).is_dir():
        raise DataError(f"images got {str(images)!r}, which is no folder; give the image folder")
    return Path(images)


def _image_path(folder: Path, entry: dict[str, Any]) -> Path:
    for candidate in (folder / entry.get("filepath", "") / entry["filename"], folder / entry["filename"]):
        if os.path.exists(candidate):  # False for names that no file can have, too
            return candidate
    raise DataError(
        f"{folder} has no image {entry['filename']!r}; complete the folder, or move dataset.json away from it to read"
        " captions alone"
    )
