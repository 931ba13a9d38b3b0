"""Drawn scenes as a data set: `python -m datasets.scenes --out DIR` writes it, `read_scenes` reads it.

Dev and test show pairs of colour and shape that train never shows, although train shows each colour and each shape:
a model that scores well on them has understood both, not remembered pictures.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from datasets.captions.flickr30k_entities import EntityNotes, EntityPhrase
from datasets.records import ImageRecord, check_splits
from datasets.scenes.draw import SCENE_SPLITS, SIDE, Phrase, Scene, SceneNotes, SceneObject, draw_scene, pairs_of_split
from vislang.core.cli import progress_is_shown
from vislang.core.errors import DataError
from vislang.core.files import read_json, require_writable_folder, write_json

__all__ = ["Scene", "draw_scene", "pairs_of_split", "read_scene_notes", "read_scenes", "write_scenes"]

_ANNOTATIONS = "annotations.json"
_FORMAT = "drawn-scenes/v1"
_NEXT = "draw them again: python -m datasets.scenes --out DIR"


def write_scenes(
    folder: str | Path, *, train: int = 1500, dev: int = 200, test: int = 300, seed: int = 0
) -> tuple[ImageRecord, ...]:
    """Draw a data set into a folder: `images/*.png` and `annotations.json`, equal bytes for equal arguments.

    Args:
        folder: made if need be. The annotations are written last, so a half-drawn folder is never read.
        train: number of training scenes; dev and test likewise.
        seed: equal seeds give equal scenes; a larger data set of a seed begins with the smaller one.

    Returns:
        What `read_scenes` gives.

    Raises:
        DataError: a count is negative, all are 0, or the folder cannot be written.
    """
    counts = {"train": train, "dev": dev, "test": test}
    if min(counts.values()) < 0 or not any(counts.values()):
        raise DataError(
            f"scenes to draw got {counts}, expected none below 0 and one above; change --train, --dev or --test"
        )
    images = require_writable_folder(Path(folder) / "images")
    (Path(folder) / _ANNOTATIONS).unlink(missing_ok=True)
    todo = [(split, index) for split, count in counts.items() for index in range(count)]
    entries = []
    for split, index in tqdm(todo, desc="drawing", disable=not progress_is_shown()):
        scene = draw_scene(seed, index, split)
        name = f"{split}_{index:06d}.png"
        try:
            Image.fromarray(scene.image).save(images / name)
        except OSError as error:
            raise DataError(
                f"cannot write {images / name}: {error.strerror or error}; free or choose a disk"
            ) from error
        entries.append({"file_name": name, "split": split, **_to_json(scene)})
    write_json(Path(folder) / _ANNOTATIONS, {"format": _FORMAT, "seed": seed, "side": SIDE, "images": entries})
    return read_scenes(folder)


def read_scenes(folder: str | Path) -> tuple[ImageRecord, ...]:
    """Read drawn scenes as records, train then dev then test.

    Raises:
        DataError: the folder was not written to its end, is damaged, or an image is missing.
    """
    folder = Path(folder)
    entries = _entries(folder)
    there = {path.name for path in (folder / "images").glob("*.png")}
    missing = [entry["file_name"] for entry in entries if entry["file_name"] not in there]
    if missing:
        raise DataError(f"{folder}: {len(missing)} of {len(entries)} scenes are missing, first {missing[0]!r}; {_NEXT}")
    names = [entry["file_name"] for entry in entries]
    return check_splits(
        ImageRecord(name, folder / "images" / name, entry["split"], tuple(entry["captions"]))
        for name, entry in zip(names, entries, strict=True)
    )


def read_scene_notes(folder: str | Path) -> dict[str, SceneNotes]:
    """Read what is known about each scene: image_id -> captions, objects with boxes and masks, phrases, background.

    Raises:
        DataError: the folder was not written to its end, or is damaged.
    """
    folder = Path(folder)
    try:
        return {entry["file_name"]: _from_json(entry) for entry in _entries(folder)}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / _ANNOTATIONS} is damaged ({error!r}); {_NEXT}") from error


def read_scene_entities(folder: str | Path, image_ids: Iterable[str]) -> dict[str, EntityNotes]:
    """Read which words name which things of drawn scenes, in the form of `datasets.captions.flickr30k_entities`.

    Args:
        folder: written by `write_scenes`.
        image_ids: the scenes.

    Raises:
        DataError: the folder was not written to its end, or is damaged.
    """
    notes = read_scene_notes(folder)
    found = {}
    for image_id in image_ids:
        scene = notes[image_id]
        phrases = tuple(
            EntityPhrase(
                "+".join(map(str, phrase.objects)),
                scene.objects[phrase.objects[0]].name,
                phrase.caption,
                phrase.words,
                np.array(phrase.boxes, np.float32) / SIDE,
            )
            for phrase in scene.phrases
            if phrase.objects
        )
        found[image_id] = EntityNotes(tuple(tuple(caption.split()) for caption in scene.captions), phrases)
    return found


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / _ANNOTATIONS
    document = read_json(path, "drawn scenes", _NEXT)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        got = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise DataError(f"{path} has format {got!r}, expected {_FORMAT!r}; {_NEXT}")
    entries = document.get("images")
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        raise DataError(f"{path}: 'images' is no list of file_name, split and captions; {_NEXT}")
    return entries


def _is_entry(entry: Any) -> bool:
    needed = {"file_name", "split", "captions"}
    return isinstance(entry, dict) and needed <= set(entry) and entry["split"] in SCENE_SPLITS


def _to_json(notes: SceneNotes) -> dict[str, Any]:
    return {
        "background": notes.background,
        "captions": list(notes.captions),
        "objects": [
            {
                "name": thing.name,
                "colour": thing.colour,
                "size": thing.size,
                "centre": list(thing.centre),
                "box": list(thing.box),
                "mask_runs": _runs(thing.mask),
            }
            for thing in notes.objects
        ],
        "phrases": [
            {"caption": phrase.caption, "words": list(phrase.words), "objects": list(phrase.objects)}
            for phrase in notes.phrases
        ],
    }


def _from_json(entry: dict[str, Any]) -> SceneNotes:
    objects = tuple(
        SceneObject(
            thing["name"],
            thing["colour"],
            thing["size"],
            (float(thing["centre"][0]), float(thing["centre"][1])),
            tuple(thing["box"]),
            _mask(thing["mask_runs"]),
        )
        for thing in entry["objects"]
    )
    phrases = tuple(
        Phrase(
            phrase["caption"],
            (phrase["words"][0], phrase["words"][1]),
            tuple(phrase["objects"]),
            tuple(objects[number].box for number in phrase["objects"]),
        )
        for phrase in entry["phrases"]
    )
    return SceneNotes(tuple(entry["captions"]), objects, phrases, entry["background"])


def _runs(mask: np.ndarray) -> str:
    """Write a mask as lengths of runs, row by row, beginning with a run of False; one string keeps the file small."""
    flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return " ".join(map(str, np.diff(edges, prepend=0)))


def _mask(runs: str) -> np.ndarray:
    """Rebuild bool [H, W] from `_runs`; a wrong total is a ValueError."""
    lengths = [int(length) for length in runs.split()]
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(SIDE, SIDE)
