"""Drawings as files: their format, their names, and the mark that tells them from photographs."""

import argparse
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from vislang.core.errors import ConfigError
from vislang.core.files import check_outputs, whole_file
from vislang.images.decode import decode_image
from vislang.images.own_drawings import SOFTWARE, is_own_drawing

DRAWINGS = Path("drawings")  # where commands draw without --out: never beside the user's photographs

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_VIDEOS = (".mp4", ".mov", ".mkv", ".avi")
_QUALITY = 92
_SOFTWARE_TAG = 0x0131  # EXIF 2.3, table 4


def check_image_path(path: Path, option: str = "--out", inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work is done, a file that `save_image` could not write, or that is one of the inputs.

    Raises:
        ConfigError: the suffix names no format that can be written, or the file is an input.
        DataError: the folder cannot be written.
    """
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"{option} got {path.name}, expected a name such as out.png (or .jpg, .jpeg, .webp)")
    check_outputs({option: path}, inputs)


def save_image(path: Path, image: Image.Image) -> None:
    """Write an RGB, RGBA or L image in the format of its suffix, marked as ours; JPEG shows transparency on white."""
    file_format = _FORMATS[path.suffix.lower()]
    options: dict[str, Any] = {"quality": _QUALITY}
    if file_format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Software", SOFTWARE)
        options = {"pnginfo": text}
    elif file_format == "JPEG":
        image = decode_image(image)
        options["comment"] = SOFTWARE
    else:
        exif = Image.Exif()
        exif[_SOFTWARE_TAG] = SOFTWARE
        options["exif"] = exif
    with whole_file(path) as part:
        image.save(part, file_format, **options)


def plan_drawings(out: Path | None, sources: Sequence[Path], ending: str) -> list[Path]:
    """Return a path for the drawing of each source, all of them checked before any work is done.

    Args:
        out: a file for one source, or a folder; None: the folder `DRAWINGS`.
        sources: photographs or videos.
        ending: of the names that are chosen here, such as "_regions.png".

    Raises:
        ConfigError: one file for several sources, one of the sources, or a suffix that cannot be written.
        DataError: a folder cannot be written.
    """
    is_file = out is not None and out.suffix != "" and not out.is_dir()
    if out is None or not is_file:
        planned = drawing_paths(sources, out or DRAWINGS, ending)
    elif len(sources) > 1:
        raise ConfigError(f"--out got the file {out.name} for {len(sources)} drawings, expected a folder")
    else:
        planned = [out]
    for path in planned:
        if Path(ending).suffix in _FORMATS:
            check_image_path(path, inputs=sources)
        elif path.suffix.lower() in _VIDEOS:
            check_outputs({"--out": path}, sources)
        else:
            raise ConfigError(f"--out got {path.name}, expected a name such as out.mp4 (or {', '.join(_VIDEOS[1:])})")
    return planned


def optional_drawings(
    args: argparse.Namespace, sources: Sequence[Path], ending: str, *, by_default: bool = True
) -> dict[Path, Path | None]:
    """Return the file that a command draws for each source as `plan_drawings`; None: it draws none.

    Without `--out` it draws if neither `--html`, `--json` nor `--npy` requests another output, and if `by_default`.
    """
    requested = [vars(args).get(option) for option in ("html", "json", "npy")]
    if args.out is None and (any(requested) or not by_default):
        return dict.fromkeys(sources)
    return dict(zip(sources, plan_drawings(args.out, sources, ending), strict=True))


def drawing_paths(sources: Sequence[Path], folder: Path, ending: str) -> list[Path]:
    """Return a path in `folder` for the drawing of each source; different sources have different drawings.

    Folders below the deepest one that all sources share are kept: tree/a/dog.jpg and tree/b/dog.jpg become
    a/dog_regions.png and b/dog_regions.png. dog.jpg and dog.png keep their suffixes. A file that exists is replaced
    only if this toolkit drew it; otherwise the name is numbered.
    """
    if not sources:
        return []
    absolute = [Path(os.path.abspath(source)) for source in sources]
    shared = os.path.commonpath([source.parent for source in absolute])
    same_stem = Counter(source.with_suffix("") for source in set(absolute))
    paths: list[Path] = []
    taken = set(absolute)
    for source in absolute:
        name = source.stem
        if same_stem[source.with_suffix("")] > 1:
            name = source.name
        place = folder / source.parent.relative_to(shared)
        paths.append(_free_path(place, f"{name}{Path(ending).stem}", Path(ending).suffix, taken))
        taken.add(Path(os.path.abspath(paths[-1])))
    return paths


def _free_path(folder: Path, stem: str, suffix: str, taken: Collection[Path]) -> Path:
    path = folder / f"{stem}{suffix}"
    number = 1
    while Path(os.path.abspath(path)) in taken or not _is_replaceable(path):
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path


def _is_replaceable(path: Path) -> bool:
    """Return whether nothing is there, or a drawing of this toolkit that is no link to somewhere else."""
    if path.is_symlink() or not path.is_file():
        return not os.path.lexists(path)
    return is_own_drawing(path)
