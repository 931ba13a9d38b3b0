"""Seeded damage to files: bytes, the values of JSON documents, and the members of zip archives."""

import io
import json
import zipfile
from typing import Any

import numpy as np

# What a value of a JSON document is replaced by.
ODD = (
    None, True, -1, 0, 1.5, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "x", "\ud800", "0", "../../x",
    "a" * 3000, [], {}, [[]], [None], {"": None}, [1] * 3,
)  # fmt: skip
_BYTES = (b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b"{", b'"', b"-", b"1e999", b"NaN", b"\xff\xff\xff\x7f")


def damaged(content: bytes, random: np.random.Generator, name: str) -> bytes:
    """Return the content of a file with one to three kinds of damage that suit its name."""
    for _ in range(random.integers(1, 4)):
        kind = random.random()
        if name.endswith(".json") and kind < 0.7:
            content = damaged_json(content, random)
        elif name.endswith((".npz", ".zip", ".pth")) and kind < 0.5:
            content = damaged_archive(content, random)
        else:
            content = damaged_bytes(content, random)
    return content


def damaged_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """Change, cut, repeat, insert or remove some bytes."""
    start, end = sorted(random.integers(0, len(content) + 1, 2).tolist())
    short = min(end, start + int(random.integers(1, 17)))
    choice = random.integers(7)
    if choice == 0:
        return content[:start]
    if choice == 1:
        return content[:start] + content[short:]
    if choice == 2:
        return content[:end] + content[start:]
    if choice == 3:
        return content[:start] + _BYTES[random.integers(len(_BYTES))] + content[start:]
    if choice == 4:
        return content[:start] + random.bytes(short - start) + content[short:]
    changed = bytearray(content)
    for place in random.integers(0, max(1, len(content)), random.integers(1, 9)).tolist():
        if place < len(changed):
            changed[place] = random.integers(256) if choice == 5 else changed[place] ^ 1 << random.integers(8)
    return bytes(changed)


def damaged_json(content: bytes, random: np.random.Generator) -> bytes:
    """Replace, remove or nest one value of a document; damage its bytes where it is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return damaged_bytes(content, random)
    if random.random() < 0.02:
        depth = 100_000
        return b"[" * depth + b"]" * depth
    places = list(_places(document))
    if not places:
        return json.dumps(_odd(random)).encode()
    parent, key = places[random.integers(len(places))]
    choice = random.integers(10)
    if choice == 0:
        del parent[key]
    elif choice == 1:
        parent[key] = [parent[key]]
    elif choice == 2 and isinstance(parent, dict):
        parent[f"{key}x"] = parent.pop(key)
    elif choice == 3 and isinstance(parent[key], int | float):
        parent[key] = parent[key] * 10**9 + 7
    else:
        parent[key] = _odd(random)
    return json.dumps(document).encode()


def damaged_archive(content: bytes, random: np.random.Generator) -> bytes:
    """Damage one member of a zip archive under a correct checksum, its name or its presence."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = list(members)[random.integers(len(members))]
    except Exception:  # it is damaged already
        return damaged_bytes(content, random)
    choice = random.integers(6)
    if choice == 0:
        del members[name]
    elif choice == 1:
        members["x" + name] = members.pop(name)
    elif choice == 2:
        members[name] = members[list(members)[random.integers(len(members))]]
    else:
        members[name] = damaged_bytes(members[name][:128], random) + members[name][128:]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return packed.getvalue()


def _odd(random: np.random.Generator) -> Any:
    return ODD[random.integers(len(ODD))]


def _places(value: Any) -> Any:
    """Yield (parent, key) of every value inside a document."""
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])
