"""manifest.json: what a folder of shards holds, which shards are finished, and what could not be used."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vislang.core.errors import DataError, shown
from vislang.core.files import read_json, write_json
from vislang.images.sources import Skipped

MANIFEST = "manifest.json"
FEATURES = "features"  # kind of a folder whose shards are feature caches
UNFINISHED, FINISHED, DAMAGED = "unfinished", "finished", "damaged"

_FORMAT = "vislang shards/v1"
_NAME = re.compile(r"\d{5,}")
_MOST_ROWS = 100_000_000
_NEXT_STEP = "copy it again, or make the shards anew"


@dataclass(frozen=True)
class ShardState:
    """A shard, and what came of it."""

    name: str  # "00000"; the names of its files begin with it
    source: str  # the tar file, relative to the folder of images; "" for a part of a list of images
    state: str = UNFINISHED
    rows: int = 0  # images that were used
    reason: str = ""  # why nothing of it could be used, where it is damaged
    skipped: tuple[Skipped, ...] = ()  # images that could not be used


@dataclass(frozen=True)
class Manifest:
    """The shards of a folder."""

    kind: str  # what a shard becomes: FEATURES, or the name of another result
    ids: str  # what images are named by: "path" or "name"
    shards: tuple[ShardState, ...]

    def of_state(self, state: str) -> list[ShardState]:
        """Return the shards of a state."""
        return [shard for shard in self.shards if shard.state == state]


def shard_name(number: int) -> str:
    """Return the name of a shard."""
    return f"{number:05d}"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json as a whole file."""
    shards = [asdict(shard) for shard in manifest.shards]
    write_json(folder / MANIFEST, {"format": _FORMAT, "kind": manifest.kind, "ids": manifest.ids, "shards": shards})


def read_manifest(folder: Path) -> Manifest:
    """Read manifest.json.

    Raises:
        DataError: missing, damaged, or of another format.
    """
    path = folder / MANIFEST
    document = read_json(path, "manifest of shards", _NEXT_STEP)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        got = document.get("format") if isinstance(document, dict) else document
        raise DataError(f"{path}: has format {shown(got)}, expected {_FORMAT!r}; {_NEXT_STEP}")
    try:
        kind, ids = text(document["kind"]), text(document["ids"])
        shards = tuple(map(read_state, document["shards"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged manifest of shards ({error!r}); {_NEXT_STEP}") from error
    names = [shard.name for shard in shards]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: names a shard twice; {_NEXT_STEP}")
    return Manifest(kind, ids, shards)


def read_state(row: dict[str, Any]) -> ShardState:
    """Return what JSON values say of a shard.

    Raises:
        KeyError, TypeError, ValueError: they are other values than this module writes.
    """
    skipped = tuple(Skipped(text(one["source"]), text(one["reason"])) for one in row["skipped"])
    texts = [text(row[name]) for name in ("name", "source", "state", "reason")]
    name, source, state, reason = texts
    if not _NAME.fullmatch(name):  # it becomes part of a path
        raise ValueError(f"shard is called {shown(name)}")
    if state not in (UNFINISHED, FINISHED, DAMAGED):
        raise ValueError(f"state of shard {name} is {shown(state)}")
    rows = row["rows"]
    if type(rows) is not int or not 0 <= rows <= _MOST_ROWS:
        raise ValueError(f"rows of shard {name} are {shown(rows)}")
    return ShardState(name, source, state, rows, reason, skipped)


def text(value: Any) -> str:
    """Return a text; raise a TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{shown(value)} is no text")
    return value


def counted(shards: Sequence[ShardState], total: int) -> str:
    """Return such as "2 of 40 shards (00003, 00007)"."""
    names = ", ".join(shard.name for shard in shards[:3])
    more = ", ..." if len(shards) > 3 else ""
    return f"{len(shards)} of {total} shards ({names}{more})"
