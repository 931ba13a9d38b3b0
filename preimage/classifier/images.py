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
    """Decoded images of one split.

    Attributes:
        ids: of the N images.
        images: RGB, of any size.
        labels: int [N], the class of each.
        skipped: the images that cannot be read: {id: reason}.
    """

    ids: list[str]
    images: list[Image.Image]
    labels: np.ndarray
    skipped: dict[str, str]


def choose(records: Sequence[LabelledRecord], split: str, args: argparse.Namespace) -> Sequence[LabelledRecord]:
    """Return the records of a split that the command line asks for.

    Args:
        records: the whole data set.
        split: "train" or "dev".
        args: with domains and per_class, which for dev only matters where it is 0: all.
    """
    all_domains = of_split(records, split)
    chosen = of_domains(all_domains, args.domains)
    if args.per_class == 0:
        return chosen
    if args.per_class is None or split == "dev":
        return balanced(chosen, smallest_class(all_domains))
    return balanced(chosen, args.per_class)


def decode(records: Sequence[LabelledRecord], classes: Sequence[str], side: int) -> LabelledImages:
    """Decode images, none much larger than a network of this side needs.

    Args:
        records: of one split.
        classes: names, in the order that labels count.
        side: of the network's input, in pixels.

    Raises:
        DataError: none of them can be read.
    """
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
