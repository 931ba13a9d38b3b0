"""Human judgements of captions of Flickr8K's images, as published correlations were computed from them.

Both files rate captions that were written for some image as captions of another. Where a candidate is also one of the
image's own references, every metric is trivially at its maximum. As in the published code, such pairs are dropped from
the experts' file (158 of 5,822); in the crowd's file the pairs are kept and the reference is dropped for all pairs of
that image.

References: Hodosh et al. 2013, JAIR 47, for the judgements; Hessel et al. 2021, arXiv:2104.08718, for the protocol.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.text_files import read_lines
from vislang.core.errors import DataError

EXPERT_FILE = "ExpertAnnotations.txt"
CROWD_FILE = "CrowdFlowerAnnotations.txt"
_NEXT_STEP = "get the file again with Flickr8K's text archive"


@dataclass(frozen=True)
class Judged:
    """Candidate captions and their human ratings."""

    images: tuple[str, ...]  # P image names, one for each pair of image and candidate
    candidates: tuple[str, ...]  # P captions
    references: tuple[tuple[str, ...], ...]  # for each pair the captions that it is compared with
    ratings: NDArray[np.float64]  # float64 [P, R], higher is better: R experts, 1..4, or one share of "yes", 0..1
    own: int  # number of candidates that were among their image's own references


def read_expert(path: Path, captions: Mapping[str, Sequence[str]]) -> Judged:
    """Read the experts' ratings: 1 (does not describe the image at all) to 4 (describes it), three for each pair.

    Args:
        path: lines of image, caption id and three ratings, cut by tabs.
        captions: the captions of each image, in the order of their ids.

    Raises:
        DataError: a missing file, a malformed line, or a name that has no captions.
    """
    kept = []
    own = 0
    for image, candidate, ratings in _lines(path, captions):
        if candidate in captions[image]:
            own += 1
        else:
            kept.append((image, candidate, tuple(captions[image]), ratings))
    return _judged(path, kept, own)


def read_crowd(path: Path, captions: Mapping[str, Sequence[str]]) -> Judged:
    """Read the crowd's ratings: the share of people who said that the caption describes the image.

    Args:
        path: lines of image, caption id, share of "yes", number of "yes" and of "no", cut by tabs.
        captions: as for `read_expert`, whose errors are also raised.
    """
    lines = list(_lines(path, captions))
    references: dict[str, list[str]] = {}
    own = 0
    for image, candidate, _ in lines:
        remaining = references.setdefault(image, list(captions[image]))
        if candidate in remaining:
            own += 1
            remaining.remove(candidate)
    pairs = [(image, candidate, tuple(references[image]), ratings[:1]) for image, candidate, ratings in lines]
    return _judged(path, pairs, own)


def _lines(path: Path, captions: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Yield image, candidate and the three numbers of each line."""
    for number, line in enumerate(read_lines(path, _NEXT_STEP), start=1):
        try:
            image, caption_id, *rest = line.split("\t")
            owner, _, index = caption_id.rpartition("#")
            first, second, third = map(float, rest)
            candidate = captions[owner][int(index)]
        except (ValueError, KeyError, IndexError):
            image = ""
        if image not in captions:
            raise DataError(
                f"{path}:{number}: got {line[:80]!r}, expected image, caption id such as image.jpg#2, and 3 numbers, "
                f"all of images with captions; {_NEXT_STEP}"
            )
        yield image, candidate, (first, second, third)


def _judged(path: Path, pairs: Sequence[tuple[str, str, tuple[str, ...], tuple[float, ...]]], own: int) -> Judged:
    if not pairs:
        raise DataError(f"human judgements {path}: no pairs in it, expected thousands; {_NEXT_STEP}")
    images, candidates, references, ratings = zip(*pairs, strict=True)
    return Judged(images, candidates, references, np.array(ratings, np.float64), own)
