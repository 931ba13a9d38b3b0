"""Drawn scenes as a data set: `python -m datasets.scenes --out DIR` writes it, `read_scenes` reads it.

Dev and test show pairs of colour and shape that train never shows, although train shows each colour and each shape:
they test whether a model combines what it has learned of both.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from datasets.captions.flickr30k_entities import EntityNotes, EntityPhrase
from datasets.records import ImageRecord, check_splits
from datasets.scenes.draw import SCENE_SPLITS, SIDE, Phrase, SceneNotes, draw_scene
from datasets.scenes.shapes import SceneObject
from vislang.core.cli import progress_is_shown
from vislang.core.errors import DataError
from vislang.core.files import keyed, read_json, require_writable_folder, write_json

_ANNOTATIONS = "annotations.json"
_FORMAT = "drawn-scenes/v1"
_NEXT = "draw them again: python -m datasets.scenes --out DIR"


def write_scenes(
    folder: str | Path, *, train: int = 1500, dev: int = 200, test: int = 300, seed: int = 0
) -> tuple[ImageRecord, ...]:
    """Draw a data set into a folder: `images/*.png` and `annotations.json`, equal bytes for equal arguments.

    The annotations are written last, so an incomplete folder is never read. A larger data set of a seed begins with the
    smaller one. Returns what `read_scenes` returns.

    Raises:
        DataError: a count is negative, all are 0, or the folder cannot be written.
    """
    counts = {"train": train, "dev": dev, "test": test}
    if min(counts.values()) < 0 or not any(counts.values()):
        raise DataError(
            f"scenes to draw got {counts}, expected none below 0 and one above 0; change --train, --dev or --test"
        )
    images = require_writable_folder(Path(folder) / "images")
    (Path(folder) / _ANNOTATIONS).unlink(missing_ok=True)
    entries = []
    with tqdm(total=sum(counts.values()), desc="drawing", disable=not progress_is_shown()) as bar:
        for split, count in counts.items():
            for index in range(count):
                scene = draw_scene(seed, index, split)
                name = f"{split}_{index:06d}.png"
                try:
                    Image.fromarray(scene.image).save(images / name)
                except OSError as error:
                    raise DataError(f"cannot write {images / name}: {error.strerror}; free or choose a disk") from error
                entries.append({"file_name": name, "split": split, **_to_json(scene)})
                bar.update()
    write_json(Path(folder) / _ANNOTATIONS, {"format": _FORMAT, "seed": seed, "side": SIDE, "images": entries})
    return read_scenes(folder)


def read_scenes(folder: str | Path) -> tuple[ImageRecord, ...]:
    """Read drawn scenes as records, train then dev then test.

    Raises:
        DataError: the folder is incomplete or damaged, or an image is missing.
    """
    folder = Path(folder)
    drawn = {path.name for path in (folder / "images").glob("*.png")}
    records = []
    for entry in _entries(folder):
        name = entry["file_name"]
        records.append(ImageRecord(name, folder / "images" / name, entry["split"], tuple(entry["captions"])))
    missing = [record.image_id for record in records if record.image_id not in drawn]
    if missing:
        raise DataError(f"{folder}: {len(missing)} of {len(records)} scenes are missing, first {missing[0]!r}; {_NEXT}")
    return check_splits(records)


def read_scene_notes(folder: str | Path) -> dict[str, SceneNotes]:
    """Read the annotations of each scene, {image_id: notes}."""
    folder = Path(folder)
    try:
        pairs = [(entry["file_name"], _from_json(entry)) for entry in _entries(folder)]
        return keyed(pairs, f"{folder / _ANNOTATIONS}, file names of images", _NEXT)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{folder / _ANNOTATIONS} is damaged ({error!r}); {_NEXT}") from error


def read_scene_entities(folder: str | Path, image_ids: Iterable[str]) -> dict[str, EntityNotes]:
    """Read the phrases of drawn scenes and their boxes: {image_id: notes}, in the order of `image_ids`.

    Raises:
        DataError: the folder is incomplete or damaged.
    """
    notes = read_scene_notes(folder)
    found = {}
    for image_id in image_ids:
        if image_id not in notes:
            raise DataError(
                f"{folder} holds no scene {image_id!r}, expected one such as {next(iter(notes), '')!r}; {_NEXT}"
            )
        found[image_id] = _entity_notes(notes[image_id])
    return found


def _entity_notes(scene: SceneNotes) -> EntityNotes:
    sentences = tuple(tuple(caption.split()) for caption in scene.captions)
    phrases = []
    for phrase in scene.phrases:
        if phrase.objects:
            entity = "+".join(map(str, phrase.objects))
            kind = scene.objects[phrase.objects[0]].name
            boxes = np.array(phrase.boxes, np.float32) / SIDE
            phrases.append(EntityPhrase(entity, kind, phrase.caption, phrase.words, boxes))
    return EntityNotes(sentences, tuple(phrases))


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / _ANNOTATIONS
    document = read_json(path, "drawn scenes", _NEXT)
    found = document.get("format") if isinstance(document, dict) else type(document).__name__
    if found != _FORMAT:
        raise DataError(f"{path} has format {found!r}, expected {_FORMAT!r}; {_NEXT}")
    entries = document.get("images")
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        raise DataError(f"{path}: 'images' is no list of file_name, split and captions; {_NEXT}")
    return entries


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
        return False
    captions = entry.get("captions")
    return entry.get("split") in SCENE_SPLITS and isinstance(captions, list) and all(map(_is_text, captions))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _to_json(notes: SceneNotes) -> dict[str, Any]:
    objects = []
    for thing in notes.objects:
        values = asdict(thing)
        values["mask_runs"] = _runs(values.pop("mask"))
        objects.append(values)
    phrases = [{"caption": one.caption, "words": one.words, "objects": one.objects} for one in notes.phrases]
    return {"background": notes.background, "captions": notes.captions, "objects": objects, "phrases": phrases}


def _from_json(entry: dict[str, Any]) -> SceneNotes:
    objects = []
    for values in entry["objects"]:
        x, y = map(float, values["centre"])
        mask = _mask(values["mask_runs"])
        left, top, right, bottom = map(int, values["box"])
        if not 0 <= left < right <= SIDE or not 0 <= top < bottom <= SIDE:
            raise ValueError(f"box {values['box']} outside of the image")
        objects.append(
            SceneObject(values["name"], values["colour"], values["size"], (x, y), (left, top, right, bottom), mask)
        )
    phrases = []
    for values in entry["phrases"]:
        first, end = values["words"]
        indices = tuple(values["objects"])
        boxes = tuple(objects[index].box for index in indices)
        phrases.append(Phrase(values["caption"], (first, end), indices, boxes))
    return SceneNotes(tuple(entry["captions"]), tuple(objects), tuple(phrases), entry["background"])


def _runs(mask: np.ndarray) -> str:
    """Return a mask as the lengths of its runs, row by row from a run of False; a string keeps the file small."""
    flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return " ".join(map(str, np.diff(edges, prepend=0)))


def _mask(runs: str) -> np.ndarray:
    """Return bool [H, W] from `_runs`; a ValueError where the lengths do not add up to the size of a scene."""
    lengths = list(map(int, runs.split()))
    if min(lengths) < 0 or sum(lengths) != SIDE**2:
        raise ValueError(f"runs of {sum(lengths)} pixels, expected {SIDE**2}")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(SIDE, SIDE)
