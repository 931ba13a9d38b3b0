"""PyTorch state dicts without PyTorch: a reader that builds tensors and nothing else, whatever the file asks for."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vislang.core.errors import DataError
from vislang.core.plain_pickle import PlainUnpickler

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # of `torch.save` before version 1.6
LEGACY_PROTOCOL = 1001
LONGEST_PICKLE = 16 * 2**20  # bytes; that of a network with a thousand tensors has 200 kB
LARGEST_FILE = 2**31
STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ByteStorage": np.dtype("u1"),
}


@dataclass(frozen=True)
class _Storage:
    """A run of numbers in the file: its key, type and length."""

    key: str
    dtype: np.dtype
    length: int


@dataclass(frozen=True)
class _View:
    """A tensor as the file describes it, before the numbers are read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    order: tuple[int, ...]  # of the axes as they lie in the storage, the slowest first


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict that `torch.save` wrote, in its zip format or in the one before.

    Nothing in the file is executed: its pickles may name tensors, storages and ordered dictionaries, and memory stays
    within a small multiple of the file's size.

    Args:
        path: of a .pth or .pt file of at most 2 GiB.

    Returns:
        {name: array of the stored type and shape}, in the order of the file.

    Raises:
        DataError: not such a file, a damaged one, or one that holds anything but named dense tensors.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path}: {path.stat().st_size} bytes, expected a state dict of at most {LARGEST_FILE}")
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                return _read_zip(file)
            file.seek(0)
            return _read_legacy(file)
    except DataError as error:
        raise DataError(f"{path}: not a PyTorch state dict that can be read safely: {error}") from error
    except Exception as error:  # damaged pickles and archives raise nearly anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise DataError(f"{path}: not a PyTorch state dict that can be read safely: {reason}") from error


class _TensorUnpickler(PlainUnpickler):
    """Unpickle plain data and descriptions of tensors."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        return super().find_class(module, name)

    def persistent_load(self, identity: Any) -> _Storage:
        kind, dtype, key, _, length = identity[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(length, int) or length < 0:
            raise DataError(f"unknown persistent object {str(kind)[:40]!r}")
        return _Storage(str(key), dtype, length)


def _rebuild(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _View:
    """Describe a tensor; the counterpart of `torch._utils._rebuild_tensor_v2`."""
    order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    count = 1
    for axis in reversed(order):
        if not isinstance(shape[axis], int) or shape[axis] < 1:
            raise DataError(f"a tensor of shape {tuple(shape)}")
        if shape[axis] > 1 and strides[axis] != count:
            raise DataError(f"a tensor of shape {tuple(shape)} with strides {tuple(strides)}, expected dense ones")
        count *= shape[axis]
    if offset < 0 or offset + count > storage.length:
        raise DataError(f"a tensor of {count} numbers at {offset} of a storage of {storage.length}")
    return _View(storage, offset, tuple(shape), tuple(order))


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        pickles = [name for name in sizes if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise DataError(f"an archive with {len(pickles)} files data.pkl, expected one")
        if sizes[pickles[0]] > LONGEST_PICKLE or sum(sizes.values()) > LARGEST_FILE:
            raise DataError("its pickle or its content is too large")
        folder = pickles[0].removesuffix("data.pkl")
        views = _views(_TensorUnpickler(io.BytesIO(archive.read(pickles[0]))).load())

        def read(storage: _Storage) -> bytes:
            name = f"{folder}data/{storage.key}"
            if sizes.get(name) != storage.length * storage.dtype.itemsize:
                raise DataError(f"storage {storage.key} has {sizes.get(name)} bytes, expected {storage.length} numbers")
            return archive.read(name)

        return _arrays(views, read)


def _read_legacy(file: BinaryIO) -> dict[str, np.ndarray]:
    bounded = _Bounded(file)
    if _TensorUnpickler(bounded).load() != LEGACY_MAGIC or _TensorUnpickler(bounded).load() != LEGACY_PROTOCOL:
        raise DataError("its first bytes are not those of torch.save")
    system = _TensorUnpickler(bounded).load()
    if not system.get("little_endian"):
        raise DataError("its numbers are big-endian")
    views = _views(_TensorUnpickler(bounded).load())
    keys = _TensorUnpickler(bounded).load()
    lengths = {view.storage.key: view.storage for view in views.values()}
    content = {}
    for key in keys:
        storage = lengths.get(key)
        if storage is None:
            raise DataError(f"storage {str(key)[:40]!r} belongs to no tensor")
        (length,) = np.frombuffer(file.read(8), "<i8")
        if length != storage.length:
            raise DataError(f"storage {key} has {length} numbers, expected {storage.length}")
        content[key] = file.read(storage.length * storage.dtype.itemsize)
    return _arrays(views, lambda storage: content[storage.key])


class _Bounded:
    """The pickles at the head of a file: `read` and `readline` that stop after `LONGEST_PICKLE` bytes."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= LONGEST_PICKLE - self._file.tell():
            raise DataError(f"a pickle of more than {LONGEST_PICKLE} bytes")
        return self._file.read(count)

    def readline(self) -> bytes:
        return self._file.readline(max(0, LONGEST_PICKLE - self._file.tell()))


def _views(loaded: Any) -> dict[str, _View]:
    if not isinstance(loaded, dict) or not loaded:
        raise DataError(f"it holds a {type(loaded).__name__}, expected named tensors")
    for name, view in loaded.items():
        if not isinstance(name, str) or not isinstance(view, _View):
            raise DataError(f"entry {str(name)[:40]!r} is a {type(view).__name__}, expected a tensor")
    return dict(loaded)


def _arrays(views: dict[str, _View], read: Callable[[_Storage], bytes]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, view in views.items():
        content = read(view.storage)
        numbers = np.frombuffer(content, view.storage.dtype)
        if len(numbers) != view.storage.length:
            raise DataError(f"the file ends within storage {view.storage.key}")
        count = int(np.prod(view.shape, dtype=np.int64))
        stored = numbers[view.offset : view.offset + count].reshape([view.shape[axis] for axis in view.order])
        arrays[name] = stored.transpose(np.argsort(view.order))
    return arrays
