"""Captions, and captioned regions, of the images of a shard."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from captioner.api import describe_regions, load_model
from captioner.decoding.options import DecodeOptions
from captioner.output_formats import Captioned, json_row
from vislang.core.config import to_json
from vislang.features.shards.images import ShardImages
from vislang.features.shards.lines_job import LinesJob, Row, digest_of, each_image
from vislang.images.sources import Skipped


@dataclass(frozen=True)
class CaptionJob(LinesJob):
    """Write captions, in the rows of `vislang caption --jsonl`.

    Attributes:
        decode: options of decoding; what they leave out is as the preset says.
        explain: whether each word has its probability.
    """

    decode: DecodeOptions
    explain: bool

    kind: ClassVar[str] = "captions"

    def settings(self) -> Row:
        """Return the options of decoding."""
        return {"decode": to_json(self.decode), "explain": self.explain}

    def rows(self, images: ShardImages) -> Iterator[Row | Skipped]:
        """Caption images batch by batch; see `LinesJob.rows`."""
        model = _loaded(self.model)
        options = model.complete(self.decode)
        for captions, kept, bad in model.caption_images(images, options, self.options):
            for index, some in zip(kept, captions, strict=True):
                yield json_row(Captioned(Path(images.names[index]), some), self.explain)
            yield from bad


@dataclass(frozen=True)
class RegionJob(LinesJob):
    """Describe the regions of images, in the rows of `vislang regions --json`.

    Attributes:
        max_regions: of an image.
        ranker: the folder of the checkpoint whose maps choose among captions; None: the captioner alone.
    """

    max_regions: int
    ranker: Path | None

    kind: ClassVar[str] = "regions"

    def settings(self) -> Row:
        """Return the number of regions, and a digest of the ranker."""
        ranker = None
        if self.ranker is not None:
            ranker = digest_of(self.ranker)
        return {"max_regions": self.max_regions, "ranker": ranker}

    def rows(self, images: ShardImages) -> Iterator[Row | Skipped]:
        """Describe images one by one; see `LinesJob.rows`."""
        model = _loaded(self.model)
        ranker = None
        if self.ranker is not None:
            ranker = _loaded_ranker(self.ranker)

        def describe(source: Any) -> Row:
            found = describe_regions(model, source, max_regions=self.max_regions, ranker=ranker, options=self.options)
            return {"regions": [region.to_json() for region in found]}

        return each_image(images, describe)


@functools.lru_cache(maxsize=2)
def _loaded(folder: Path) -> Any:
    return load_model(folder)


@functools.lru_cache(maxsize=1)
def _loaded_ranker(folder: Path) -> Any:
    from vse.api import load_model as load_ranker

    return load_ranker(folder)
