"""LanceStore: LanceDB in a folder or on object storage; exact search, and an approximate index where it is large."""

import contextlib
import functools
import json
import operator
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.errors import DataError, brief
from vislang.core.files import only_writer
from vse.index.store import (
    COLUMNS,
    EVERYTHING,
    Collection,
    Filter,
    Hit,
    Record,
    VectorStore,
    pieces,
    row_dict,
)

_TABLE = "images"
_KEY = b"vislang"  # of the collection, in the metadata of the table's schema
_INTEGERS = ("size", "mtime_ns", "ctime_ns")
_REFINED = 10  # times as many candidates as hits are compared exactly: the index holds vectors of 8 bits
_OLD_VERSIONS = timedelta(hours=1)  # kept for those who are reading them


class LanceStore(VectorStore):
    """A table of a LanceDB database.

    Args:
        url: `lance:PATH`, or `s3://BUCKET/PATH`; keys and endpoint are those of the environment (AWS_ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT).
        collection: of its vectors.
        create: make an empty one where nothing is.

    Raises:
        ConfigError: LanceDB is not installed.
        DataError: it cannot be opened, or holds another collection.
    """

    def __init__(self, url: str, collection: Collection, *, create: bool = True):
        import lancedb

        self.url = url
        self.collection = collection
        with self._errors():
            place = url.removeprefix("lance:")
            database = lancedb.connect(place, read_consistency_interval=timedelta(0))  # what others wrote is seen
            if _TABLE in database.table_names():
                self._table = database.open_table(_TABLE)
            elif create:  # another process may be faster
                self._table = database.create_table(_TABLE, schema=_schema(collection), exist_ok=True)
            else:
                raise self._absent()
            held = (self._table.schema.metadata or {}).get(_KEY)
        if held is None:
            raise DataError(f"{url}: holds a table {_TABLE!r} that is no index; choose another place")
        self._check(Collection(**json.loads(held)))

    def _add(self, records: Sequence[Record], vectors: np.ndarray) -> None:
        import pyarrow

        rows = [row_dict(record) for record in records]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in (*COLUMNS, "words")}
        values = pyarrow.array(vectors.reshape(-1))
        columns["vector"] = pyarrow.FixedSizeListArray.from_arrays(values, self.collection.width)
        new = pyarrow.table(columns, schema=_schema(self.collection))
        with self._in_turn(), self._errors():
            merged = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merged.execute(new)

    def _in_turn(self) -> contextlib.AbstractContextManager[None]:
        """Wait until no other process adds: LanceDB lets two insert one id. Object storage has no locks."""
        if not self.url.startswith("lance:"):
            return contextlib.nullcontext()
        folder = Path(self.url.removeprefix("lance:"))
        return only_writer(folder, folder / ".writer.lock", wait=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove images; ids that it does not hold are passed over."""
        for some in pieces(ids):
            with self._errors():
                self._table.delete(_one_of(some))

    def records(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return {id: record} of those of the ids that it holds."""
        return {row["id"]: _record(row) for some in pieces(ids) for row in self._rows(some, COLUMNS)}

    def vectors(self, ids: Sequence[str]) -> np.ndarray:
        """Return the vectors of ids, float32 [N, D]; see `VectorStore`."""
        found = {row["id"]: row["vector"] for some in pieces(ids) for row in self._rows(some, ("id", "vector"))}
        absent = [name for name in ids if name not in found]
        if absent:
            raise self._missing(absent)
        return np.array([found[name] for name in ids], np.float32).reshape(len(ids), self.collection.width)

    def _rows(self, ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        with self._errors():
            query = self._table.search().where(_one_of(ids)).select(list(columns)).limit(len(ids))
            return query.to_list()

    def ids(self, where: Filter = EVERYTHING) -> Iterator[str]:
        """Yield the ids of its images."""
        with self._errors():
            query = self._table.search().select(["id"])
            if where.conditions():
                query = query.where(_expression(where))
            for batch in query.to_batches():
                yield from batch.column("id").to_pylist()

    def count(self, where: Filter = EVERYTHING) -> int:
        """Return the number of its images."""
        if where.conditions():
            return sum(1 for _ in self.ids(where))  # LanceDB counts by texts of SQL alone
        with self._errors():
            return self._table.count_rows()

    def _search(self, queries: np.ndarray, top: int, where: Filter, offset: int) -> list[list[Hit]]:
        found = []
        with self._errors():
            for vector in queries:
                query = self._table.search(vector).distance_type("dot").limit(top + offset)
                query = query.refine_factor(_REFINED).select([*COLUMNS, "_distance"])
                if where.conditions():
                    query = query.where(_expression(where))
                rows = query.to_list()[offset:]
                found.append([Hit(_record(row), 1 - row["_distance"]) for row in rows])  # the distance is 1 - cosine
        return found

    def compact(self) -> None:
        """Merge small files, and build or extend the indexes of a large collection."""
        from lancedb.index import BTree, IvfHnswSq

        with self._errors():
            self._table.optimize(cleanup_older_than=_OLD_VERSIONS)  # before new indexes, which have nothing to update
            indexed = {column for index in self._table.list_indices() for column in index.columns}
            count = self.count()
            if "id" not in indexed and count:
                self._table.create_index("id", config=BTree())
            if "vector" not in indexed and count >= self.exact_below:
                self._table.create_index("vector", config=IvfHnswSq(distance_type="dot"))

    def close(self) -> None:
        """Let go of the table; LanceDB closes its files itself."""
        del self._table

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise the errors of LanceDB and of its storage as ours."""
        try:
            yield
        except (RuntimeError, ValueError, OSError) as error:
            reason = brief(error)
            raise DataError(f"{self.url}: LanceDB failed ({reason}); check the place and its permissions") from error


def _schema(collection: Collection) -> Any:
    import pyarrow

    names = (*COLUMNS, "words")
    kinds = {name: pyarrow.int64() if name in _INTEGERS else pyarrow.string() for name in names}
    columns = [pyarrow.field(name, kind, nullable=False) for name, kind in kinds.items()]
    columns.append(pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), collection.width), nullable=False))
    return pyarrow.schema(columns, metadata={_KEY: json.dumps(asdict(collection))})


def _expression(where: Filter) -> Any:
    """Return the condition of a filter that has one; its texts stay values and never become SQL."""
    from lancedb.expr import col, lit

    tests = []
    for test in where.conditions():
        column, value = col(test.column), lit(test.value)
        if test.operator == ">=":
            tests.append(column >= value)
        elif test.operator == "<":
            tests.append(column < value)
        else:
            tests.append(column.contains(value))
    return functools.reduce(operator.and_, tests)


def _one_of(ids: Sequence[str]) -> Any:
    from lancedb.expr import col

    return col("id").isin(list(ids))


def _record(row: dict[str, Any]) -> Record:
    return Record(**{name: row[name] for name in COLUMNS})
