"""Working on all shards of some images, here, in several processes or on Apache Beam, and their manifest."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from vislang.core.errors import ConfigError, DataError
from vislang.core.files import only_writer, require_writable_folder
from vislang.features.cache.manifest import (
    DAMAGED,
    FINISHED,
    MANIFEST,
    Manifest,
    ShardState,
    read_manifest,
    write_manifest,
)
from vislang.features.shards.beam import load_beam, run_beam
from vislang.features.shards.job import Report, Shard, ShardJob, process_shard, read_report
from vislang.features.shards.plan import plan_shards
from vislang.features.shards.processes import run_processes
from vislang.images.sources import Skipped

MANIFEST_SECONDS = 10.0  # between two manifests during a run; a killed run loses nothing by it


@dataclass(frozen=True)
class Engine:
    """What works on shards.

    Attributes:
        jobs: processes of this machine.
        beam: options of Apache Beam; None: without it.
    """

    jobs: int = 1
    beam: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ShardRun:
    """What a run did.

    Attributes:
        manifest: as it was written.
        worked_on: number of shards that were not finished before.
        skipped: images that are in no shard.
    """

    manifest: Manifest
    worked_on: int
    skipped: list[Skipped]


def run_shards(job: ShardJob, engine: Engine, *, progress: bool) -> ShardRun:
    """Do a job for every shard that is not finished; a run that was killed goes on.

    Args:
        job: its folder is made where it is not there; images that earlier runs did not see become new shards.
        engine: what works.
        progress: draw a progress bar on stderr.

    Raises:
        DataError: no image, another process works into the folder, it holds something else, or no shard can be used.
        ToolkitError: whatever would end the work on every shard.
    """
    if engine.jobs < 1:
        raise ConfigError(f"--jobs got {engine.jobs}, expected 1 or more")
    if engine.beam is not None:
        load_beam()  # before anything is written
    job = job.absolute()
    folder = require_writable_folder(job.folder)
    with only_writer(folder, folder / ".shards.lock"):
        known = _known_shards(job)
        shards, skipped = plan_shards(folder, job.images, known)
        states = {shard.name: ShardState(shard.name, shard.source) for shard in shards}
        left = []
        for shard in shards:
            report = read_report(folder, shard)
            if report is not None:
                states[shard.name] = report.result
            if not job.is_finished(shard, report):
                left.append(shard)
        book = _Book(job, states)
        book.write()
        try:
            with tqdm(total=len(shards), initial=len(shards) - len(left), unit="shard", disable=not progress) as bar:
                for shard, report in _worked_on(job, left, engine):
                    book.enter(shard, report)
                    bar.update()
        finally:
            manifest = book.write()
    if not manifest.of_state(FINISHED):
        first = manifest.of_state(DAMAGED)[0]
        raise DataError(f"none of {len(shards)} shards could be used; the first: {first.reason}")
    return ShardRun(manifest, len(left), skipped)


class _Book:
    """The states of shards, written as a manifest now and then."""

    def __init__(self, job: ShardJob, states: dict[str, ShardState]):
        self._job = job
        self._states = states
        self._written = 0.0

    def enter(self, shard: Shard, report: Report) -> None:
        self._states[shard.name] = report.result
        if time.monotonic() - self._written > MANIFEST_SECONDS:
            self.write()

    def write(self) -> Manifest:
        manifest = Manifest(self._job.kind, self._job.images.ids, tuple(self._states.values()))
        write_manifest(self._job.folder, manifest)
        self._written = time.monotonic()
        return manifest


def _known_shards(job: ShardJob) -> list[Shard]:
    """Return the shards of earlier runs into a folder.

    Raises:
        DataError: the folder holds results of another kind, or images with names of another kind.
    """
    if not (job.folder / MANIFEST).exists():
        return []
    manifest = read_manifest(job.folder)
    if manifest.kind != job.kind:
        raise DataError(f"{job.folder}: holds shards of {manifest.kind}, not of {job.kind}; name another folder")
    if manifest.ids != job.images.ids:
        raise DataError(
            f"{job.folder}: names images by --ids {manifest.ids}, not {job.images.ids}; run again with that, or name"
            " another folder"
        )
    return [Shard(state.name, state.source) for state in manifest.shards]


def _worked_on(job: ShardJob, shards: Sequence[Shard], engine: Engine) -> Iterator[tuple[Shard, Report]]:
    """Yield shards as they are done, with their reports."""
    if not shards:
        return
    if engine.beam is not None:
        run_beam(job, shards, engine.beam)
        for shard in shards:
            yield shard, _report_of(job, shard)
    elif engine.jobs > 1:
        yield from run_processes(job, shards, engine.jobs)
    else:
        for shard in shards:
            yield shard, process_shard(shard, job)


def _report_of(job: ShardJob, shard: Shard) -> Report:
    report = read_report(job.folder, shard)
    if report is None:
        raise DataError(
            f"{job.folder}: shard {shard.name} has no report; let all machines see this folder under the same path"
        )
    return report
