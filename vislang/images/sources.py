"""What users pass as images, listed in order: paths, folders, patterns, lists of paths, bytes, PIL images, arrays."""

import glob
import io
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vislang.core.errors import ConfigError, DataError, brief
from vislang.core.files import path_of, read_bytes
from vislang.images.decode import MAX_BYTES, SUFFIXES, ImageSource
from vislang.images.folders import files_below, without_foreign_thumbnails
from vislang.images.own_drawings import without_own_drawings

_LONGEST_LIST = 2**28  # bytes of a text file of paths


@dataclass(frozen=True)
class Skipped:
    """An input that could not be used."""

    source: str
    reason: str

    @property
    def short_reason(self) -> str:
        """The reason with the file name of the source instead of its path, as pages show it."""
        return self.reason.replace(self.source, Path(self.source).name or self.source, 1)


def list_images(
    where: str | os.PathLike, *, root: str | os.PathLike | None = None, suffixes: Collection[str] = SUFFIXES
) -> list[Path]:
    """List image files in a stable order.

    Args:
        where: a folder (searched to the bottom, sorted), a pattern (sorted), an image, or a text file with one path a
            line (kept in its order). Drawings of this toolkit and thumbnails of other programs are left out of folders
            and patterns; a warning counts them.
        root: what the paths in a text file are relative to; None: the folder of that file.
        suffixes: of the files that a folder or a pattern stands for, such as those of images and videos.

    Raises:
        DataError: no image.
    """
    where = path_of(where, "images")
    if where.is_file():
        paths = [where]
        if where.suffix.lower() not in suffixes:
            paths = _listed_paths(where, Path(root or where.parent))
    elif where.is_dir():
        paths = without_foreign_thumbnails(files_below(where, suffixes), where)
    elif glob.has_magic(str(where)):
        matching = sorted(map(Path, glob.glob(str(where), recursive=True)))
        paths = [path for path in matching if path.suffix.lower() in suffixes and path.is_file()]
        paths = without_foreign_thumbnails(paths, where)
    else:
        raise DataError(f"{where}: no such file or folder")
    if not paths:
        raise DataError(f"{where}: holds no image, expected files ending in {', '.join(sorted(suffixes))}")
    if where.is_file():
        return paths
    return without_own_drawings(paths, where)


def find_images(
    words: Iterable[str], *, strict: bool = False, suffixes: Collection[str] = SUFFIXES
) -> tuple[list[Path], list[Skipped]]:
    """List the image files that the arguments of a command stand for, each once and in order.

    A file is not opened: one that is no image, or that a text file lists and is missing, is found when it is read.

    Args:
        words: files, folders (searched to the bottom), patterns, or text files ending in .txt with a path a line.
        strict: raise for the first word that stands for nothing.
        suffixes: as for `list_images`.

    Returns:
        the paths, and the words that stand for nothing.

    Raises:
        ConfigError: no words.
        DataError: nothing was found, or not everything and `strict`.
    """
    paths: dict[str, Path] = {}
    missing: list[Skipped] = []
    for word in words:
        try:
            for path in _existing_files(word, suffixes):
                paths.setdefault(os.path.abspath(path), path)
        except DataError as error:
            if strict:
                raise
            missing.append(Skipped(word, str(error)))
    if not paths and not missing:
        raise ConfigError("no image was given, expected files, folders or patterns: --images FILE ...")
    if not paths and len(missing) == 1:
        raise DataError(missing[0].reason)
    if not paths:
        raise DataError(f"no image was found; the first: {missing[0].reason}")
    return list(paths.values()), missing


def image_sources(images: Any) -> tuple[list[Any], list[str]]:
    """List the images that a user may pass in many forms.

    Args:
        images: a path, a folder, a pattern, a text file of paths, the bytes of a file, an open file, a PIL image, a
            uint8 array [H, W], [H, W, 3], [H, W, 4] or [N, H, W, 3], or an iterable of any of these.

    Returns:
        the images, each as `vislang.images.decode.decode_image` takes it, and a name for each: its path, or its index.

    Raises:
        DataError: none at all, a folder or pattern without images, or something that is no image.
    """
    if isinstance(images, str | os.PathLike):
        sources: list[Any] = list(list_images(images))
    else:
        sources = list(_each_image(images))
    if not sources:
        raise DataError("no image was given, expected paths, a folder, arrays or features")
    names = [os.fspath(one) if isinstance(one, str | os.PathLike) else str(index) for index, one in enumerate(sources)]
    return sources, names


def one_image(image: Any) -> ImageSource:
    """Return the only image of what `image_sources` takes.

    Raises:
        ConfigError: there are several.
        DataError: there is none.
    """
    sources, _ = image_sources(image)
    if len(sources) != 1:
        raise ConfigError(f"got {len(sources)} images, expected one; call the function for each of them")
    return sources[0]


def _each_image(images: Any) -> Iterator[ImageSource]:
    if isinstance(images, str | os.PathLike):
        yield from _files(images)
    elif isinstance(images, np.ndarray) and images.ndim == 4:
        yield from images
    elif isinstance(images, bytes | Image.Image | np.ndarray):
        yield images
    elif isinstance(images, bytearray | memoryview):
        yield bytes(images)
    elif isinstance(images, io.IOBase):
        yield _content(images)
    elif isinstance(images, Iterable) and not isinstance(images, Mapping):
        for some in images:
            yield from _each_image(some)
    else:
        raise DataError(
            f"got {type(images).__name__}, expected images: paths, folders, globs, bytes, PIL images, uint8 arrays, or"
            " a list of these"
        )


def _content(stream: io.IOBase) -> bytes:
    """Return what is left of an open file.

    Raises:
        DataError: it was opened as text, is closed, or is larger than an image may be.
    """
    try:
        content = stream.read(MAX_BYTES + 1)  # type: ignore[attr-defined]
    except (OSError, ValueError, MemoryError) as error:
        raise DataError(
            f"the open file cannot be read ({brief(error)}); open it with mode 'rb', or pass its path"
        ) from error
    if not isinstance(content, bytes):
        raise DataError("the open file gives text, expected bytes; open it with mode 'rb', or pass its path")
    if len(content) > MAX_BYTES:
        raise DataError(f"the open file is larger than {MAX_BYTES // 2**20} MiB; shrink the image")
    return content


def _files(where: str | os.PathLike, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """Return the files of a folder, a pattern or a text file; any other path by itself, even where no file is."""
    path = path_of(where, "images")
    if path.is_dir() or (path.is_file() and path.suffix.lower() == ".txt"):
        return list_images(path, suffixes=suffixes)
    if glob.has_magic(str(path)) and not path.exists():
        return list_images(path, suffixes=suffixes)
    return [path]


def _existing_files(where: str, suffixes: Collection[str]) -> list[Path]:
    """Return the files as `_files`; for a path where nothing is, raise a DataError."""
    if path_of(where, "images").exists():
        return _files(where, suffixes)
    return list_images(where, suffixes=suffixes)


def _listed_paths(path: Path, root: Path) -> list[Path]:
    try:
        lines = read_bytes(path, _LONGEST_LIST).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: neither an image nor a list of images in UTF-8 text") from error
    return [root / line.strip() for line in lines if line.strip()]
