"""open_store: the store that a URL names."""

import importlib.util
from pathlib import Path

from vislang.core.errors import ConfigError, shown
from vse.index.folder import FolderStore
from vse.index.store import Collection, VectorStore, without_password

_EXPECTED = "a folder, lance:PATH, s3://BUCKET/PATH or postgresql://USER@HOST/DATABASE"


def open_store(url: str | Path, collection: Collection, *, create: bool = True) -> VectorStore:
    """Open the store that a URL names.

    Args:
        url: a folder, `lance:PATH`, `s3://BUCKET/PATH`, or `postgresql://USER@HOST/DATABASE`.
        collection: the ranker's fingerprint and width, which the store keeps and compares.
        create: make an empty one where nothing is.

    Raises:
        ConfigError: an unknown kind of URL, or a package that is not installed.
        DataError: it cannot be opened, is absent or damaged, or holds vectors of another ranker.
    """
    text = str(url)
    if text.startswith(("lance:", "s3://")):
        _require("lancedb", "lance", text)
        from vse.index.lance import LanceStore

        return LanceStore(text, collection, create=create)
    if text.startswith(("postgresql://", "postgres://")):
        for package in ("psycopg", "pgvector"):
            _require(package, "postgres", text)
        from vse.index.postgres import PostgresStore

        return PostgresStore(text, collection, create=create)
    if "://" in text or not text:
        raise ConfigError(f"the store got {shown(without_password(text))}, expected {_EXPECTED}")
    return FolderStore(text, collection, create=create)


def _require(package: str, extra: str, url: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"the store {shown(without_password(url))} needs the package {package}, which is not installed;"
            f' run: pip install "vislang-toolkit[{extra}]"'
        )
