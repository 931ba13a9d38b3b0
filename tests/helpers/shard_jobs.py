"""A job on shards that needs no network: it writes the names of the images, and may die, fail or wait on the way."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vislang.core.errors import DataError
from vislang.features.shards.images import ShardImages
from vislang.features.shards.lines_job import LinesJob, each_image
from vislang.images.decode import decode_image


@dataclass(frozen=True)
class NamesJob(LinesJob):
    """Write the size of each image, and leave a file "PROCESS-SHARD" for each shard.

    Attributes:
        trouble: what happens in each shard: "", "killed", "fails", "breaks", "slow", "touched".
    """

    trouble: str = ""

    kind: ClassVar[str] = "names"

    def settings(self) -> dict:
        """Return nothing."""
        return {}

    def rows(self, images: ShardImages) -> Iterator:
        """Yield the size of each image."""
        (self.folder / f"{os.getpid()}-{images.names[0].replace('/', '_')}.mark").touch()
        if self.trouble == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.trouble == "fails":
            raise DataError("the disk is full")
        if self.trouble == "breaks":
            raise ZeroDivisionError("a fault")
        if self.trouble == "touched":
            os.utime(self.images.where)
        if self.trouble == "slow":
            time.sleep(600)
        return each_image(images, lambda source: {"size": list(decode_image(source).size)})


def model_folder(folder: Path) -> Path:
    """Return a folder that passes for that of a checkpoint."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    return folder
