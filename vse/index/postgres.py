"""PostgresStore: PostgreSQL with pgvector; exact search, and an HNSW index where it is large."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vislang.core.errors import DataError, brief
from vse.index.store import (
    COLUMNS,
    EVERYTHING,
    READ_IDS,
    Collection,
    Filter,
    Hit,
    Record,
    VectorStore,
    in_pages,
    row_values,
    without_password,
    without_secrets,
)

_CONNECTING = 15  # seconds to try again: a server that was killed first refuses
_LOCK = 0x7669736C616E67  # of those who create the tables
_WIDEST_INDEX = 2000  # dimensions, pgvector's limit
_WIDEST_INLINE = 1900  # that fit a page of 8 KB; pgvector moves wider ones out of the row, which makes scans slow
_CANDIDATES = 100  # of a search in the index; pgvector allows 1000
_MOST_CANDIDATES = 1000
_NAMES = (*COLUMNS, "words")
_OPERATORS = {">=": "{} >= %s", "<": "{} < %s", "contains": "position(%s in {}) > 0"}


class PostgresStore(VectorStore):
    """Two tables of a PostgreSQL database, `vislang_collection` and `vislang_images`.

    Args:
        url: `postgresql://USER:PASSWORD@HOST/DATABASE`.
        collection: of its vectors.
        create: make them where they are absent.

    Raises:
        ConfigError: psycopg or pgvector is not installed.
        DataError: no connection, no extension `vector`, or another collection.
    """

    def __init__(self, url: str, collection: Collection, *, create: bool = True):
        self.url = without_password(url)
        self.collection = collection
        self._address = url
        from pgvector.psycopg import register_vector

        with self._errors():
            self._database = self._connected()
            self._create(create)
            register_vector(self._database)
            (held,) = self._database.execute("SELECT fingerprint, width FROM vislang_collection").fetchall()
        self._check(Collection(*held))

    def _connected(self) -> Any:
        import psycopg

        deadline = time.monotonic() + _CONNECTING
        while True:
            try:
                return psycopg.connect(self._address, autocommit=True)
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or _is_final(str(error)):
                    raise
                time.sleep(0.5)

    def _create(self, create: bool) -> None:
        width = int(self.collection.width)
        with self._database.transaction():
            self._database.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if self._database.execute("SELECT to_regclass('vislang_collection')").fetchone()[0]:
                return
            if not create:
                raise self._absent()
            self._database.execute("CREATE EXTENSION IF NOT EXISTS vector")
            self._database.execute("CREATE TABLE vislang_collection (fingerprint text, width int)")
            self._database.execute(
                'CREATE TABLE vislang_images (id text COLLATE "C" PRIMARY KEY, size bigint, mtime_ns bigint,'
                ' ctime_ns bigint, sha256 text, taken text COLLATE "C", caption text, words text,'
                f" vector vector({width}))"
            )
            if width <= _WIDEST_INLINE:
                self._database.execute("ALTER TABLE vislang_images ALTER vector SET STORAGE PLAIN")
            self._database.execute(
                "INSERT INTO vislang_collection VALUES (%s, %s)", (self.collection.fingerprint, width)
            )

    def _add(self, records: Sequence[Record], vectors: np.ndarray) -> None:
        columns = ", ".join((*_NAMES, "vector"))
        changes = ", ".join(f"{name} = excluded.{name}" for name in (*_NAMES[1:], "vector"))
        with self._errors(), self._database.transaction():
            self._database.execute("CREATE TEMPORARY TABLE added (LIKE vislang_images) ON COMMIT DROP")
            with self._database.cursor().copy(f"COPY added ({columns}) FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["text", "int8", "int8", "int8", *["text"] * 4, "vector"])
                for record, vector in zip(records, vectors, strict=True):
                    copy.write_row((*row_values(record), vector))
            # In the order of ids, two writers of the same rows cannot wait for each other.
            self._database.execute(
                f"INSERT INTO vislang_images ({columns}) SELECT {columns} FROM added ORDER BY id"
                f" ON CONFLICT (id) DO UPDATE SET {changes}"
            )

    def delete(self, ids: Sequence[str]) -> None:
        """Remove images; ids that it does not hold are passed over."""
        with self._errors():
            self._database.execute("DELETE FROM vislang_images WHERE id = ANY(%s)", (list(ids),))

    def records(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return {id: record} of those of the ids that it holds."""
        query = f"SELECT {', '.join(COLUMNS)} FROM vislang_images WHERE id = ANY(%s)"
        with self._errors():
            return {values[0]: Record(*values) for values in self._database.execute(query, (list(ids),))}

    def vectors(self, ids: Sequence[str]) -> np.ndarray:
        """Return the vectors of ids, float32 [N, D]; see `VectorStore`."""
        query = "SELECT id, vector FROM vislang_images WHERE id = ANY(%s)"
        with self._errors():
            found = dict(self._database.execute(query, (list(ids),)).fetchall())
        absent = [name for name in ids if name not in found]
        if absent:
            raise self._missing(absent)
        vectors = np.zeros((len(ids), self.collection.width), np.float32)
        for row, name in enumerate(ids):
            vectors[row] = _array(found[name])
        return vectors

    def ids(self, where: Filter = EVERYTHING) -> Iterator[str]:
        """Yield the ids of its images, sorted."""
        condition, values = where.sql(_OPERATORS)
        query = f"SELECT id FROM vislang_images WHERE {condition} AND id > %s ORDER BY id LIMIT {READ_IDS}"

        def following(last: str) -> list[str]:
            with self._errors():
                return [name for (name,) in self._database.execute(query, (*values, last))]

        return in_pages(following)

    def count(self, where: Filter = EVERYTHING) -> int:
        """Return the number of its images."""
        condition, values = where.sql(_OPERATORS)
        with self._errors():
            query = f"SELECT count(*) FROM vislang_images WHERE {condition}"
            return self._database.execute(query, values).fetchone()[0]

    def _search(self, queries: np.ndarray, top: int, where: Filter, offset: int) -> list[list[Hit]]:
        candidates = min(max(_CANDIDATES, 2 * (top + offset)), _MOST_CANDIDATES)
        with self._errors():
            with self._database.transaction():
                (index,) = self._database.execute("SELECT to_regclass('vislang_images_vector')").fetchone()
                self._database.execute(f"SET LOCAL hnsw.ef_search = {candidates}")
                # Behind a filter the index goes on until enough images pass.
                self._database.execute("SET LOCAL hnsw.iterative_scan = strict_order")
                is_exact = index is None
                found = [self._nearest(vector, top, where, offset, is_exact=is_exact) for vector in queries]
            short = [number for number, hits in enumerate(found) if len(hits) < top]
            if is_exact or not short:
                return found
            # The index gives up after hnsw.max_scan_tuples images, of which too few may pass a filter.
            with self._database.transaction():
                self._database.execute("SET LOCAL enable_indexscan = off")
                for number in short:
                    found[number] = self._nearest(queries[number], top, where, offset, is_exact=True)
        return found

    def _nearest(self, vector: np.ndarray, top: int, where: Filter, offset: int, *, is_exact: bool) -> list[Hit]:
        condition, values = where.sql(_OPERATORS)
        # A second key after the distance would keep PostgreSQL from using the index.
        order = "vector <#> %s, id" if is_exact else "vector <#> %s"
        query = (
            f"SELECT {', '.join(COLUMNS)}, -(vector <#> %s) FROM vislang_images WHERE {condition}"
            f" ORDER BY {order} LIMIT %s OFFSET %s"
        )
        rows = self._database.execute(query, (vector, *values, vector, top, offset))
        return [Hit(Record(*row[:-1]), row[-1]) for row in rows]

    def compact(self) -> None:
        """Free the space of deleted rows, and build the index of a large collection, which inserts then keep."""
        with self._errors():
            if self.count() >= self.exact_below and self.collection.width <= _WIDEST_INDEX:
                self._database.execute("SET maintenance_work_mem = '2GB'")  # a graph that does not fit is built slowly
                self._database.execute(
                    "CREATE INDEX IF NOT EXISTS vislang_images_vector ON vislang_images"
                    " USING hnsw (vector vector_ip_ops)"
                )
            self._database.execute("VACUUM (ANALYZE) vislang_images")

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise the errors of the server as ours."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            reason = without_secrets(brief(error), self._address)
            raise DataError(f"{self.url}: PostgreSQL failed ({reason}); check the address and the rights") from error


def _is_final(message: str) -> bool:
    """Return whether a server has refused a connection for good, as for a wrong password, and is not just starting."""
    return "no password supplied" in message or ("FATAL" in message and "the database system" not in message)


def _array(vector: Any) -> np.ndarray:
    """Return a vector as NumPy's, whichever of the two kinds this version of pgvector reads."""
    if isinstance(vector, np.ndarray):
        return vector
    return vector.to_numpy()
