"""Naturalness of the images of a shard."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from naturalness.api import load_model
from vislang.core.errors import ConfigError, DataError
from vislang.features.shards.images import ShardImages
from vislang.features.shards.lines_job import LinesJob, Row, each_image
from vislang.images.decode import ImageSource, decode_image, source_name
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
        from naturalness.layer_maps import require_size

        model = _loaded(self.model, self.options.weights)

        def score(source: ImageSource) -> Row:
            pixels = as_pixels(decode_image(source))
            try:
                require_size(pixels)
            except ConfigError as error:  # of one image among many
                raise DataError(f"{source_name(source)}: {error}") from error
            return rating_row(model.rate(pixels))

        return each_image(images, score)


def rating_row(rating: Any) -> Row:
    """Return what JSON says of a rating."""
    row: Row = {"naturalness": round(rating.score, 4)}
    if rating.percentile is not None:
        row |= {"percentile": round(rating.percentile, 1), "flat": rating.flat}
    return row


@functools.lru_cache(maxsize=2)
def _loaded(folder: Path, weights: str | Path | None) -> Any:
    return load_model(folder, weights=weights)
