"""Weights out of Caffe's .caffemodel files: the part of protobuf's wire format that they use, without protobuf.

Field numbers are those of BVLC's caffe.proto. Nothing recurses: a network holds layers, a layer holds blobs, and a blob
holds its shape and numbers; anything deeper is ignored.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.errors import DataError

VARINT = 0
EIGHT_BYTES = 1
LENGTH = 2
FOUR_BYTES = 5
MOST_LAYERS = 10_000  # Caffe's own limit of axes
MOST_BLOBS = 32
MOST_AXES = 32
MOST_FIELDS = 100_000  # in one message; numbers that are stored one by one count together
NEW_LAYER = 100  # fields of NetParameter
OLD_LAYER = 2
_NEW = {"name": 1, "blob": 7}  # fields of LayerParameter
_OLD = {"name": 4, "blob": 6, "older still": 1}  # fields of V1LayerParameter
_BLOB_SHAPE = 7  # fields of BlobProto
_FLOATS = 5
_DOUBLES = 8
_LEGACY_AXES = (1, 2, 3, 4)


@dataclass(frozen=True)
class Blob:
    """One array of a layer in Caffe's order: `values` is float32 or float64 [prod(shape)], not yet copied if packed."""

    shape: tuple[int, ...]
    values: np.ndarray


class StoredWeights:
    """The arrays of a .caffemodel: {layer: its blobs}; `path` is for errors."""

    def __init__(self, path: str, layers: Mapping[str, Sequence[Blob]]):
        self.path = path
        self.layers = layers

    def take(self, layer: str, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Return the arrays of a layer as float32 of these shapes, in Caffe's axis order.

        Leading axes of 1 make no difference: old files pad to four axes.

        Raises:
            DataError: no such layer, or arrays of other shapes.
        """
        blobs = self.layers.get(layer, ())
        if not blobs:
            held = ", ".join(list(self.layers)[:20]) or "no weights at all"
            raise DataError(f"{self.path}: no weights for layer {layer!r}, it holds: {held}; give the network's own")
        got = [_core(blob.shape) for blob in blobs]
        if got != list(map(_core, shapes)):
            raise DataError(
                f"{self.path}: layer {layer!r} has arrays {[blob.shape for blob in blobs]}, expected"
                f" {list(shapes)}; are prototxt and weights of the same network?"
            )
        return [blob.values.reshape(shape).astype(np.float32) for blob, shape in zip(blobs, shapes, strict=True)]


class RandomWeights:
    """He-normal numbers, the same each time, for tests and timing of a network without its file."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)

    def take(self, layer: str, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Return arrays of the shapes: normal ones for kernels, 0 for biases, all in Caffe's axis order."""
        arrays = []
        for shape in shapes:
            fan_in = math.prod(shape[1:])
            scale = np.float32(math.sqrt(2.0 / fan_in)) if len(shape) > 1 else np.float32(0)
            arrays.append(self._generator.standard_normal(shape, np.float32) * scale)
        return arrays


def read_caffemodel(path: str | Path) -> StoredWeights:
    """Read the weights of a network, in the new layer list, the old one, or both.

    The file is mapped, not loaded: memory is taken only by the arrays that are used.

    Raises:
        DataError: unreadable, cut, damaged or hostile; no length beyond the end of the file is trusted.
    """
    where = str(path)
    layers = dict[str, list[Blob]]()
    seen = 0
    for number, wire, value in _fields(_mapped(path), where):
        if number in (NEW_LAYER, OLD_LAYER) and wire == LENGTH:
            name, blobs = _layer(value, _NEW if number == NEW_LAYER else _OLD, where)
            if blobs and name in layers:
                raise DataError(f"{where}: two layers are called {name[:80]!r}, expected different names")
            if blobs:
                layers[name] = blobs
            seen += 1
            if seen > MOST_LAYERS:
                raise DataError(f"{where}: more than {MOST_LAYERS} layers; no network has that many")
    if not seen:
        raise DataError(f"{where}: holds no layers; expected a Caffe .caffemodel file")
    return StoredWeights(where, layers)


def read_mean(path: str | Path) -> np.ndarray:
    """Read a mean image (.binaryproto) as float32 [H, W, C], in Caffe's channel order, so BGR.

    Raises:
        DataError: unreadable, damaged or no image.
    """
    blob = _blob(_mapped(path), str(path))
    axes = _core(blob.shape)
    if len(axes) != 3:
        raise DataError(f"{path}: holds an array {blob.shape}, expected a mean image [C, H, W]")
    return np.ascontiguousarray(blob.values.reshape(axes).transpose(1, 2, 0), np.float32)


def _mapped(path: str | Path) -> memoryview:
    try:
        if Path(path).stat().st_size == 0:  # which cannot be mapped
            return memoryview(b"")
        return np.memmap(path, np.uint8, "r").data
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give a Caffe .caffemodel file") from error


def _layer(view: memoryview, fields: dict[str, int], where: str) -> tuple[str, list[Blob]]:
    name = ""
    blobs = list[Blob]()
    for number, wire, value in _fields(view, where):
        if number == fields["name"] and wire == LENGTH:
            name = _text(value, where)
        elif number == fields["blob"] and wire == LENGTH:
            blobs.append(_blob(value, f"{where}: a blob of layer {name!r}"))
        elif number == fields.get("older still") and wire == LENGTH:
            raise DataError(f"{where}: Caffe's first format; upgrade it with Caffe's upgrade_net_proto_binary")
        if len(blobs) > MOST_BLOBS:
            raise DataError(f"{where}: layer {name!r} has more than {MOST_BLOBS} blobs; the file is damaged")
    return name, blobs


def _blob(view: memoryview, where: str) -> Blob:
    shape: tuple[int, ...] | None = None
    legacy = [0, 0, 0, 0]
    floats = _Chunks()
    doubles = _Chunks()
    for number, wire, value in _fields(view, where):
        if number == _BLOB_SHAPE and wire == LENGTH:
            shape = _axes(value, where)
        elif number in _LEGACY_AXES and wire == VARINT:
            legacy[number - 1] = value
        elif number == _FLOATS and wire in (LENGTH, FOUR_BYTES):
            floats.add(value)
        elif number == _DOUBLES and wire in (LENGTH, EIGHT_BYTES):
            doubles.add(value)
    values = doubles.array("<f8", where) if len(doubles) else floats.array("<f4", where)
    if shape is None:
        shape = tuple(legacy) if any(legacy) else (len(values),)
    if math.prod(shape) != len(values):
        raise DataError(f"{where} declares shape {str(shape)[:80]} and holds {len(values)} numbers; it is damaged")
    return Blob(shape, values)


class _Chunks:
    """Numbers as they come: one piece stays a view of the file; more are joined, which never takes twice their room."""

    def __init__(self) -> None:
        self._data: memoryview | bytearray = memoryview(b"")

    def __len__(self) -> int:
        return len(self._data)

    def add(self, piece: memoryview) -> None:
        if not len(self._data):
            self._data = piece
            return
        if isinstance(self._data, memoryview):
            self._data = bytearray(self._data)
        self._data += piece

    def array(self, dtype: str, where: str) -> np.ndarray:
        if len(self._data) % np.dtype(dtype).itemsize:
            raise DataError(f"{where} holds {len(self._data)} bytes of numbers, which is no whole number of them")
        return np.frombuffer(self._data, dtype)


def _axes(view: memoryview, where: str) -> tuple[int, ...]:
    axes: list[int] = []
    for number, wire, value in _fields(view, where):
        if number == 1 and wire == VARINT:
            axes.append(value)
        elif number == 1 and wire == LENGTH:
            position = 0
            while position < len(value) and len(axes) <= MOST_AXES:
                axis, position = _varint(value, position, where)
                axes.append(axis)
        if len(axes) > MOST_AXES:
            raise DataError(f"{where} declares more than {MOST_AXES} axes; it is damaged")
    return tuple(axes)


def _fields(view: memoryview, where: str) -> Iterator[tuple[int, int, Any]]:
    """Yield (field number, wire type, value): an int for varints, else the bytes, of a whole run if of fixed size."""
    position = 0
    for _ in range(MOST_FIELDS):
        if position == len(view):
            return
        key, position = _varint(view, position, where)
        number = key >> 3
        wire = key & 7
        if number == 0:
            raise DataError(f"{where}: field 0 at byte {position}; no Caffe weights, or a damaged file")
        if wire == VARINT:
            value, position = _varint(view, position, where)
            yield number, wire, value
            continue
        if wire == LENGTH:
            size, position = _varint(view, position, where)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            size = 4
            if wire == EIGHT_BYTES:
                size = 8
        else:
            raise DataError(f"{where}: wire type {wire} at byte {position}; no Caffe weights, or a damaged file")
        if size > len(view) - position:
            raise DataError(
                f"{where}: a field of {size} bytes, and only {len(view) - position} follow; the file was cut or damaged"
            )
        if wire != LENGTH and key < 0x80:
            run, position = _run(view, position, key, size)
            yield number, wire, run
        else:
            yield number, wire, view[position : position + size]
            position += size
    if position < len(view):
        raise DataError(f"{where}: more than {MOST_FIELDS} fields in one message; no Caffe weights have that many")


def _run(view: memoryview, position: int, key: int, size: int) -> tuple[memoryview, int]:
    """Take all fields of fixed size that follow each other with the same key of one byte, which is how old writers
    store arrays; `position` is behind the first key.
    """
    record = np.dtype([("key", "u1"), ("value", f"V{size}")])
    start = position - 1
    most = (len(view) - start) // record.itemsize
    length = tried = 1
    while length == tried < most:
        tried = min(most, 4 * tried)  # so that a short run before a long rest is not paid for with a look at the rest
        keys = np.frombuffer(view[start : start + tried * record.itemsize], record)["key"]
        other = np.flatnonzero(keys != key)
        length = tried
        if len(other):
            length = int(other[0])
    records = np.frombuffer(view[start : start + length * record.itemsize], record)
    return memoryview(records["value"].tobytes()), start + length * record.itemsize


def _varint(view: memoryview, position: int, where: str) -> tuple[int, int]:
    """Read an unsigned number of up to 64 bits, seven at a time, the lowest first."""
    value = 0
    for index in range(10):
        if position + index >= len(view):
            raise DataError(f"{where}: ends within a number; the file was cut or damaged")
        byte = view[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise DataError(f"{where}: a number of more than 64 bits at byte {position}; no Caffe weights, or a damaged file")


def _text(view: memoryview, where: str) -> str:
    try:
        return bytes(view[:1024]).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: a layer's name is not UTF-8; no Caffe weights, or a damaged file") from error


def _core(shape: Sequence[int]) -> tuple[int, ...]:
    """Leave out leading axes of 1."""
    axes = list(shape)
    while len(axes) > 1 and axes[0] == 1:
        axes.pop(0)
    return tuple(axes)
