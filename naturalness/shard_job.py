"""Naturalness of the images of a shard."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from naturalness.api import load_model
from vislang.features.shards.images import ShardImages
from vislang.features.shards.lines_job import LinesJob, Row, each_image
from vislang.images.decode import decode_image
from vislang.images.sources import Skipped


@dataclass(frozen=True)
class NaturalnessJob(LinesJob):
    """Score images, in the rows of `vislang unusual --json`."""

    kind: ClassVar[str] = "naturalness"

    def settings(self) -> Row:
        """Return nothing: a score depends on the model alone."""
        return {}

    def rows(self, images: ShardImages) -> Iterator[Row | Skipped]:
        """Score images one by one; see `LinesJob.rows`."""
        from naturalness.inference import as_pixels

        model = _loaded(self.model, self.options.weights)
        return each_image(images, lambda source: rating_row(model.rate(as_pixels(decode_image(source)))))


def rating_row(rating: Any) -> Row:
    """Return what JSON says of a rating."""
    row: Row = {"naturalness": round(rating.score, 4)}
    if rating.percentile is not None:
        row |= {"percentile": round(rating.percentile, 1), "flat": rating.flat}
    return row


@functools.lru_cache(maxsize=2)
def _loaded(folder: Path, weights: str | Path | None) -> Any:
    return load_model(folder, weights=weights)
