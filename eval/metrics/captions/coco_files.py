"""Caption files: results in COCO's format, read and written, and references from COCO annotations or a mapping.

An image may be named by its COCO number, by that number as text or by its COCO file name: 17, "17",
"COCO_val2014_000000000017.jpg" and "000000000017.jpg" are the same image.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vislang.core.errors import EvalError, shown
from vislang.core.files import read_json, write_json

ImageId = int | str

_COCO_NAME = re.compile(r"(?:COCO_\w+_)?(\d{12})(?:\.\w+)?")  # with the prefix until 2014, without since 2017

RESULTS_FORM = '[{"image_id": 17, "caption": "a dog runs"}, ...]'
REFERENCES_FORM = 'COCO annotations {"annotations": [{"image_id": ..., "caption": ...}]} or {"17": ["a dog", ...]}'


def coco_image_id(name: ImageId) -> ImageId:
    """Return the number of an image that is named as in COCO, any other name as it is."""
    match = _COCO_NAME.fullmatch(str(name))
    if match is None:
        return name
    return int(match.group(1))


def image_key(name: ImageId) -> str:
    """Return a text that is equal for all names of one image."""
    return str(coco_image_id(name))


def read_results(path: str | Path) -> dict[ImageId, str]:
    """Read captions in COCO's results format.

    Raises:
        DataError: the file is missing or no JSON.
        EvalError: another form, or an image with two captions.
    """
    document = read_json(path, "results", f"expected {RESULTS_FORM}")
    if not isinstance(document, list) or not document:
        raise EvalError(f"results {path}: {shown(document)}, expected {RESULTS_FORM}")
    captions: dict[ImageId, str] = {}
    times: Counter[str] = Counter()
    for number, entry in enumerate(document):
        image_id, caption = _pair(entry, number, path, RESULTS_FORM)
        captions[image_id] = caption
        times[image_key(image_id)] += 1
    twice = [name for name, count in times.items() if count > 1]
    if twice:
        raise EvalError(
            f"results {path}: {len(twice)} image(s) have more than one caption ({_some(twice)}), expected one each; "
            "keep the best of each image and score the file again"
        )
    return captions


def write_results(path: str | Path, captions: Mapping[ImageId, str]) -> None:
    """Write captions in COCO's results format, as a whole file.

    Raises:
        DataError: the file cannot be written.
    """
    write_json(path, [{"image_id": image_id, "caption": caption} for image_id, caption in captions.items()])


def read_references(path: str | Path) -> dict[ImageId, list[str]]:
    """Read the references of each image from COCO annotations or from a mapping of ids to captions.

    Raises:
        DataError: the file is missing or no JSON.
        EvalError: another form, or no captions.
    """
    document = read_json(path, "references", f"expected {REFERENCES_FORM}")
    references: dict[ImageId, list[str]] = {}
    if isinstance(document, dict) and isinstance(document.get("annotations"), list):
        for number, entry in enumerate(document["annotations"]):
            image_id, caption = _pair(entry, number, path, REFERENCES_FORM)
            references.setdefault(image_id, []).append(caption)
    elif isinstance(document, dict):
        for image_id, captions in document.items():
            if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
                raise EvalError(
                    f"references {path}: image {image_id!r} holds {shown(captions)}, expected {REFERENCES_FORM}"
                )
            references[image_id] = captions
    else:
        raise EvalError(f"references {path}: {shown(document)}, expected {REFERENCES_FORM}")
    if not references:
        raise EvalError(f"references {path}: no captions in it, expected {REFERENCES_FORM}")
    return references


def references_of(
    candidates: Mapping[ImageId, str], references: Mapping[ImageId, Sequence[str]]
) -> list[Sequence[str]]:
    """Return the references of each candidate, in the candidates' order.

    Raises:
        EvalError: no candidates, a caption that is no text, two ids for one image, or an image without references.
    """
    if not candidates:
        raise EvalError("got no captions, expected at least one image; check the results file and the split")
    by_key = {image_key(name): captions for name, captions in references.items()}
    if len(by_key) < len(references) or len(set(map(image_key, candidates))) < len(candidates):
        raise EvalError("an image has two names, such as 17 and '17', expected one of them; keep one entry for each")
    missing = [name for name in candidates if not by_key.get(image_key(name))]
    if missing:
        raise EvalError(
            f"{len(missing)} of {len(candidates)} images have no reference ({_some(missing)}), while references name "
            f"{len(references)} images ({_some(references)}); give the references of the same split"
        )
    chosen = [by_key[image_key(name)] for name in candidates]
    for image_id, caption, others in zip(candidates, candidates.values(), chosen, strict=True):
        if isinstance(others, str) or not all(isinstance(text, str) for text in (caption, *others)):
            raise EvalError(
                f"image {image_id!r}: caption {shown(caption)} with references {shown(others)}, "
                "expected a text and a list of texts"
            )
    return chosen


def _pair(entry: Any, number: int, path: str | Path, form: str) -> tuple[ImageId, str]:
    fields: dict[str, Any] = {}
    if isinstance(entry, dict):
        fields = entry
    image_id = fields.get("image_id")
    caption = fields.get("caption")
    if isinstance(image_id, bool) or not isinstance(image_id, int | str) or not isinstance(caption, str):
        raise EvalError(f"{path}: entry {number} is {shown(entry)}, expected {form}")
    return image_id, caption


def _some(names: Sequence[ImageId] | Mapping[ImageId, Any]) -> str:
    shown = ", ".join(map(str, list(names)[:3]))
    if len(names) > 3:
        return f"{shown}, ..."
    return shown
