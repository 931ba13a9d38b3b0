"""Shards in several processes of one machine, each of which loads its networks once."""

import contextlib
import itertools
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection

from tqdm import tqdm

from vislang.core.errors import DataError, ToolkitError
from vislang.core.quiet_backend import speed_up_import
from vislang.core.threads import share_of_threads
from vislang.features.shards.job import Report, Shard, ShardJob, process_shard


def run_processes(job: ShardJob, shards: Sequence[Shard], count: int) -> Iterator[tuple[Shard, Report]]:
    """Work on shards in `count` processes, and yield each as it is done.

    However it ends, no process is left. Without its parent, a process ends at once.

    Raises:
        ToolkitError: as `process_shard`, or a process was killed.
    """
    waiting = iter(shards)
    workers: list[_Worker] = []
    busy = {}
    try:
        for shard in itertools.islice(waiting, count):
            workers.append(_Worker(job, count))
            busy[workers[-1].pipe] = workers[-1], shard
        for worker, shard in busy.values():
            worker.give(shard)
        while busy:
            for pipe in connection.wait(list(busy)):
                worker, shard = busy.pop(pipe)  # type: ignore[call-overload]
                yield shard, worker.answer()
                following = next(waiting, None)
                if following is not None:
                    busy[worker.pipe] = worker, following
                    worker.give(following)
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()


class _Worker:
    """A process that waits for shards."""

    def __init__(self, job: ShardJob, count: int):
        context = get_context("spawn")  # a forked TensorFlow hangs
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, job), daemon=True)
        with _environment(share_of_threads(count)), _interrupts_ignored():
            self.process.start()
        other.close()

    def give(self, shard: Shard) -> None:
        """Let the process work on a shard."""
        try:
            self.pipe.send(shard)
        except OSError as error:
            raise self._ended() from error

    def answer(self) -> Report:
        """Return what came of a shard."""
        try:
            found = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if isinstance(found, BaseException):
            raise found
        return found

    def _ended(self) -> DataError:
        self.process.join()
        code = self.process.exitcode
        return DataError(
            f"a working process ended with {code}, as when memory is short; run again to go on, with fewer --jobs"
        )


def _work(pipe: Connection, job: ShardJob) -> None:
    """Work on the shards that come through a pipe; answer each with its report, or with an error."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    speed_up_import()
    tqdm.set_lock(threading.RLock())  # its own is shared between processes, and left behind when one is killed
    while True:
        try:
            shard = pipe.recv()
        except EOFError:
            return
        answer: Report | BaseException
        try:
            answer = process_shard(shard, job)
        except (ToolkitError, MemoryError) as error:
            answer = error
        except Exception as error:  # the parent cannot show where it was raised
            traceback.print_exc()
            answer = RuntimeError(f"shard {shard.name}: {error!r}")
        pipe.send(answer)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, which a process that is started meanwhile inherits."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let a process that is started meanwhile ignore ctrl-C, on which its parent ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
