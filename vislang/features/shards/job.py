"""ShardJob: what is done with every shard, by itself, in whatever process; `process_shard` does it."""

import os
import threading
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from vislang.core.errors import DataError
from vislang.core.files import only_writer, parse_json, read_json, write_json
from vislang.features.cache.manifest import DAMAGED, FINISHED, ShardState, read_state, text
from vislang.features.extraction import base_folder
from vislang.features.shards.images import TAR, DamagedShardError, ListedImages, ShardImages, TarImages, status_of
from vislang.images.sources import Skipped

_one_at_a_time = threading.Lock()  # engines call from several threads, each shard takes all of the process's share


@dataclass(frozen=True)
class Input:
    """What the user calls the images.

    Attributes:
        where: a folder, pattern, tar file, or text file with a path a line.
        root: what the paths in a text file are relative to.
        ids: how images are named, "path" or "name".
        shard_size: images in each part of a list.
    """

    where: str | os.PathLike
    root: str | None = None
    ids: str = "path"
    shard_size: int = 10_000

    @property
    def base(self) -> Path:
        """The folder to which tar files and images are relative."""
        return base_folder(self.where, self.root)

    def absolute(self) -> "Input":
        """Return the same for processes in other folders."""
        root = None if self.root is None else os.path.abspath(self.root)
        return replace(self, where=os.path.abspath(self.where), root=root)


@dataclass(frozen=True)
class Shard:
    """Images that are worked on together."""

    name: str  # the names of its files begin with it
    source: str  # a tar file, relative to the folder of images; "" for the images of NAME.images.json


@dataclass(frozen=True)
class Report:
    """What came of a shard; it lies in NAME.json, and is there only when the result is whole."""

    result: ShardState
    status: str  # as `ShardJob.status_of` when the work began
    content: str  # as `ShardImages.content`
    done: tuple[str, ...]  # parts of the result, as `ShardJob.parts`


@dataclass(frozen=True)
class ShardJob(ABC):
    """What is done with every shard; it travels to other processes and machines.

    Attributes:
        folder: of the results.
        images: those of all shards.
        strict: whether the first image or shard that cannot be used ends the run.
    """

    folder: Path
    images: Input
    strict: bool

    kind: ClassVar[str]  # of the results, for the manifest
    suffix: ClassVar[str]  # of the file with the result of a shard
    adds: ClassVar[bool] = True  # whether parts are added to a result; else it is made anew

    @abstractmethod
    def parts(self) -> list[str]:
        """Return the parts that a result must have; what else it has stays."""

    @abstractmethod
    def process(self, images: ShardImages, result: Path, known: Report | None) -> tuple[int, list[Skipped]]:
        """Write the result of a shard, or add to it what it lacks.

        Args:
            images: of the shard.
            result: the file.
            known: the report of an earlier run; None where there is no result.

        Returns:
            the number of images that were used, and the others.

        Raises:
            DamagedShardError: none of them can be used.
            ToolkitError: whatever would end the work on every shard, such as a full disk.
        """

    def absolute(self) -> Self:
        """Return the same for processes in other folders."""
        return replace(self, folder=self.folder.absolute(), images=self.images.absolute())

    def images_of(self, shard: Shard) -> ShardImages:
        """Open the images of a shard.

        Raises:
            DamagedShardError: a tar file that cannot be used.
        """
        if shard.source:
            prefix = f"{shard.source}/" if self.images.ids == "path" else None
            return TarImages(self.images.base / shard.source, prefix)
        return ListedImages(self._files_of(shard))

    def status_of(self, shard: Shard) -> str:
        """Return what changes when the images of a shard are written anew; "" where none of them is there."""
        if shard.source:
            return status_of([self.images.base / shard.source])
        return status_of(self._files_of(shard).values())

    def result_of(self, shard: Shard) -> Path:
        """Return the file with the result of a shard."""
        return self.folder / f"{shard.name}{self.suffix}"

    def is_finished(self, shard: Shard, report: Report | None) -> bool:
        """Return whether a shard needs no work: its result has all parts, and its images are as they were, or gone."""
        if report is None or report.result.state != FINISHED or not self.result_of(shard).is_file():
            return False
        return set(self.parts()) <= set(report.done) and self.status_of(shard) in (report.status, "")

    def _files_of(self, shard: Shard) -> dict[str, Path]:
        base = self.images.base
        return {name: base / path for name, path in read_list(self.folder, shard).items()}


def process_shard(shard: Shard, job: ShardJob) -> Report:
    """Do a job for one shard, where it is not done; of two processes with the same shard, one waits for the other.

    Raises:
        DamagedShardError: nothing of the shard can be used, and the job is strict.
        ToolkitError: whatever would end the work on every shard.
    """
    result = job.result_of(shard)
    with _one_at_a_time, only_writer(result, job.folder / f".{shard.name}.shard.lock", wait=True):
        known = read_report(job.folder, shard)
        if known is not None and job.is_finished(shard, known):
            return known
        try:
            status = job.status_of(shard)
            images = job.images_of(shard)
            content = images.content()
            if known is not None and not (job.adds and known.result.state == FINISHED and known.content == content):
                known = None
            if not result.exists():
                known = None
            if known is None:  # what a killed run left without a report may come from other images
                report_path(job.folder, shard).unlink(missing_ok=True)
                result.unlink(missing_ok=True)
            rows, skipped = job.process(images, result, known)
            if shard.source and job.status_of(shard) != status:
                raise DamagedShardError(f"{shard.source}: another program changed it while it was read; run again")
            done = dict.fromkeys([*(known.done if known else ()), *job.parts()])
            left_out = tuple(images.skipped + images.named(skipped))
            state = ShardState(shard.name, shard.source, FINISHED, rows, "", left_out)
            report = Report(state, status, content, tuple(done))
        except DamagedShardError as error:
            if job.strict:
                raise DamagedShardError(f"{error} (strict: the first bad shard ends the run)") from error
            reason = str(error).replace(f"{job.images.base}/", "", 1)
            report = Report(ShardState(shard.name, shard.source, DAMAGED, 0, reason), "", "", ())
        write_report(job.folder, shard, report)
        return report


def report_path(folder: Path, shard: Shard) -> Path:
    """Return the file of the report on a shard."""
    return folder / f"{shard.name}.json"


def write_report(folder: Path, shard: Shard, report: Report) -> None:
    """Write the report on a shard."""
    more = {"status": report.status, "content": report.content, "done": report.done}
    write_json(report_path(folder, shard), {**asdict(report.result), **more})


def read_report(folder: Path, shard: Shard) -> Report | None:
    """Read the report on a shard; None where there is none, or a damaged one."""
    try:
        row: dict[str, Any] = parse_json(report_path(folder, shard).read_text(encoding="utf-8"))
        state = read_state(row)
        if state.name != shard.name or state.source != shard.source:
            return None
        return Report(state, text(row["status"]), text(row["content"]), tuple(map(text, row["done"])))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def list_path(folder: Path, shard: Shard) -> Path:
    """Return the file that lists the images of a shard."""
    return folder / f"{shard.name}.images.json"


def read_list(folder: Path, shard: Shard) -> dict[str, str]:
    """Read {name: path} of the images of a shard that is no tar file.

    Raises:
        DataError: the list is missing or damaged.
    """
    path = list_path(folder, shard)
    files = read_json(path, "list of images", "copy it again, or make the shards anew")
    if not isinstance(files, dict) or not all(isinstance(each, str) for each in files.values()):
        raise DataError(f"{path}: is no list of images; copy it again, or make the shards anew")
    return files


def is_tar(path: Path) -> bool:
    """Return whether a file is a shard by itself."""
    return path.suffix.lower() == TAR
