"""LinesJob: what a trained model says of the images of a shard, a line of JSON for each."""

import functools
import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vislang.core.cli import shown_name
from vislang.core.errors import DataError
from vislang.core.files import whole_file
from vislang.features.reading_options import ReadingOptions
from vislang.features.shards.images import DamagedShardError, ShardImages
from vislang.features.shards.job import Report, ShardJob
from vislang.images.decode import source_name
from vislang.images.sources import Skipped

Row = dict[str, Any]


@dataclass(frozen=True)
class LinesJob(ShardJob):
    """Ask a model about images.

    Attributes:
        model: the folder of its checkpoint.
        options: how images are read.
    """

    model: Path
    options: ReadingOptions

    suffix: ClassVar[str] = ".jsonl"
    adds: ClassVar[bool] = False

    @abstractmethod
    def settings(self) -> Row:
        """Return what else changes the answers, as JSON values."""

    @abstractmethod
    def rows(self, images: ShardImages) -> Iterator[Row | Skipped]:
        """Yield what is written of each image, or why it cannot be used."""

    def parts(self) -> list[str]:
        """Return a digest of the model and the settings."""
        return [f"{digest_of(self.model)} {json.dumps(self.settings(), sort_keys=True)}"]

    def process(self, images: ShardImages, result: Path, known: Report | None) -> tuple[int, list[Skipped]]:
        """Write the lines of a shard; see `ShardJob.process`."""
        skipped: list[Skipped] = []
        count = 0
        with whole_file(result) as part, part.open("w", encoding="utf-8") as stream:
            for row in self.rows(images):
                if isinstance(row, Skipped):
                    if self.strict:
                        raise DataError(f"{row.reason} (strict: the first bad image ends the run)")
                    skipped.append(row)
                    continue
                stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                count += 1
            if not count:
                raise DamagedShardError(f"none of {len(images)} images could be used; the first: {skipped[0].reason}")
        return count, skipped


def each_image(images: ShardImages, use: Callable[[Any], Row]) -> Iterator[Row | Skipped]:
    """Yield {"image": name} and what `use` returns for it, or why it raised a DataError."""
    for name, source in zip(images.names, images, strict=True):
        try:
            yield {"image": shown_name(name), **use(source)}
        except DataError as error:
            reason = str(error).partition(" (strict: ")[0]  # of one image, which functions of one image read strictly
            yield Skipped(source_name(source), reason)


@functools.lru_cache(maxsize=2)
def digest_of(folder: Path) -> str:
    """Return a digest of a checkpoint, without loading it."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.h5")]):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
