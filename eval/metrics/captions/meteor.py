"""METEOR 1.5 from pycocoevalcap's jar, in one Java process.

Reading all paraphrases takes Java some seconds; with an index of them
(`eval.metrics.captions.meteor_paraphrases.make_index`) it reads only what it needs.
"""

import contextlib
import queue
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from eval.metrics.captions.java import find_java, jar_file, java_messages, start_java, stop_java
from eval.metrics.captions.meteor_formula import STATISTICS, clear_whole_matches
from eval.metrics.captions.meteor_paraphrases import ParaphraseIndex, load_index, plain_words
from eval.metrics.captions.ngrams import require_pairs
from eval.metrics.captions.ptb_tokenizer import one_line
from vislang.core.errors import EvalError

Floats = NDArray[np.float64]

TIMEOUT = 300.0  # seconds without an answer; loading takes about 5 on an idle machine
_JAR = "meteor/meteor-1.5.jar"
_SEPARATOR = re.compile(r"\|{3,}")


@dataclass(frozen=True)
class MeteorScores:
    """METEOR of a set, 0..1, higher is better."""

    corpus: float  # of all candidates together, from the sum of their statistics; not the mean over images
    per_image: Floats  # float64 [N]
    statistics: Floats  # float64 [N, 23], which add up over images, as `meteor_from_statistics` reads them


class Meteor:
    """A running METEOR, to be used as a context manager.

    Without an index of paraphrases Java starts at once with the whole table. With one it starts when the first captions
    come, with the part that their words need, and again when later captions bring other words.
    """

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        """Prepare to start METEOR; `timeout` is the longest wait for one answer, in seconds."""
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._messages: IO[bytes] | None = None
        self._index: ParaphraseIndex | None = None
        self._known: set[str] = set()
        self._open = False
        self._reason = ""  # why it failed
        self._lock = threading.Lock()  # one request at a time

    def __enter__(self) -> "Meteor":
        """Start Java, or prepare to start it.

        Raises:
            EvalError: no Java, no jar, or it does not start.
        """
        find_java()
        jar_file(_JAR)
        self._index = load_index()
        self._known = set()
        self._open = True
        self._reason = ""
        if self._index is None:
            self._start(jar_file("meteor/data/paraphrase-en.gz"))
        return self

    def __exit__(self, *error: object) -> None:
        """Kill Java and its children."""
        self.close()

    def close(self) -> None:
        """Kill Java and its children, if it runs."""
        self._open = False
        self._stop()

    def prepare(self, captions: Iterable[str]) -> None:
        """Load the paraphrases of tokenized captions, so that sets that are scored one by one need one start of Java.

        Raises:
            EvalError: METEOR is closed, or Java failed.
        """
        with self._lock:
            self._load(list(map(_clean, captions)))

    def score(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> MeteorScores:
        """Score N tokenized captions against the tokenized references of each, one or more; an empty caption scores 0.

        Raises:
            EvalError: captions that do not fit together, or Java failed, timed out, or did not answer with numbers.
        """
        require_pairs(candidates, references)
        questions = list(map(_question, candidates, references))
        distinct = list(dict.fromkeys(questions))
        with self._lock:
            self._load(questions)
            answers = dict(zip(distinct, self._ask(distinct, len(distinct)), strict=True))
            lines = [answers[question] for question in questions]
            statistics = np.array([self._numbers(line, STATISTICS) for line in lines])
            totals = self._ask([" ||| ".join(["EVAL", *lines])], len(lines) + 1)
            values = [self._numbers(line, 1)[0] for line in totals]
        return MeteorScores(values[-1], np.array(values[:-1]), clear_whole_matches(statistics))

    def _load(self, captions: list[str]) -> None:
        """Start Java with the paraphrases that these captions need, unless it has them."""
        if not self._open:
            raise EvalError(self._reason or "METEOR is not running; use it inside: with Meteor() as meteor: ...")
        if self._index is None:
            return
        words = plain_words(captions)
        if self._process is not None and words <= self._known:
            return
        self._known |= words
        self._stop()
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "paraphrase.gz"
            try:
                table.write_bytes(self._index.table_for(self._known))
            except OSError as error:
                raise EvalError(
                    f"cannot write {table}: {error.strerror or error}; free some space there, or set $TMPDIR"
                ) from error
            self._start(table)
            self._ask([_question("a", ["a"])], 1)  # once it answers it has read the table, which is deleted now

    def _start(self, table: Path) -> None:
        heap = "-Xms256m"
        if self._index is None:
            heap = "-Xms1g"  # the whole table fills half of it: no garbage collection while it grows
        jar = str(jar_file(_JAR))
        arguments = [heap, "-Xmx2g", "-jar", jar, "-", "-", "-stdio", "-l", "en", "-norm", "-a", str(table)]
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _stop
        self._process = start_java(arguments, self._messages.fileno())
        self._lines = queue.SimpleQueue()
        threading.Thread(target=_forward, args=(self._process.stdout, self._lines), daemon=True).start()

    def _stop(self) -> None:
        if self._process is not None:
            stop_java(self._process)
            self._process = None
        if self._messages is not None:
            self._messages.close()
            self._messages = None

    def _ask(self, lines: list[str], num_answers: int) -> list[str]:
        """Send lines without waiting for each answer, and collect the answers in order."""
        process = self._process
        if process is None:
            raise EvalError(self._reason or "METEOR was closed before it had answered; keep it open until then")
        content = "\n".join([*lines, ""]).encode()
        writer = threading.Thread(target=_write, args=(process.stdin, content), daemon=True)
        writer.start()  # Java stops reading while its answers wait, so write and read at the same time
        answers = [self._answer() for _ in range(num_answers)]
        writer.join()
        return answers

    def _answer(self) -> str:
        try:
            line = self._lines.get(timeout=self._timeout)
        except queue.Empty:
            raise self._failure(f"did not answer within {self._timeout:g} s") from None
        if line is None:
            raise self._failure("ended before it answered")
        return line.decode("utf-8", "replace").strip()

    def _numbers(self, line: str, expected: int) -> list[float]:
        try:
            values = list(map(float, line.split()))
        except ValueError:
            values = []
        if len(values) != expected or not np.isfinite(values).all():
            raise self._failure(f"answered {line[:200]!r}, expected {expected} number(s)")
        return values

    def _failure(self, what: str) -> EvalError:
        """Stop Java, whose next answers would be those of earlier requests, and return the error with its messages."""
        messages = b""
        if self._messages is not None:
            with contextlib.suppress(OSError):
                self._messages.seek(0)
                messages = self._messages.read()
        ended = ""
        if self._process is not None and self._process.poll() is not None:
            ended = f" (exit code {self._process.poll()})"
        self.close()
        self._reason = (
            f"METEOR {what}{ended}; Java says: {java_messages(messages)}; "
            "expected 2 GB of free memory and a working Java, or leave METEOR out of the metrics"
        )
        return EvalError(self._reason)


def _question(candidate: str, references: Sequence[str]) -> str:
    # Each caption is between blanks: Java drops an empty last field, and the last reference would be scored.
    return f"SCORE ||| {' ||| '.join(map(_clean, (*references, candidate)))} "


def _clean(caption: str) -> str:
    return _SEPARATOR.sub(" ", one_line(caption))


def _forward(stream: IO[bytes], lines: "queue.SimpleQueue[bytes | None]") -> None:
    with contextlib.suppress(OSError, ValueError):  # closed while it is read: the run is over
        for line in stream:
            lines.put(line)
    lines.put(None)


def _write(stream: IO[bytes], content: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # Java has ended; the reader reports it
        stream.write(content)
        stream.flush()
