"""The layout of a feature cache in its HDF5 file, and the checks of files from elsewhere."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from vislang.backbones.registry import default_preprocessing
from vislang.core.errors import DataError
from vislang.features.cache.keys import FeatureKey

IDS = "ids"
KEY = "key"
FLOAT16 = np.dtype("<f2")
MOST_ROWS = 100_000_000
LONGEST_ID = 4096


@dataclass(frozen=True)
class StoredLayer:
    """The rows of one layer: `shape` float16 numbers from byte `offset` of the file."""

    key: FeatureKey
    shape: tuple[int, ...]
    offset: int


def group_name(key: FeatureKey) -> str:
    """Return the group of a backbone: its name, with the preprocessing where that is not the backbone's own."""
    own = default_preprocessing(key.backbone)
    name = key.backbone if own in (None, key.preprocessing) else f"{key.backbone}@{key.preprocessing}"
    return flat_name(name)


def flat_name(name: str) -> str:
    """Make a name fit for HDF5, where a slash opens a group and a dot means this group."""
    flat = name.replace("/", "_").replace("\x00", "_")
    if flat.strip(".") == "" or flat == IDS:
        return f"_{flat}"
    return flat


def read_layout(path: Path) -> tuple[tuple[str, ...], dict[tuple[str, str], StoredLayer]]:
    """Read what a cache holds, without its rows.

    Returns:
        The ids in row order, and {(group, layer): where it lies}.

    Raises:
        DataError: no cache, or a hostile file: links, virtual or external data, sizes that the file cannot hold.
    """
    with _opened(path) as file:
        ids = _read_ids(path, file)
        layers = {}
        for group_name_, group in _members(path, file, file.name):
            if isinstance(group, h5py.Dataset):
                if group_name_ != IDS:
                    raise DataError(f"{path}: holds {group_name_!r}, which belongs to no feature cache")
                continue
            for layer, rows in _members(path, group, f"/{group_name_}"):
                layers[group_name_, layer] = _stored_layer(path, rows, len(ids))
    return ids, layers


def encode_ids(ids: Sequence[str]) -> np.ndarray:
    """Turn ids into the fixed-length UTF-8 array that is stored.

    Raises:
        DataError: none, repeated, or not fit for storing.
    """
    if not ids:
        raise DataError("no ids to store, expected one for each row of features")
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise DataError(f"id {each!r} occurs twice, expected one row for each image")
        if not each or "\x00" in each or len(each) > LONGEST_ID or not _is_utf8(each):
            raise DataError(f"id {each[:80]!r} cannot be stored, expected 1 to {LONGEST_ID} characters of UTF-8")
        seen.add(each)
    return np.array([each.encode() for each in ids])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such feature cache; make it with: {extract_command('NAME', 'pooled,grid', path)}"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: not an HDF5 file, or a damaged one ({error}); make the cache again") from error
    with file:
        try:
            yield file
        except (RuntimeError, OSError, KeyError, ValueError, TypeError) as error:  # h5py on damaged structures
            raise DataError(f"{path}: damaged feature cache ({error!r}); make it again") from error


def extract_command(backbone: str, layers: str, path: str | Path) -> str:
    """Return the command that adds features to a cache."""
    return f"python -m vislang.features.extract --images DIR --backbone {backbone} --layers {layers} --cache {path}"


def _members(path: Path, group: h5py.Group, where: str) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{path}: {where}/{name} is a link elsewhere; a cache must hold its features itself")
        yield name, group[name]


def _read_ids(path: Path, file: h5py.File) -> tuple[str, ...]:
    if not isinstance(file.get(IDS, getlink=True) if IDS in file else None, h5py.HardLink):
        raise DataError(
            f"{path}: has no /ids of its own, so it is no feature cache; make it with vislang.features.extract"
        )
    dataset = file[IDS]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "S" or dataset.ndim != 1:
        raise DataError(f"{path}: /ids is no list of fixed-length strings; make the cache again")
    if dataset.dtype.itemsize > 4 * LONGEST_ID or len(dataset) > MOST_ROWS:
        raise DataError(f"{path}: /ids declares {len(dataset)} ids of {dataset.dtype.itemsize} bytes; too large")
    _require_stored(path, dataset)
    try:
        ids = tuple(each.decode() for each in dataset[:].tolist())
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: /ids is not UTF-8; make the cache again") from error
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: /ids names an image twice; make the cache again")
    return ids


def _stored_layer(path: Path, dataset: h5py.Dataset | h5py.Group, num_ids: int) -> StoredLayer:
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{path}: {dataset.name} is a group, expected the rows of a layer")
    if dataset.dtype != FLOAT16:
        raise DataError(f"{path}: {dataset.name} holds {dataset.dtype}, expected float16")
    if dataset.ndim < 2 or dataset.shape[0] != num_ids:
        raise DataError(f"{path}: {dataset.name} has shape {dataset.shape}, expected a row for each of {num_ids} ids")
    offset = _require_stored(path, dataset)
    text = dataset.attrs.get(KEY)
    if not isinstance(text, str):
        raise DataError(f"{path}: {dataset.name} does not say where it comes from; make it again")
    try:
        return StoredLayer(FeatureKey.from_json(text), dataset.shape, offset)
    except DataError as error:
        raise DataError(f"{path}: {dataset.name}: {error}; make it again") from error


def _require_stored(path: Path, dataset: h5py.Dataset) -> int:
    """Return the offset of a data set after checking that its bytes lie in this file, in one block."""
    if dataset.is_virtual or dataset.external:
        raise DataError(f"{path}: {dataset.name} takes its numbers from other files; a cache must hold them itself")
    declared = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    size = path.stat().st_size
    if declared > size:
        raise DataError(f"{path}: {dataset.name} declares {declared} bytes, but the file has {size}")
    offset = dataset.id.get_offset()
    if dataset.chunks is not None or offset is None:
        raise DataError(
            f"{path}: {dataset.name} is chunked, compressed or empty, expected one contiguous block;"
            " rewrite it with vislang.features.cache.reader.import_rows"
        )
    if offset + declared > size:
        raise DataError(f"{path}: {dataset.name} ends behind the end of the file; it was cut, make it again")
    return offset


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8 carries surrogates
        return False
    return True
