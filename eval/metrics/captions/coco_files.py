"""Caption files: results in COCO's form, in and out, and references from COCO annotations or a plain mapping."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vislang.core.errors import EvalError
from vislang.core.files import read_json, write_json

ImageId = int | str

RESULTS_FORM = '[{"image_id": 17, "caption": "a dog runs"}, ...]'
REFERENCES_FORM = 'COCO annotations {"annotations": [{"image_id": ..., "caption": ...}]} or {"17": ["a dog", ...]}'


def read_results(path: str | Path) -> dict[ImageId, str]:
    """Read captions in COCO's results form.

    Raises:
        DataError: the file is missing or no JSON.
        EvalError: another form, or an image with two captions.
    """
    document = read_json(path, "results", f"expected {RESULTS_FORM}")
    if not isinstance(document, list) or not document:
        raise EvalError(f"results {path}: {_shown(document)}, expected {RESULTS_FORM}")
    pairs = [_pair(entry, number, path, RESULTS_FORM) for number, entry in enumerate(document)]
    times = Counter(str(image_id) for image_id, _ in pairs)
    twice = [image_id for image_id, count in times.items() if count > 1]
    if twice:
        raise EvalError(
            f"results {path}: {len(twice)} image(s) have more than one caption ({_some(twice)}), expected one each; "
            "keep the best of each image and score the file again"
        )
    return dict(pairs)


def write_results(path: str | Path, captions: Mapping[ImageId, str]) -> None:
    """Write captions in COCO's results form, as a whole file.

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
                    f"references {path}: image {image_id!r} holds {_shown(captions)}, expected {REFERENCES_FORM}"
                )
            references[image_id] = captions
    else:
        raise EvalError(f"references {path}: {_shown(document)}, expected {REFERENCES_FORM}")
    if not references:
        raise EvalError(f"references {path}: no captions in it, expected {REFERENCES_FORM}")
    return references


def references_of(
    candidates: Mapping[ImageId, str], references: Mapping[ImageId, Sequence[str]]
) -> list[Sequence[str]]:
    """Give the references of each candidate, in the candidates' order; 17 and "17" are the same image.

    Raises:
        EvalError: no candidates, a caption that is no text, two ids for one image, or an image without references.
    """
    if not candidates:
        raise EvalError("no captions were given, expected at least one image; check the results file and the split")
    by_name = {str(image_id): captions for image_id, captions in references.items()}
    if len(by_name) < len(references) or len({str(image_id) for image_id in candidates}) < len(candidates):
        raise EvalError("an image is named both by a number and by its text, such as 17 and '17'; expected one of them")
    missing = [image_id for image_id in candidates if not by_name.get(str(image_id))]
    if missing:
        raise EvalError(
            f"{len(missing)} of {len(candidates)} images have no reference ({_some(missing)}), while references name "
            f"{len(references)} images ({_some(references)}); give the references of the same split"
        )
    chosen = [by_name[str(image_id)] for image_id in candidates]
    for image_id, caption, others in zip(candidates, candidates.values(), chosen, strict=True):
        if isinstance(others, str) or not all(isinstance(text, str) for text in (caption, *others)):
            raise EvalError(
                f"image {image_id!r}: caption {_shown(caption)} with references {_shown(others)}, "
                "expected a text and a list of texts"
            )
    return chosen


def _pair(entry: Any, number: int, path: str | Path, form: str) -> tuple[ImageId, str]:
    image_id, caption = (entry.get("image_id"), entry.get("caption")) if isinstance(entry, dict) else (None, None)
    if isinstance(image_id, bool) or not isinstance(image_id, int | str) or not isinstance(caption, str):
        raise EvalError(f"{path}: entry {number} is {_shown(entry)}, expected {form}")
    return image_id, caption


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _some(names: Sequence[ImageId] | Mapping[ImageId, Any]) -> str:
    shown = ", ".join(str(name) for name in list(names)[:3])
    return f"{shown}, ..." if len(names) > 3 else shown
