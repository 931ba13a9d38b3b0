"""Flickr8K and Flickr30K as published: a token file with five captions per image, and lists of the splits.

References:
    Flickr8K: Hodosh, Young and Hockenmaier 2013, JAIR 47. Flickr30K: Young et al. 2014, TACL 2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets.records import ImageRecord, check_splits
from datasets.text_files import clean_caption, first_existing, read_lines
from vislang.core.errors import DataError

_CAPTIONS = 5  # of each image
_TOKEN_LINE = re.compile(r"([^\t#]+)#([0-9]+)\t(.*)", re.DOTALL)


@dataclass(frozen=True)
class FlickrLayout:
    """Where a Flickr data set keeps its parts; of several names the first that exists is used."""

    tokens: tuple[str, ...]  # the caption file
    lists: Mapping[str, tuple[str, ...]]  # {split: its list}
    images: tuple[str, ...]  # the image folder
    next_step: str  # what to do about a missing or damaged file
    misprints: Mapping[str, str] = field(default_factory=dict)  # {misspelt image name in the caption file: its name}


FLICKR8K = FlickrLayout(
    tokens=("Flickr8k.token.txt", "Flickr8k_text/Flickr8k.token.txt"),
    lists={
        "train": ("Flickr_8k.trainImages.txt", "Flickr8k_text/Flickr_8k.trainImages.txt"),
        "dev": ("Flickr_8k.devImages.txt", "Flickr8k_text/Flickr_8k.devImages.txt"),
        "test": ("Flickr_8k.testImages.txt", "Flickr8k_text/Flickr_8k.testImages.txt"),
    },
    images=("Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset"),
    next_step="run: make data-f8k",
    misprints={"2258277193_586949ec62.jpg.1": "2258277193_586949ec62.jpg"},  # its image is not published either
)

FLICKR30K = FlickrLayout(
    tokens=("results_20130124.token", "flickr30k/results_20130124.token"),
    lists={
        "train": ("imgs_train.txt", "train.txt", "flickr30k_train.txt"),
        "dev": ("imgs_val.txt", "val.txt", "flickr30k_val.txt"),
        "test": ("imgs_test.txt", "test.txt", "flickr30k_test.txt"),
    },
    images=("flickr30k-images", "flickr30k_images", "Images", "images"),
    next_step="get the token file and images from the authors of Flickr30K and the lists of 29,000/1,014/1,000 names",
)


def read_flickr8k(
    folder: str | Path, *, keep_unused: bool = False, require_images: bool = True
) -> tuple[ImageRecord, ...]:
    """Read Flickr8K: 6,000 train, 1,000 dev and 1,000 test images, in the order of the split lists.

    Args:
        folder: holds `Flickr8k.token.txt`, `Flickr_8k.{train,dev,test}Images.txt` and the images.
        keep_unused: also return the 91 images that no split lists, as split "unused", after the others.
        require_images: False allows missing image files, with `path=None`.

    Raises:
        DataError: a file or image is missing, a caption line is malformed, counts are wrong, or splits overlap.
    """
    return _read(Path(folder), FLICKR8K, keep_unused, require_images)


def read_flickr30k(folder: str | Path, *, require_images: bool = True) -> tuple[ImageRecord, ...]:
    """Read Flickr30K: `results_20130124.token`, `imgs_{train,val,test}.txt` (names with or without ".jpg"), images.

    Args and errors are those of `read_flickr8k`.
    """
    return _read(Path(folder), FLICKR30K, False, require_images)


def read_token_file(folder: Path, layout: FlickrLayout) -> tuple[Path, dict[str, tuple[str, ...]]]:
    """Return the caption file and {image: five captions ordered by k} of its lines `<image>#<k><tab><caption>`.

    Raises:
        DataError: a malformed line, a caption number that comes twice, or a wrong number of captions.
    """
    captions: dict[str, dict[int, str]] = {}
    next_step = layout.next_step
    path = first_existing(folder, layout.tokens, "caption file", next_step)
    lines = read_lines(path, next_step)
    for number, line in enumerate(lines, start=1):
        match = _TOKEN_LINE.fullmatch(line)
        if match is None or not clean_caption(match[3]):
            raise DataError(f"{path}:{number}: got {line[:60]!r}, expected 'image.jpg#0<tab>caption'; {next_step}")
        name = layout.misprints.get(match[1], match[1])
        if int(match[2]) in captions.setdefault(name, {}):
            raise DataError(f"{path}:{number}: caption {match[2]} of {name!r} comes twice, expected once; {next_step}")
        captions[name][int(match[2])] = clean_caption(match[3])
    by_image = {}
    for name, by_number in captions.items():
        if len(by_number) != _CAPTIONS:
            raise DataError(
                f"{path}: image {name!r} has {len(by_number)} captions, expected {_CAPTIONS}"
                f" ({len(lines)} lines for {len(captions)} images); the file is damaged, {next_step}"
            )
        by_image[name] = tuple(text for _, text in sorted(by_number.items()))
    return path, by_image


def _read(folder: Path, layout: FlickrLayout, keep_unused: bool, require_images: bool) -> tuple[ImageRecord, ...]:
    tokens, captions = read_token_file(folder, layout)
    files = _image_files(folder, layout, require_images)
    records = []
    for split, names in layout.lists.items():
        split_list = first_existing(folder, names, f"list of {split} images", layout.next_step)
        for line in read_lines(split_list, layout.next_step):
            name = line.strip().removesuffix(".jpg") + ".jpg"
            if name not in captions:
                raise DataError(f"{split_list}: image {name!r} has no caption in {tokens.name}; {layout.next_step}")
            records.append(ImageRecord(name, files.get(name), split, captions[name]))
    missing = [record.image_id for record in records if record.path is None]
    if missing and require_images:
        raise DataError(
            f"{folder}: {len(missing)} of {len(records)} listed images are missing, first {missing[0]!r};"
            f" {layout.next_step}"
        )
    if keep_unused:
        listed = {record.image_id for record in records}
        for name in captions:
            if name not in listed and (name in files or not require_images):
                records.append(ImageRecord(name, files.get(name), "unused", captions[name]))
    return check_splits(records)


def _image_files(folder: Path, layout: FlickrLayout, require_images: bool) -> dict[str, Path]:
    """Return {image name: file}, from one listing of the folder rather than one look-up per image."""
    if not require_images and not any((folder / name).is_dir() for name in layout.images):
        return {}
    images = first_existing(folder, layout.images, "image folder", layout.next_step)
    return {path.name: path for path in images.iterdir()}
