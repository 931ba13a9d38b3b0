"""VectorStore: encoded images with what is known of them; the same methods and answers on every engine."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np

from vislang.core.errors import ConfigError, DataError, shown

ADDED_TOGETHER = 1000  # records in one transaction; what a killed writer loses at most
READ_TOGETHER = 500  # ids in one query of an engine
READ_IDS = 10_000  # that one query gives
LONGEST_TEXT = 4096  # characters of an id or a caption
_LENGTH_TOLERANCE = 1e-2


class DamagedStoreError(DataError):
    """A store whose files are damaged."""


@dataclass(frozen=True)
class Collection:
    """What the vectors of a store have in common."""

    fingerprint: str  # of the ranker that made them
    width: int


@dataclass(frozen=True)
class Record:
    """What a store holds of an image beside its vector.

    Attributes:
        id: the absolute path of its file, or any other text that names it.
        size: bytes of the file; this and the next three show whether it has changed.
        mtime_ns: its time of modification.
        ctime_ns: the time of its last change of status.
        sha256: its digest, in hexadecimal digits; "" unknown.
        taken: when the photograph was taken, as "2024-05-01T12:30:00"; "" unknown.
        caption: a text about it; "" none.
    """

    id: str
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    sha256: str = ""
    taken: str = ""
    caption: str = ""

    @property
    def words(self) -> str:
        """The words of the caption, each between spaces, for filters."""
        return spaced_words(self.caption)


@dataclass(frozen=True)
class Hit:
    """An image that a search found, and its cosine with the query."""

    record: Record
    score: float


@dataclass(frozen=True)
class Condition:
    """One test of a filter: a column of the store, ">=", "<" or "contains", and a text."""

    column: str
    operator: str
    value: str


@dataclass(frozen=True)
class Filter:
    """Which images count; those that pass all of its tests.

    Attributes:
        folder: those whose file lies in this folder or below it; None: any.
        taken_from: those taken on this day or later; None: any, also of unknown date.
        taken_to: those taken on this day or before.
        words: those whose caption holds all of these words.

    Raises:
        ConfigError: a day that is no `datetime.date`.
    """

    folder: str | Path | None = None
    taken_from: date | None = None
    taken_to: date | None = None
    words: str = ""

    def __post_init__(self) -> None:
        for day in (self.taken_from, self.taken_to):
            if day is not None and not isinstance(day, date):
                raise ConfigError(f"a filter got {shown(day)}, expected a day such as datetime.date(2024, 6, 1)")

    def conditions(self) -> list[Condition]:
        """Return its tests, which every engine translates with the texts as parameters."""
        found = []
        if self.folder is not None:
            folder = stored_text(str(Path(self.folder).resolve())).rstrip("/")
            # "0" is the character after "/": ids in this range begin with the folder.
            found += [Condition("id", ">=", f"{folder}/"), Condition("id", "<", f"{folder}0")]
        if self.taken_from is not None or self.taken_to is not None:
            first = self.taken_from.isoformat() if self.taken_from else "0"  # after "", an unknown date
            found.append(Condition("taken", ">=", first))
        if self.taken_to is not None and self.taken_to < date.max:
            found.append(Condition("taken", "<", (self.taken_to + timedelta(days=1)).isoformat()))
        found += [Condition("words", "contains", f" {word} ") for word in spaced_words(self.words).split()]
        return found

    def sql(self, operators: Mapping[str, str]) -> tuple[str, list[str]]:
        """Return its tests as one condition of SQL, and the parameters.

        Args:
            operators: {operator of a `Condition`: its SQL, with "{}" for the column}.
        """
        conditions = self.conditions()
        tests = [operators[test.operator].format(test.column) for test in conditions]
        return " AND ".join(["true", *tests]), [test.value for test in conditions]


COLUMNS = tuple(field.name for field in fields(Record))  # of Record, in its order; stores hold `words` as well
EVERYTHING = Filter()


class VectorStore(ABC):
    """Images of one collection, by their ids. What `add` and `delete` have returned from outlives a killed process.

    Several processes may read and write one store at the same time.

    Attributes:
        url: what names it.
        collection: what its vectors have in common.
        exact_below: number of vectors from which engines with an approximate index build it.
    """

    url: str
    collection: Collection
    exact_below = 200_000  # up to there exact search takes some 100 ms at most, and loses no neighbour

    def add(self, records: Sequence[Record], vectors: np.ndarray) -> None:
        """Store images; those whose ids it holds are replaced.

        Args:
            records: N images.
            vectors: float32 [N, D], of length 1.

        Raises:
            DataError: another width or length, NaN, an id twice, texts that cannot be stored, or a store that cannot be
                written.
        """
        vectors = np.ascontiguousarray(vectors, np.float32)
        if vectors.shape != (len(records), self.collection.width):
            raise DataError(
                f"{self.url}: got vectors {list(vectors.shape)}, expected {[len(records), self.collection.width]}"
            )
        if not np.isfinite(vectors).all():
            raise DataError(f"{self.url}: got a vector with NaN or infinity, expected numbers")
        lengths = np.linalg.norm(vectors, axis=1)
        if len(lengths) and np.abs(lengths - 1).max() > _LENGTH_TOLERANCE:
            raise DataError(f"{self.url}: got vectors of lengths {lengths.min():g} to {lengths.max():g}, expected 1")
        if len({record.id for record in records}) < len(records):
            raise DataError(f"{self.url}: an id comes twice, expected one vector for each image")
        for record in records:
            for text in (record.id, record.caption):
                if "\0" in text or len(text) > LONGEST_TEXT or not _is_utf8(text):
                    raise DataError(f"{self.url}: cannot store {shown(text)}, expected up to {LONGEST_TEXT} characters")
        for start in range(0, len(records), ADDED_TOGETHER):
            some = slice(start, start + ADDED_TOGETHER)
            self._add(records[some], vectors[some])

    def search(self, queries: np.ndarray, top: int, *, where: Filter = EVERYTHING, offset: int = 0) -> list[list[Hit]]:
        """Find the images nearest to each of Q queries, the best first.

        Args:
            queries: float32 [Q, D], of length 1.
            top: hits of each query.
            where: which images count.
            offset: leave out so many of the best, for the next page.

        Raises:
            ConfigError: `top` below 1 or `offset` below 0.
            DataError: queries of another width, or a damaged store.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.collection.width:
            raise DataError(f"{self.url}: got queries {list(queries.shape)}, expected [Q, {self.collection.width}]")
        if top < 1 or offset < 0:
            raise ConfigError(f"got top {top} and offset {offset}, expected 1 or more and 0 or more")
        return self._search(queries, top, where, offset)

    @abstractmethod
    def _add(self, records: Sequence[Record], vectors: np.ndarray) -> None:
        """Store at most ADDED_TOGETHER checked images, all of them or none."""

    @abstractmethod
    def _search(self, queries: np.ndarray, top: int, where: Filter, offset: int) -> list[list[Hit]]:
        """Search by checked queries."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None:
        """Remove images; ids that it does not hold are passed over."""

    @abstractmethod
    def records(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return {id: record} of those of the ids that it holds."""

    @abstractmethod
    def vectors(self, ids: Sequence[str]) -> np.ndarray:
        """Return the vectors of ids, float32 [N, D].

        Raises:
            DataError: an id that it does not hold, or a damaged vector.
        """

    @abstractmethod
    def ids(self, where: Filter = EVERYTHING) -> Iterator[str]:
        """Yield the ids of its images without holding all of them in memory."""

    @abstractmethod
    def count(self, where: Filter = EVERYTHING) -> int:
        """Return the number of its images."""

    @abstractmethod
    def compact(self) -> None:
        """Free the space of what was replaced and deleted, and build or update the engine's indexes."""

    @abstractmethod
    def close(self) -> None:
        """Close files and connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, held: Collection) -> None:
        """Refuse a store whose vectors are of another ranker.

        Raises:
            DataError: it holds another collection.
        """
        if held != self.collection:
            raise DataError(
                f"{self.url} holds vectors of ranker {held.fingerprint[:12]} ({held.width} wide), got ranker"
                f" {self.collection.fingerprint[:12]} ({self.collection.width} wide); name that ranker by --model, or"
                " another store"
            )

    def _absent(self) -> DataError:
        return DataError(f"{self.url} holds no index; make it by: vislang index FOLDER --store {self.url}")

    def _missing(self, ids: Sequence[str]) -> DataError:
        return DataError(f"{self.url}: holds no image {shown(ids[0])}; index it first")


def row_values(record: Record) -> tuple[Any, ...]:
    """Return the values of COLUMNS and of `words`."""
    return (*astuple(record), record.words)


def row_dict(record: Record) -> dict[str, Any]:
    """Return {column: value} of COLUMNS and of `words`."""
    return {**asdict(record), "words": record.words}


def pieces(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ids into lists that fit one query."""
    for start in range(0, len(ids), READ_TOGETHER):
        yield ids[start : start + READ_TOGETHER]


def in_pages(following: Callable[[str], list[str]]) -> Iterator[str]:
    """Yield sorted ids page by page.

    Args:
        following: returns the next ids after one, none at the end.
    """
    last = ""
    while found := following(last):
        yield from found
        last = found[-1]


def spaced_words(text: str) -> str:
    """Return the words of a text in lower case, each between spaces; "" for none."""
    words = re.findall(r"\w+", text.casefold())
    if not words:
        return ""
    return f" {' '.join(words)} "


def without_password(url: str) -> str:
    """Return the address of a store as messages show it."""
    # Up to the last "@": a password with an unescaped one is hidden whole.
    url = re.sub(r"^(\w+://[^:@/?]*):.*@", r"\1@", url, flags=re.DOTALL)
    return re.sub(r"(?<=[?&])(ssl)?password=[^&]*&?", "", url).rstrip("?&")


def without_secrets(message: str, url: str) -> str:
    """Return a message of an engine without the password of the address that it was given, and without its parts."""
    passwords = re.findall(r"^\w+://[^:@/?]*:(.*)@|[?&](?:ssl)?password=([^&]*)", url, flags=re.DOTALL)
    for password in map("".join, passwords):
        # An engine takes what follows a special letter in it for a host or a port, and names that.
        for part in (password, *re.split("[:@/?]", password)):
            if len(part) > 2:
                message = message.replace(part, "***")
    return message


def stored_text(path: str) -> str:
    """Return a path as text that every engine stores: bytes that are not UTF-8 become private characters."""
    return path.translate(_TO_PRIVATE)


def path_of_stored(text: str) -> str:
    """Return the path that `stored_text` was given."""
    return text.translate(_FROM_PRIVATE)


_TO_PRIVATE = {0xDC80 + byte: 0x10FF00 + byte for byte in range(128)}  # Python's surrogates for such bytes
_FROM_PRIVATE = {private: surrogate for surrogate, private in _TO_PRIVATE.items()}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
