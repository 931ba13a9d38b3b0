"""Protobuf's text format, as far as Caffe's prototxt files use it, read without protobuf."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vislang.core.errors import DataError

LONGEST_FILE = 2 * 2**20  # bytes; the longest published networks have a tenth of it
DEEPEST = 16  # messages within messages; Caffe's own have five
LONGEST_NUMBER = 40  # characters

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?f?)(?![\w.]))
    | (?P<word>-?[A-Za-z_]\w*)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<mark>[{}<>:;,\[\]])""",
    re.VERBOSE | re.ASCII,
)
_CLOSING = {"{": "}", "<": ">"}
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_WHOLE = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|\d+)", re.ASCII)


@dataclass(frozen=True)
class Message:
    """A block of fields, each of which may occur several times; singular methods expect at most one.

    Attributes:
        where: what errors begin with: the file, and the layer once it is known.
        fields: {name: values in order}, each an int, a float, a str (quoted or not) or a Message.
    """

    where: str
    fields: dict[str, list[Any]] = field(default_factory=dict)

    def at(self, where: str) -> "Message":
        """Return the same fields with another `where`."""
        return Message(where, self.fields)

    def has(self, name: str) -> bool:
        """Return whether the field occurs."""
        return name in self.fields

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all strings or words of a field."""
        return tuple(self._checked(name, str, "text"))

    def text(self, name: str, default: str = "") -> str:
        """Return the only string or word of a field."""
        return self._only(name, self.texts(name), default)

    def integers(self, name: str) -> tuple[int, ...]:
        """Return all whole numbers of a field."""
        return tuple(self._checked(name, int, "a whole number"))

    def integer(self, name: str, default: int) -> int:
        """Return the only whole number of a field."""
        return self._only(name, self.integers(name), default)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return all numbers of a field."""
        return tuple(map(float, self._checked(name, (int, float), "a number")))

    def number(self, name: str, default: float) -> float:
        """Return the only number of a field."""
        return self._only(name, self.numbers(name), default)

    def flag(self, name: str, default: bool) -> bool:
        """Return the only truth value of a field."""
        value = self._only(name, tuple(self.fields.get(name, ())), default)
        known = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}
        if str(value).lower() not in known:
            raise DataError(f"{self.where}: {name} is {_shown(value)}, expected true or false")
        return known[str(value).lower()]

    def children(self, name: str) -> tuple["Message", ...]:
        """Return all blocks of a field."""
        return tuple(self._checked(name, Message, "a block in braces"))

    def child(self, name: str) -> "Message":
        """Return the only block of a field; an empty one where there is none."""
        return self._only(name, self.children(name), Message(self.where))

    def allow(self, names: Collection[str], what: str) -> None:
        """Refuse fields of other names: an option that is ignored would silently change the numbers."""
        for name in self.fields:
            if name not in names:
                raise DataError(
                    f"{self.where}: {what} has {name[:60]!r}, which is not supported, expected only:"
                    f" {', '.join(sorted(names))}; take it out if it changes nothing"
                )

    def _checked(self, name: str, kind: Any, expected: str) -> list[Any]:
        values = self.fields.get(name, [])
        for value in values:
            if not isinstance(value, kind):
                raise DataError(f"{self.where}: {name} is {_shown(value)}, expected {expected}")
        return values

    def _only(self, name: str, values: tuple[Any, ...], default: Any) -> Any:
        if len(values) > 1:
            raise DataError(f"{self.where}: {name} occurs {len(values)} times, expected once")
        if values:
            return values[0]
        return default


def read_text(path: str | Path) -> Message:
    """Read a prototxt file.

    Raises:
        DataError: unreadable, too long, nested too deeply, or not protobuf's text format; with the line.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give a Caffe .prototxt file") from error
    if len(content) > LONGEST_FILE:
        raise DataError(f"{path}: longer than {LONGEST_FILE} bytes; a prototxt of a network is far shorter")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; expected a .prototxt, and weights as the second file") from error
    return parse_text(text, str(path))


def parse_text(text: str, where: str) -> Message:
    """Parse protobuf's text format; blocks may be written `name {`, `name: {` or with angle brackets.

    Args:
        text: what the file holds.
        where: the file, for errors.
    """
    root = Message(where)
    open_blocks: list[tuple[Message, str]] = [(root, "")]  # with the mark that closes each
    tokens = _tokens(text, where)
    for kind, token, line in tokens:
        message, closing = open_blocks[-1]
        if kind == "mark" and token == closing:
            open_blocks.pop()
        elif kind == "word":
            block = _read_field(message, token, tokens, where, line)
            if block is not None:
                open_blocks.append(block)
            if len(open_blocks) > DEEPEST:
                raise DataError(f"{where}: line {line}: blocks are nested deeper than {DEEPEST}; no network needs that")
        elif token not in (",", ";"):
            raise DataError(f"{where}: line {line}: got {_shown(token)}, expected the name of a field")
    if len(open_blocks) > 1:
        raise DataError(f"{where}: {len(open_blocks) - 1} blocks are not closed at the end; the file was cut")
    return root


_Tokens = Iterator[tuple[str, str, int]]


def _tokens(text: str, where: str) -> _Tokens:
    position = 0
    line = 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise DataError(f"{where}: line {line}: {text[position : position + 20]!r} is not protobuf's text format")
        if match.lastgroup != "space":
            yield str(match.lastgroup), match.group(), line
        line += match.group().count("\n")
        position = match.end()


def _read_field(message: Message, name: str, tokens: _Tokens, where: str, line: int) -> tuple[Message, str] | None:
    """Store the value that follows a name; if it is a block, give it and its closing mark."""
    values = message.fields.setdefault(name, [])
    kind, token, line = _next(tokens, where, line)
    if token == ":":
        kind, token, line = _next(tokens, where, line)
        if token == "[":
            _read_list(values, tokens, where, line)
            return None
    elif token not in _CLOSING:
        raise DataError(f"{where}: line {line}: got {_shown(token)} after {name[:60]!r}, expected ':' or '{{'")
    if kind == "mark" and token in _CLOSING:
        values.append(Message(message.where))
        return values[-1], _CLOSING[token]
    values.append(_value(kind, token, where, line))
    return None


def _read_list(values: list[Any], tokens: _Tokens, where: str, line: int) -> None:
    kind, token, line = _next(tokens, where, line)
    while token != "]":
        values.append(_value(kind, token, where, line))
        kind, token, line = _next(tokens, where, line)
        if token == ",":
            kind, token, line = _next(tokens, where, line)


def _next(tokens: _Tokens, where: str, line: int) -> tuple[str, str, int]:
    following = next(tokens, None)
    if following is None:
        raise DataError(f"{where}: line {line}: the file ends within a field; it was cut")
    return following


def _value(kind: str, token: str, where: str, line: int) -> Any:
    if kind == "string":
        return _ESCAPE.sub(lambda match: _ESCAPED.get(match.group(1), match.group(1)), token[1:-1])
    if kind == "word":
        return token
    if kind == "number" and len(token) <= LONGEST_NUMBER:
        if _WHOLE.fullmatch(token):
            if "x" in token.lower():
                return int(token, 16)
            return int(token)
        return float(token.rstrip("f"))
    raise DataError(f"{where}: line {line}: got {_shown(token)}, expected a value")


def _shown(value: Any) -> str:
    if isinstance(value, Message):
        return "a block in braces"
    return repr(value)[:60]
