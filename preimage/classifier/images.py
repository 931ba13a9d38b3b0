"""Images to train a classifier on: chosen by domain and class, decoded once."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from datasets.pacs import LabelledRecord, balanced, of_domains, smallest_class
from datasets.records import of_split
from vislang.core.errors import DataError
from vislang.images.decode import decode_image


@dataclass(frozen=True)
class LabelledImages:
    """Decoded images of one split."""

    ids: list[str]
    images: list[Image.Image]  # RGB, of any size
    labels: np.ndarray  # int [N], the class of each
    skipped: dict[str, str]  # {id: reason} of those that cannot be read


def choose(records: Sequence[LabelledRecord], split: str, args: argparse.Namespace) -> Sequence[LabelledRecord]:
    """Return the records of a split, "train" or "dev", that `--domains` and `--per-class` name.

    `--per-class N` concerns train alone, except 0, which takes all images of both.
    """
    all_domains = of_split(records, split)
    chosen = of_domains(all_domains, args.domains)
    if args.per_class == 0:
        return chosen
    if args.per_class is None or split == "dev":
        return balanced(chosen, smallest_class(all_domains))
    return balanced(chosen, args.per_class)


def decode(records: Sequence[LabelledRecord], classes: Sequence[str], side: int) -> LabelledImages:
    """Decode images, none much larger than a network of this side needs; if none can be read, raise a DataError."""
    ids = []
    images = []
    labels = []
    skipped = {}
    for record in records:
        try:
            image = decode_image(record.path, shorter_side=2 * side)  # type: ignore[arg-type]  # these have files
        except DataError as error:
            skipped[record.image_id] = str(error)
            continue
        ids.append(record.image_id)
        images.append(image.reduce(max(1, min(image.size) // (2 * side))))
        labels.append(classes.index(record.label))
    if not images:
        name, reason = next(iter(skipped.items()))
        raise DataError(f"none of {len(records)} images can be read, first {name}: {reason}")
    return LabelledImages(ids, images, np.array(labels), skipped)
