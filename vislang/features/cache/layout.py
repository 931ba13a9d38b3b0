"""The layout of a feature cache in its HDF5 file, and the checks of files from elsewhere."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from vislang.backbones.registry import default_preprocessing
from vislang.core.errors import DataError, brief
from vislang.features.cache import old_keys
from vislang.features.cache.cache_file import CacheFile
from vislang.features.cache.keys import FeatureKey
from vislang.features.cache.records import RECORD, ids_checksum

IDS = "ids"
KEY = "key"
RECORDS = "records"  # the group with the RECORD of each row, at the place of its layer; caches from before have none
CHECKSUM = "checksum"  # the attribute of /ids and of the records of a layer
FLOAT16 = np.dtype("<f2")
MOST_ROWS = 100_000_000
LONGEST_ID = 4096
LONGEST_KEY = 2**16
OLD_KEYS_SECONDS = 60
_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # what an HDF5 file begins with
# What h5py raises for damaged structures.
_H5PY_ERRORS = (RuntimeError, OSError, OverflowError, KeyError, ValueError, TypeError)


@dataclass(frozen=True)
class StoredRecords:
    """The records of one layer: a RECORD for each row from byte `offset` of the file."""

    offset: int
    checksum: int | None  # `records.files_checksum`; None in caches that have only checksums of rows


@dataclass(frozen=True)
class StoredLayer:
    """The rows of one layer: `shape` float16 numbers from byte `offset` of the file, and their records if there are."""

    place: str  # "group/layer"
    key: FeatureKey
    shape: tuple[int, ...]
    offset: int
    records: StoredRecords | None


def group_name(key: FeatureKey) -> str:
    """Return the group of a backbone: its name, with the preprocessing where that is not the backbone's own."""
    own = default_preprocessing(key.backbone)
    name = key.backbone if own in (None, key.preprocessing) else f"{key.backbone}@{key.preprocessing}"
    return flat_name(name)


def flat_name(name: str) -> str:
    """Make a name fit for HDF5, where a slash opens a group and a dot means this group."""
    flat = name.replace("/", "_").replace("\x00", "_")
    if flat.strip(".") == "" or flat in (IDS, RECORDS):
        return f"_{flat}"
    return flat


def read_layout(file: CacheFile) -> tuple[tuple[str, ...], dict[str, StoredLayer]]:
    """Read what a cache holds, without its rows.

    Returns:
        The ids in row order, and {"group/layer": where it lies}.

    Raises:
        DataError: no cache, or a hostile file: links, virtual or external data, sizes that the file cannot hold.
    """
    with _opened(file) as root:
        ids = _read_ids(file, root)
        is_old = RECORDS not in root and CHECKSUM not in root[IDS].attrs
        rows = _by_place(file, root, without=(IDS, RECORDS))
        records = {} if is_old else _by_place(file, root[RECORDS])
        places = {place: _place_of_rows(file, dataset, len(ids)) for place, dataset in rows.items()}
        keys = _read_keys(file, rows, is_old=is_old)
        if not is_old and records.keys() != rows.keys():
            raise DataError(f"{file.path}: its layers and those with checksums are not the same; make the cache again")
        stored_records = {place: _stored_records(file, dataset, len(ids)) for place, dataset in records.items()}
    layers = {}
    for place, (shape, offset) in places.items():
        layers[place] = StoredLayer(place, keys[place], shape, offset, stored_records.get(place))
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
def _opened(file: CacheFile) -> Iterator[h5py.File]:
    with open(file.descriptor, "rb", buffering=0, closefd=False) as stream:
        try:
            root = h5py.File(stream, "r")
        except _H5PY_ERRORS as error:
            if os.pread(file.descriptor, len(_SIGNATURE), 0) != _SIGNATURE:
                raise DataError(f"{file.path}: not an HDF5 file, so no feature cache; name another file") from error
            raise DataError(f"{file.path}: damaged HDF5 file ({brief(error)}); make the cache again") from error
        with root:
            try:
                yield root
            except _H5PY_ERRORS as error:
                raise DataError(f"{file.path}: damaged feature cache ({brief(error)}); make it again") from error


def _by_place(file: CacheFile, parent: h5py.Group, without: Sequence[str] = ()) -> dict[str, h5py.Group | h5py.Dataset]:
    """Return {"group/layer": data set} of the groups of a group."""
    found = {}
    for name, group in _members(file, parent):
        if name not in without:
            found.update({f"{name}/{layer}": member for layer, member in _members(file, group)})
    return found


def _members(file: CacheFile, group: h5py.Group | h5py.Dataset) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    if not isinstance(group, h5py.Group):
        raise DataError(f"{file.path}: holds {group.name.lstrip('/')!r}, which belongs to no feature cache")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            where = f"{group.name.rstrip('/')}/{name}"
            raise DataError(f"{file.path}: {where} is a link elsewhere; a cache must hold its features itself")
        yield name, group[name]


def _read_ids(file: CacheFile, root: h5py.File) -> tuple[str, ...]:
    path = file.path
    if not isinstance(root.get(IDS, getlink=True) if IDS in root else None, h5py.HardLink):
        raise DataError(
            f"{path}: has no /ids of its own, so it is no feature cache; make it with vislang.features.extract"
        )
    dataset = root[IDS]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "S" or dataset.ndim != 1:
        raise DataError(f"{path}: /ids is no list of fixed-length strings; make the cache again")
    if dataset.dtype.itemsize > 4 * LONGEST_ID or len(dataset) > MOST_ROWS:
        raise DataError(f"{path}: /ids declares {len(dataset)} ids of {dataset.dtype.itemsize} bytes; too large")
    _require_stored(file, dataset)
    encoded = dataset[:]
    if (RECORDS in root or CHECKSUM in dataset.attrs) and _stored_checksum(dataset) != ids_checksum(encoded):
        raise DataError(f"{path}: /ids is damaged, its checksum differs; make the cache again")
    try:
        ids = tuple(each.decode() for each in encoded.tolist())
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: /ids is not UTF-8; make the cache again") from error
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: /ids names an image twice; make the cache again")
    return ids


def _stored_checksum(dataset: h5py.Dataset) -> int | None:
    attributes = dataset.attrs
    if CHECKSUM not in attributes or not isinstance(attributes.get_id(CHECKSUM).get_type(), h5py.h5t.TypeIntegerID):
        return None
    return int(attributes[CHECKSUM])


def _place_of_rows(file: CacheFile, dataset: h5py.Dataset | h5py.Group, num_ids: int) -> tuple[tuple[int, ...], int]:
    """Return the shape of a layer and where its rows begin."""
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{file.path}: {dataset.name} is a group, expected the rows of a layer")
    if dataset.dtype != FLOAT16:
        raise DataError(f"{file.path}: {dataset.name} holds {dataset.dtype}, expected float16")
    if dataset.ndim < 2 or dataset.shape[0] != num_ids:
        got = f"{dataset.name} has shape {dataset.shape}"
        raise DataError(f"{file.path}: {got}, expected a row for each of {num_ids} ids")
    return dataset.shape, _require_stored(file, dataset)


def _stored_records(file: CacheFile, dataset: h5py.Dataset | h5py.Group, num_ids: int) -> StoredRecords:
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype != RECORD or dataset.shape != (num_ids,):
        raise DataError(f"{file.path}: {dataset.name} holds no checksum for each of {num_ids} ids; make it again")
    return StoredRecords(_require_stored(file, dataset), _stored_checksum(dataset))


def _read_keys(file: CacheFile, rows: dict[str, h5py.Dataset], *, is_old: bool) -> dict[str, FeatureKey]:
    """Read the keys of layers; texts of variable length, which old caches hold, in another process (see `old_keys`)."""
    keys = {}
    old: dict[str, str] | None = None
    for place, dataset in rows.items():
        if KEY not in dataset.attrs:
            raise DataError(f"{file.path}: /{place} does not say where it comes from; make it again")
        attribute = dataset.attrs.get_id(KEY)
        kind = attribute.get_type()
        if not isinstance(kind, h5py.h5t.TypeStringID) or attribute.shape != ():
            raise DataError(f"{file.path}: /{place} does not say where it comes from; make it again")
        if not kind.is_variable_str() and kind.get_size() <= LONGEST_KEY:
            text = dataset.attrs[KEY].decode(errors="replace")
        elif is_old:
            old = old or _old_keys(file)
            text = old.get(place, "")
        else:
            raise DataError(f"{file.path}: /{place} has a key of variable length, expected a fixed one; make it again")
        try:
            keys[place] = FeatureKey.from_json(text)
        except DataError as error:
            raise DataError(f"{file.path}: /{place}: {error}; make it again") from error
    return keys


def _old_keys(file: CacheFile) -> dict[str, str]:
    """Return {"group/layer": text of its key} of a cache whose keys have variable length."""
    command = [sys.executable, "-P", old_keys.__file__]
    os.lseek(file.descriptor, 0, os.SEEK_SET)
    try:
        done = subprocess.run(command, stdin=file.descriptor, capture_output=True, timeout=OLD_KEYS_SECONDS, check=True)
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        reason = f"the keys of its layers took more than {OLD_KEYS_SECONDS} s"
        raise DataError(f"{file.path}: damaged feature cache ({reason}); make it again") from error
    except (subprocess.CalledProcessError, ValueError) as error:
        reason = "the keys of its layers cannot be read"
        raise DataError(f"{file.path}: damaged feature cache ({reason}); make it again") from error


def _require_stored(file: CacheFile, dataset: h5py.Dataset) -> int:
    """Return the offset of a data set after checking that its bytes lie in this file, in one block."""
    path = file.path
    if dataset.is_virtual or dataset.external:
        raise DataError(f"{path}: {dataset.name} takes its numbers from other files; a cache must hold them itself")
    declared = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    if declared > file.size:
        raise DataError(f"{path}: {dataset.name} declares {declared} bytes, but the file has {file.size}")
    offset = dataset.id.get_offset()
    if dataset.chunks is not None or offset is None:
        raise DataError(
            f"{path}: {dataset.name} is chunked, compressed or empty, expected one contiguous block;"
            " rewrite it with vislang.features.cache.reader.import_rows"
        )
    if offset + declared > file.size:
        raise DataError(f"{path}: {dataset.name} ends behind the end of the file; it was cut, make it again")
    return offset


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8 carries surrogates
        return False
    return True
