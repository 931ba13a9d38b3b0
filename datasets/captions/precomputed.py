"""Captions and features without images, in the format of Kiros et al.: <name>_dev_caps.txt, <name>_dev_ims.npy.

References:
    Kiros, Salakhutdinov and Zemel 2014, arXiv:1411.2539.
"""

from pathlib import Path

import numpy as np

from datasets.records import ImageRecord, check_splits
from datasets.text_files import clean_caption, first_existing, read_lines
from vislang.core.errors import DataError
from vislang.core.files import read_array

CAPTIONS = 5  # consecutive lines that belong to one image
PRECOMPUTED_SPLITS = ("train", "dev", "test")
_NEXT = "make both files from the same images, in the same order"
_ROWS_AT_ONCE = 2_000  # 33 MB of 4,096 float32 features, while the file stays on disk


def read_precomputed(
    folder: str | Path,
    *,
    name: str | None = None,
    splits: tuple[str, ...] = PRECOMPUTED_SPLITS,
) -> tuple[ImageRecord, ...]:
    """Read the caption files; ids are `<name>_<split>_<index>` and paths are None.

    Args:
        folder: holds `<name>_<split>_caps.txt` and `<name>_<split>_ims.npy`, or a sub-folder `<name>` that does.
        name: such as "f8k"; None takes the folder's own name.
        splits: which to read.

    Raises:
        DataError: a file is missing, or the numbers of lines and rows do not match.
    """
    folder, name = _resolve(Path(folder), name)
    records = []
    for split in splits:
        path = folder / f"{name}_{split}_caps.txt"
        captions = list(map(clean_caption, read_lines(path, _NEXT)))
        if "" in captions:
            raise DataError(f"{path}:{captions.index('') + 1}: an empty line, expected a caption; {_NEXT}")
        _rows_per_image(_open_rows(folder, name, split), len(captions), path)
        for row, image_id in enumerate(_ids(name, split, len(captions) // CAPTIONS)):
            first = row * CAPTIONS
            records.append(ImageRecord(image_id, None, split, tuple(captions[first : first + CAPTIONS])))
    return check_splits(records)


def read_precomputed_features(
    folder: str | Path, name: str | None = None, *, splits: tuple[str, ...] = PRECOMPUTED_SPLITS
) -> tuple[list[str], np.ndarray]:
    """Read the features, one row per image; arguments are those of `read_precomputed`.

    Files that repeat the row of an image for each of its captions are reduced, after checking that the rows are equal.

    Returns:
        The N ids of `read_precomputed`, in the same order, and float32 [N, D].

    Raises:
        DataError: counts do not match, rows of one image differ, or splits have different widths.
    """
    folder, name = _resolve(Path(folder), name)
    ids: list[str] = []
    blocks = []
    for split in splits:
        path = folder / f"{name}_{split}_caps.txt"
        rows = _open_rows(folder, name, split)
        num_captions = len(read_lines(path, _NEXT))
        repeats = _rows_per_image(rows, num_captions, path)
        blocks.append(_one_row_per_image(rows, repeats, folder / f"{name}_{split}_ims.npy"))
        ids += _ids(name, split, num_captions // CAPTIONS)
    widths = sorted({block.shape[1] for block in blocks})
    if len(widths) != 1:
        raise DataError(f"{folder}: splits of {name!r} have features of widths {widths}, expected one width; {_NEXT}")
    return ids, np.concatenate(blocks)


def _resolve(folder: Path, name: str | None) -> tuple[Path, str]:
    name = name or folder.resolve().name
    probe = f"{name}_test_caps.txt"
    found = first_existing(folder, (probe, f"{name}/{probe}"), f"captions of {name!r}", "say name=, such as name='f8k'")
    return found.parent, name


def _open_rows(folder: Path, name: str, split: str) -> np.ndarray:
    path = folder / f"{name}_{split}_ims.npy"
    rows = read_array(path, _NEXT, mapped=True)
    if rows.ndim != 2 or rows.dtype.kind != "f":
        raise DataError(f"{path} holds {rows.dtype} {list(rows.shape)}, expected floats [rows, width]; {_NEXT}")
    return rows


def _rows_per_image(rows: np.ndarray, num_captions: int, path: Path) -> int:
    """Return how often the row of an image is repeated: once, or once per caption."""
    if num_captions and num_captions % CAPTIONS == 0:
        for repeats in (CAPTIONS, 1):
            if len(rows) * CAPTIONS == num_captions * repeats:
                return repeats
    raise DataError(
        f"{path} has {num_captions} captions and its _ims.npy has {len(rows)} rows, expected"
        f" {CAPTIONS} captions per image and one row per caption or per image; {_NEXT}"
    )


def _one_row_per_image(rows: np.ndarray, repeats: int, path: Path) -> np.ndarray:
    kept = np.array(rows[::repeats], np.float32)
    step = _ROWS_AT_ONCE // repeats * repeats
    for start in range(0, len(rows), step):
        block = np.asarray(rows[start : start + step], np.float32).reshape(-1, repeats, rows.shape[1])
        if not np.isfinite(block).all():
            raise DataError(f"{path}: rows {start} to {start + len(block) * repeats} hold NaN or inf; {_NEXT}")
        differs = (block != block[:, :1]).any(axis=(1, 2))
        if differs.any():
            row = start + int(differs.argmax()) * repeats
            raise DataError(f"{path}: rows {row} to {row + repeats - 1} differ, expected one image repeated; {_NEXT}")
    return kept


def _ids(name: str, split: str, count: int) -> list[str]:
    return [f"{name}_{split}_{row:06d}" for row in range(count)]
