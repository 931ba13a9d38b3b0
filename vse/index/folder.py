"""FolderStore: exact search in a folder of two files, without a server and without a package beside Python's own.

`images.sqlite` holds the records, each with the number of its row in `vectors-N.f32`. Vectors are only appended: they
are on disk before the transaction that names them, so that a killed writer leaves at most a tail that the next one
writes over. Replaced and deleted rows stay as holes until `compact` writes the next file.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vislang.core.errors import DataError, brief
from vse.index.folder_tables import (
    OPERATORS,
    RECORD,
    TABLES,
    State,
    checked_rows,
    read_state,
    record_of,
    records_of_rows,
    remove_records,
    searched_rows,
)
from vse.index.store import (
    EVERYTHING,
    READ_IDS,
    Collection,
    DamagedStoreError,
    Filter,
    Hit,
    Record,
    VectorStore,
    in_pages,
    pieces,
    row_values,
)
from vse.nearest import nearest

DATABASE = "images.sqlite"
WAIT = 60  # seconds for another writer
_FORMAT = 1
_VECTOR = np.dtype("<f4")
_MOST_HOLES = 0.25  # of the rows, from which compact writes the vectors anew
_COPIED = 4096  # rows at once
_CHECKED = 10_000  # rows at once


class FolderStore(VectorStore):
    """A store in a folder.

    Args:
        folder: of its two files.
        collection: of its vectors.
        create: make an empty one where nothing is.

    Raises:
        DamagedStoreError: its files are damaged.
        DataError: the folder holds another collection or something else, or cannot be written.
    """

    def __init__(self, folder: str | Path, collection: Collection, *, create: bool = True):
        self.url = str(folder)
        self.collection = collection
        self._folder = Path(folder)
        self._mapped: tuple[State, np.ndarray] | None = None
        self._checked = State(0, 0)  # the rows whose checksums were compared
        path = self._folder / DATABASE
        if not path.is_file() or not path.stat().st_size:  # empty where a process was killed that made it
            if not create:
                raise self._absent()
            self._create()
        with self._transaction() as database:
            tables = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
            if tables != set(TABLES):
                raise DamagedStoreError(f"{self.url}: {DATABASE} has other tables than an index; {self._next_step}")
            ((form, fingerprint, width),) = database.execute("SELECT format, fingerprint, width FROM collection")
            if form != _FORMAT:
                raise DataError(f"{self.url}: an index of format {form}, expected {_FORMAT}; update vislang-toolkit")
        self._check(Collection(fingerprint, width))

    def _create(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            others = sorted({entry.name for entry in self._folder.iterdir()} - {DATABASE, f"{DATABASE}-journal"})
        except OSError as error:
            raise DataError(f"cannot write {self.url}: {error.strerror or error}; choose another folder") from error
        if others:
            raise DataError(
                f"{self.url} holds {others[0]}, expected an index or an empty folder; choose another folder"
            )
        with self._transaction(writing=True) as database:
            if not database.execute("SELECT 1 FROM sqlite_master").fetchone():  # else another process was faster
                for table in TABLES:
                    database.execute(table)
                values = (_FORMAT, self.collection.fingerprint, self.collection.width)
                database.execute("INSERT INTO collection VALUES (?, ?, ?, 1, 0)", values)

    def _add(self, records: Sequence[Record], vectors: np.ndarray) -> None:
        with self._transaction(writing=True) as database:
            state = read_state(database)
            with self._opened(state.file, os.O_RDWR | os.O_CREAT) as descriptor:
                _write(descriptor, vectors.astype(_VECTOR, copy=False), state.rows * self._row_bytes)
                os.fdatasync(descriptor)
            remove_records(database, [record.id for record in records])
            rows = []
            for row, (record, vector) in enumerate(zip(records, vectors, strict=True), state.rows):
                rows.append((row, _checksum(vector, record.id), *row_values(record)))
            places = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO images VALUES ({places})", rows)
            database.execute("UPDATE collection SET rows = ?", (state.rows + len(rows),))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove images; ids that it does not hold are passed over."""
        with self._transaction(writing=True) as database:
            remove_records(database, ids)

    def records(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return {id: record} of those of the ids that it holds."""
        found = {}
        with self._transaction() as database:
            for some in pieces(ids):
                query = f"SELECT {RECORD} FROM images WHERE id IN ({', '.join('?' * len(some))})"
                for values in database.execute(query, some):
                    found[values[0]] = record_of(values)
        return found

    def vectors(self, ids: Sequence[str]) -> np.ndarray:
        """Return the vectors of ids, float32 [N, D]; see `VectorStore`."""
        found = {}
        vectors = np.zeros((len(ids), self.collection.width), np.float32)
        with self._transaction() as database:
            mapped = self._vectors(read_state(database))
            for some in pieces(ids):
                query = f"SELECT id, row, checksum FROM images WHERE id IN ({', '.join('?' * len(some))})"
                found.update({name: (row, checksum) for name, row, checksum in database.execute(query, some)})
        absent = [name for name in ids if name not in found]
        if absent:
            raise self._missing(absent)
        for number, name in enumerate(ids):
            row, checksum = found[name]
            vectors[number] = self._checked_vector(mapped, row, name, checksum)
        return vectors

    def ids(self, where: Filter = EVERYTHING) -> Iterator[str]:
        """Yield the ids of its images, sorted."""
        condition, values = where.sql(OPERATORS)
        query = f"SELECT id FROM images WHERE {condition} AND id > ? ORDER BY id LIMIT {READ_IDS}"

        def following(last: str) -> list[str]:
            with self._transaction() as database:
                return [name for (name,) in database.execute(query, (*values, last))]

        return in_pages(following)

    def count(self, where: Filter = EVERYTHING) -> int:
        """Return the number of its images."""
        condition, values = where.sql(OPERATORS)
        with self._transaction() as database:
            return database.execute(f"SELECT count(*) FROM images WHERE {condition}", values).fetchone()[0]

    def _search(self, queries: np.ndarray, top: int, where: Filter, offset: int) -> list[list[Hit]]:
        while True:
            with self._transaction() as database:
                state = read_state(database)
                vectors = self._vectors(state)
                rows = searched_rows(database, state, where)
            self._check_rows(state, vectors)
            # No transaction is open meanwhile: it would keep writers waiting.
            indices, scores = nearest(queries, vectors, top + offset, rows=rows)
            indices, scores = indices[:, offset:], scores[:, offset:]
            with self._transaction() as database:
                if read_state(database).file == state.file:  # else compact gave the rows other numbers
                    records = records_of_rows(database, np.unique(indices).tolist())
                    break
        found = []
        for of_query, values in zip(indices.tolist(), scores.tolist(), strict=True):
            pairs = zip(of_query, values, strict=True)
            found.append([Hit(records[row], score) for row, score in pairs if row in records])  # else deleted meanwhile
        return found

    def compact(self) -> None:
        """Write the vectors without their holes, where a quarter of the rows are holes."""
        with self._transaction(writing=True) as database:
            state = read_state(database)
            (holes,) = database.execute("SELECT count(*) FROM holes").fetchone()
            if holes and holes >= _MOST_HOLES * state.rows:
                self._close_holes(database, state)
        with self._transaction(writing=True) as database:
            kept = self._path(read_state(database).file)
            for path in self._folder.glob("vectors-*.f32"):
                if path != kept:
                    path.unlink(missing_ok=True)

    def _close_holes(self, database: sqlite3.Connection, state: State) -> None:
        old = self._vectors(state)
        rows = checked_rows(database.execute("SELECT row FROM images ORDER BY row"), state)
        self._path(state.file + 1).unlink(missing_ok=True)  # what a killed process left
        with self._opened(state.file + 1, os.O_RDWR | os.O_CREAT | os.O_EXCL) as descriptor:
            for start in range(0, len(rows), _COPIED):
                _write(descriptor, old[rows[start : start + _COPIED]], start * self._row_bytes)
            os.fdatasync(descriptor)
        # In ascending order no new number is one that is still in use.
        database.executemany("UPDATE images SET row = ? WHERE row = ?", enumerate(rows.tolist()))
        database.execute("DELETE FROM holes")
        database.execute("UPDATE collection SET file = ?, rows = ?", (state.file + 1, len(rows)))

    def close(self) -> None:
        """Unmap the vectors; nothing else stays open between calls."""
        self._mapped = None

    @property
    def _row_bytes(self) -> int:
        return self.collection.width * _VECTOR.itemsize

    @property
    def _next_step(self) -> str:
        return f"delete {self.url} and index the images again"

    def _path(self, file: int) -> Path:
        return self._folder / f"vectors-{file}.f32"

    @contextlib.contextmanager
    def _transaction(self, *, writing: bool = False) -> Iterator[sqlite3.Connection]:
        """Open the database for one transaction; of two writers, one waits for the other."""
        path = self._folder / DATABASE
        verb = "write" if writing else "read"
        try:
            database = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error, verb) from error
        try:
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
            yield database
            database.execute("COMMIT")
        except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
            raise self._unusable(error, verb) from error
        finally:
            database.close()  # what was not committed is undone

    def _unusable(self, error: Exception, verb: str) -> DataError:
        next_step = "free space or choose another folder" if verb == "write" else "check the folder and its permissions"
        if isinstance(error, OSError):
            return DataError(f"cannot {verb} {self.url}: {error.strerror or error}; {next_step}")
        if not isinstance(error, sqlite3.OperationalError):
            return DamagedStoreError(f"{self.url}: damaged index ({brief(error)}); {self._next_step}")
        if "locked" in str(error):
            return DataError(f"{self.url}: another process has been writing it for {WAIT} s; run the command again")
        return DataError(f"cannot {verb} {self.url}: {brief(error)}; {next_step}")

    @contextlib.contextmanager
    def _opened(self, file: int, flags: int) -> Iterator[int]:
        descriptor = os.open(self._path(file), flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _vectors(self, state: State) -> np.ndarray:
        """Return the vectors of a state, float32 [rows, D], mapped from their file.

        Raises:
            DamagedStoreError: the file is absent or cut; reading behind its end would end the process.
        """
        if not state.rows:
            return np.zeros((0, self.collection.width), np.float32)
        path = self._path(state.file)
        needed = state.rows * self._row_bytes
        if not path.is_file() or path.stat().st_size < needed:
            raise DamagedStoreError(f"{path} is absent or shorter than {needed} bytes; {self._next_step}")
        if self._mapped is None or self._mapped[0] != state:
            shape = (state.rows, self.collection.width)
            self._mapped = state, np.memmap(path, _VECTOR, "r", shape=shape).view(np.ndarray)
        return self._mapped[1]

    def _check_rows(self, state: State, vectors: np.ndarray) -> None:
        """Compare the checksums of rows that this object has not read before.

        Raises:
            DamagedStoreError: one differs.
        """
        if self._checked.file != state.file:
            self._checked = State(state.file, 0)
        first = self._checked.rows
        while first < state.rows:
            last = min(first + _CHECKED, state.rows)
            query = "SELECT row, id, checksum FROM images WHERE row >= ? AND row < ?"
            with self._transaction() as database:
                if read_state(database).file != state.file:
                    return
                stored = database.execute(query, (first, last)).fetchall()
            for row, name, checksum in stored:
                self._checked_vector(vectors, row, name, checksum)
            first = last
        self._checked = state

    def _checked_vector(self, vectors: np.ndarray, row: int, name: str, checksum: int) -> np.ndarray:
        if not isinstance(name, str) or not 0 <= row < len(vectors) or _checksum(vectors[row], name) != checksum:
            raise DamagedStoreError(f"{self.url}: the vector of {name!r} is damaged; {self._next_step}")
        return vectors[row]


def _checksum(vector: np.ndarray, name: str) -> int:
    """Return the CRC-32 of a vector and of its image's id, so that no vector passes for that of another image."""
    return zlib.crc32(vector.data, zlib.crc32(name.encode()))


def _write(descriptor: int, vectors: np.ndarray, offset: int) -> None:
    """Write all of the vectors at a place of a file."""
    content = np.ascontiguousarray(vectors).data.cast("B")
    while content:
        written = os.pwrite(descriptor, content, offset)
        content = content[written:]
        offset += written


def remove_files(folder: Path) -> None:
    """Remove the files of an index, so that it can be made anew."""
    for path in [*folder.glob(f"{DATABASE}*"), *folder.glob("vectors-*.f32")]:
        path.unlink(missing_ok=True)
