"""What a cache stores beside each row: its checksum, and the file that it was computed from."""

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vislang.features.cache.keys import FeatureKey

_STATUS = ("size", "mtime_ns", "ctime_ns")
RECORD = np.dtype([("checksum", "<u4"), *((name, "<i8") for name in _STATUS), ("sha256", "S64")])


def file_records(paths: Sequence[Path]) -> np.ndarray:
    """Return RECORD [N] with the sizes and times of files, without digests; zeros where there is no file.

    The time of the last status change shows what keeps size and modification time: files that swapped their names.
    """
    records = np.zeros(len(paths), RECORD)
    for record, path in zip(records, paths, strict=True):
        if path.is_file():
            about = path.stat()
            record["size"], record["mtime_ns"], record["ctime_ns"] = about.st_size, about.st_mtime_ns, about.st_ctime_ns
    return records


def with_digests(records: np.ndarray, paths: Sequence[Path]) -> np.ndarray:
    """Return records with the digests of the files that are still as `records` says; the others get none."""
    digests = [_digest(path) for path in paths]
    records = records.copy()
    records["sha256"] = np.where(_same_status(records, file_records(paths)), digests, b"")
    return records


def changed_files(layers: Sequence[np.ndarray], paths: Sequence[Path], status: np.ndarray | None = None) -> np.ndarray:
    """Return bool [N], which files hold something else than what a layer was computed from.

    Args:
        layers: the records of each, RECORD [N]; those that name no file count as unchanged.
        paths: the files; one is read only where its size or times differ.
        status: `file_records` of the files, RECORD [N]; None: as they are now.
    """
    current = file_records(paths) if status is None else status.copy()
    is_same = np.all([_same_status(stored, current) for stored in layers], axis=0)
    for number in np.flatnonzero(~is_same).tolist():
        current["sha256"][number] = _digest(paths[number])
    return ~np.all([same_files(stored, current) for stored in layers], axis=0)


def same_files(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return bool [N], where two layers were computed from the same content, as far as both say it."""
    same_content = (first["sha256"] == second["sha256"]) & (first["sha256"] != b"")
    return ~have_files(first) | ~have_files(second) | _same_status(first, second) | same_content


def have_files(records: np.ndarray) -> np.ndarray:
    """Return bool [N], which records name a file."""
    return records["ctime_ns"] != 0


def layer_checksum(place: str, shape: Sequence[int], key: FeatureKey) -> int:
    """Return what the checksums of a layer's rows begin with, so that no row passes for one of another layer."""
    return zlib.crc32(f"{place} {tuple(shape[1:])} {key.to_json()}".encode())


def row_checksum(row: np.ndarray, name: str, layer: int) -> int:
    """Return the CRC-32 of a contiguous row, of its image's name and of its layer (see `layer_checksum`)."""
    return zlib.crc32(row.data, zlib.crc32(name.encode(), layer))


def files_checksum(records: np.ndarray) -> int:
    """Return the CRC-32 of what RECORD [N] say of files, without the checksums of rows."""
    about_files = records.copy()
    about_files["checksum"] = 0
    return zlib.crc32(about_files.tobytes())


def ids_checksum(ids: np.ndarray) -> int:
    """Return the CRC-32 of encoded ids, `S` [N]."""
    return zlib.crc32(ids.tobytes(), len(ids))


def _same_status(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.all([first[name] == second[name] for name in _STATUS], axis=0)


def _digest(path: Path) -> bytes:
    """Return the SHA-256 of a file, in hexadecimal digits; nothing of one that cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest().encode()
    except OSError:
        return b""
