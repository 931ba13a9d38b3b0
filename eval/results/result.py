"""Result files: one JSON document for each row of a table, with all that it takes to repeat the row."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, TypeVar

import numpy as np

from vislang.core.errors import EvalError, shown
from vislang.core.files import file_name, read_json, write_json
from vislang.core.provenance import Provenance, provenance

Scores = dict[str, float]
_NEXT = "delete it or run eval.run again"
_LARGEST = 1e300  # of numbers; larger ones would be infinite in sums
_TYPE_WORDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a whole number"}
_TYPE_WORDS[float] = "a finite number"


@dataclass(frozen=True)
class SeedRun:
    """One trained model of a row; see `eval.results.models.ModelInfo`. `metrics` are of this model alone."""

    seed: int | None = None
    checkpoint: str = ""
    weights_fingerprint: str | None = None
    training_seconds: float | None = None
    metrics: Scores = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known of a row before it is measured."""

    name: str  # such as "vse-best-mobilenet_v2"
    system: str  # what is measured, such as "vse"
    dataset: str = ""  # as in the tables
    split: str = ""  # of the data set; "" where it has none
    config: dict[str, Any] = field(default_factory=dict)  # every setting of the model
    data_fingerprint: str | None = None  # of the images and annotations
    seconds: float | None = None  # spent on the measurement


@dataclass(frozen=True, kw_only=True)
class Result(Row):
    """One row of a table; `eval.results.kinds` holds a subclass for each kind of table."""

    kind: ClassVar[str]  # of table, such as "retrieval"
    main_metric: ClassVar[str] = ""  # that orders the rows; "" for the order of names
    metrics: Scores = field(default_factory=dict)  # the main numbers, means over seeds
    std: Scores = field(default_factory=dict)  # sample standard deviation over seeds; empty for one seed
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)  # 95 %
    interval_method: str = ""
    per_seed: tuple[SeedRun, ...] = ()  # the trained models of the row; empty where nothing was trained
    provenance: Provenance = field(default_factory=provenance)  # the code that measured

    def file_name(self) -> str:
        """Return the name of its JSON file."""
        words = (self.kind, self.name, self.dataset, self.split, self.variant())
        return file_name("-".join(filter(None, words))) + ".json"

    def variant(self) -> str:
        """Return what distinguishes the file from that of the same row under other settings."""
        return ""

    def table_key(self) -> tuple[Any, ...]:
        """Return what the results of one table have in common."""
        return (self.dataset, self.split)

    def sort_key(self) -> Any:
        """Return the place of the row in its table: by the main metric, the best last, or else by name."""
        if self.main_metric:
            return self.metrics.get(self.main_metric, float("-inf"))
        return self.name

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without optional fields that are empty."""
        return {"kind": self.kind, **_to_plain(self)}


R = TypeVar("R", bound=Result)


def summarize_seeds(per_seed: Sequence[Mapping[str, float]]) -> tuple[Scores, Scores]:
    """Return means and, for several seeds, sample standard deviations of the metrics that all seeds have."""
    means: Scores = {}
    stds: Scores = {}
    for name in per_seed[0]:
        values = [metrics[name] for metrics in per_seed if name in metrics]
        if len(values) < len(per_seed):
            continue
        means[name] = float(np.mean(values))
        if len(values) > 1:
            stds[name] = float(np.std(values, ddof=1))
    return means, stds


def write_result(folder: Path, result: Result) -> Path:
    """Write a result into a folder and return the path of its file."""
    path = folder / result.file_name()
    write_json(path, result.to_json())
    return path


def read_results(folder: Path, kind: type[R]) -> list[R]:
    """Read the results of one kind from a folder, in the order of their tables; other JSON files are passed over.

    Raises:
        DataError: a file is no JSON.
        EvalError: a file claims to be of this kind but lacks a field, or has one that is unknown.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        document = read_json(path, "result", _NEXT)
        if isinstance(document, dict) and document.get("kind") == kind.kind:
            found.append(read_result(path, kind))
    return sorted(found, key=lambda result: result.sort_key())


def read_result(path: Path, kind: type[R]) -> R:
    """Read one result; errors as for `read_results`."""
    document = _of_type(read_json(path, "result", _NEXT), dict, f"result {path}")
    document.pop("kind", None)
    return _read_fields(kind, document, f"result {path}")


def read_table(folder: Path, like: R) -> list[R]:
    """Read the results of the table of another result; see `read_results`."""
    key = like.table_key()
    return [result for result in read_results(folder, type(like)) if result.table_key() == key]


def _to_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        plain = {}
        for one in dataclasses.fields(value):
            inner = getattr(value, one.name)
            is_empty = inner is None or (isinstance(inner, str | dict | list | tuple) and not inner)
            if not is_empty or not _is_optional(one):
                plain[one.name] = _to_plain(inner)
        return plain
    if isinstance(value, dict):
        return {name: _to_plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return list(map(_to_plain, value))
    return value


def _is_optional(one: dataclasses.Field) -> bool:
    return one.default is not dataclasses.MISSING or one.default_factory in (dict, list)


def _from_plain(hint: Any, value: Any, where: str) -> Any:
    """Rebuild what `_to_plain` wrote, as the type hint says; `where` names the file and the field.

    Raises:
        EvalError: a value of another type.
    """
    origin = typing.get_origin(hint)
    inner = typing.get_args(hint)
    if hint is Any:
        return value
    if origin is UnionType:
        return None if value is None else _from_plain(next(one for one in inner if one is not NoneType), value, where)
    if dataclasses.is_dataclass(hint):
        return _read_fields(hint, _of_type(value, dict, where), where)
    if origin is dict:
        items = _of_type(value, dict, where).items()
        return {name: _from_plain(inner[1], one, f"{where}[{name!r}]") for name, one in items}
    if origin is list:
        return [_from_plain(inner[0], one, where) for one in _of_type(value, list, where)]
    if origin is tuple:
        members = _of_type(value, list, where)
        if inner[-1] is not Ellipsis and len(members) != len(inner):
            raise EvalError(f"{where} got {len(members)} values, expected {len(inner)}; {_NEXT}")
        return tuple(_from_plain(inner[0], one, where) for one in members)
    return _of_type(value, hint, where)


def _of_type(value: Any, kind: type, where: str) -> Any:
    """Return a value that is of a type of JSON; a number must be finite, and an int may stand for a float."""
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if isinstance(value, bool) and kind is not bool:
        fits = False
    if fits and isinstance(value, int | float):
        fits = abs(value) <= _LARGEST
    if not fits:
        raise EvalError(f"{where} got {shown(value)}, expected {_TYPE_WORDS[kind]}; {_NEXT}")
    return value


def _read_fields(cls: Any, values: Mapping[str, Any], where: str) -> Any:
    fields = {one.name: one for one in dataclasses.fields(cls)}
    for name in values:
        if name not in fields:
            raise EvalError(f"{where} has a field {name!r} that {cls.__name__} does not have; {_NEXT}")
    missing = [name for name, one in fields.items() if name not in values and not _is_optional(one)]
    if missing:
        raise EvalError(f"{where} lacks {', '.join(missing)}; {_NEXT}")
    hints = typing.get_type_hints(cls)
    return cls(**{name: _from_plain(hints[name], value, f"{where}, {name}") for name, value in values.items()})
