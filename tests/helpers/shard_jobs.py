"""Shards for tests: small images and tar files, and a job without a network that may die, fail or wait on the way."""

import io
import json
import os
import signal
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from vislang.core.errors import DataError
from vislang.features.reading_options import ReadingOptions
from vislang.features.shards.images import ShardImages
from vislang.features.shards.job import Input
from vislang.features.shards.lines_job import LinesJob, each_image
from vislang.images.decode import decode_image

BROKEN = b"hello"


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


def job_of(folder: Path, images: Path, trouble: str = "", **more) -> NamesJob:
    """Return a job for images; `more` are options of `Input`."""
    return NamesJob(
        folder, Input(images, **more), False, model_folder(folder.parent / "model"), ReadingOptions(), trouble
    )


def names_of(shards: Path) -> list[str]:
    """Return the names of the images that were used, shard after shard."""
    lines = [line for path in sorted(shards.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [json.loads(line)["image"] for line in lines]


def picture(seed: int) -> bytes:
    """Return a PNG of noise."""
    noise = np.random.default_rng(seed).integers(0, 255, (40, 50, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """Write a tar file of {name: content}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_photos(folder: Path) -> Path:
    """Write seven images, of which one is broken."""
    for number in range(7):
        path = folder / f"{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    (folder / "1" / "3.png").write_bytes(BROKEN)
    return folder


def write_tars(folder: Path) -> Path:
    """Write two shards of webdataset, with captions beside the images, and one that is cut."""
    for number in range(3):
        members = {}
        for index in range(4):
            members[f"{number}{index}.png"] = picture(10 * number + index)
            members[f"{number}{index}.txt"] = b"a caption"
        members["2.png" if number == 2 else f"{number}9.jpg"] = BROKEN
        write_tar(folder / "train" / f"{number:05d}.tar", members)
    cut = folder / "train" / "00001.tar"
    cut.write_bytes(cut.read_bytes()[:5000])
    return folder
