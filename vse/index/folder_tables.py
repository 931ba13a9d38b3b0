"""The tables of a folder store: records, each with the number of its row in the file of vectors, and holes among them.

Values that SQLite holds and that no store writes raise `sqlite3.DatabaseError`.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vse.index.store import COLUMNS, Filter, Record

TABLES = (
    "CREATE TABLE collection (format INTEGER, fingerprint TEXT, width INTEGER, file INTEGER, rows INTEGER)",
    "CREATE TABLE images (row INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, id TEXT NOT NULL UNIQUE,"
    " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL,"
    " taken TEXT NOT NULL, caption TEXT NOT NULL, words TEXT NOT NULL)",
    "CREATE TABLE holes (row INTEGER PRIMARY KEY)",
)
OPERATORS = {">=": "{} >= ?", "<": "{} < ?", "contains": "instr({}, ?) > 0"}
RECORD = ", ".join(COLUMNS)
_TYPES = (str, int, int, int, str, str, str)  # of COLUMNS
_RECORDS = 500  # read at once


@dataclass(frozen=True)
class State:
    """The vectors as a transaction found them."""

    file: int  # N of vectors-N.f32
    rows: int  # in that file, holes included


def read_state(database: sqlite3.Connection) -> State:
    """Return where the vectors are."""
    state = State(*database.execute("SELECT file, rows FROM collection").fetchone() or (None, None))
    if not isinstance(state.file, int) or not isinstance(state.rows, int) or state.rows < 0:
        raise sqlite3.DatabaseError("it has no number of rows")
    return state


def remove_records(database: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Delete records and leave holes in the place of their vectors."""
    names = [(name,) for name in ids]
    database.executemany("INSERT INTO holes SELECT row FROM images WHERE id = ?", names)
    database.executemany("DELETE FROM images WHERE id = ?", names)


def searched_rows(database: sqlite3.Connection, state: State, where: Filter) -> np.ndarray | None:
    """Return the rows that pass a filter, int64 [R], ascending; None where all do and none is a hole."""
    if where.conditions():
        condition, values = where.sql(OPERATORS)
        found = database.execute(f"SELECT row FROM images WHERE {condition} ORDER BY row", values)
        return checked_rows(found, state)
    holes = checked_rows(database.execute("SELECT row FROM holes"), state)
    if not len(holes):
        return None
    is_used = np.ones(state.rows, bool)
    is_used[holes] = False
    return np.flatnonzero(is_used)


def checked_rows(found: Iterable[tuple[int]], state: State) -> np.ndarray:
    """Return rows that a query found, int64 [R]."""
    rows = np.fromiter((row for (row,) in found), np.int64)
    if len(rows) and not 0 <= rows.min() <= rows.max() < state.rows:
        raise sqlite3.DatabaseError("a record has no vector")
    return rows


def records_of_rows(database: sqlite3.Connection, rows: Sequence[int]) -> dict[int, Record]:
    """Return {row: record} of rows; those without a record are left out."""
    found = {}
    for start in range(0, len(rows), _RECORDS):
        some = rows[start : start + _RECORDS]
        query = f"SELECT row, {RECORD} FROM images WHERE row IN ({', '.join('?' * len(some))})"
        found.update({row: record_of(values) for row, *values in database.execute(query, some)})
    return found


def record_of(values: Sequence[Any]) -> Record:
    """Return the record of a row of the table."""
    if tuple(map(type, values)) != _TYPES:
        raise sqlite3.DatabaseError("a record has columns of other types")
    return Record(*values)
