"""A MongoDB for tests: a real server process over a real wire, with the vector search stand-in in front of it.

One server, one stand-in and one database a test session (of each worker under xdist); a test finds it empty.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol

import pytest
from pymongo import MongoClient

from retrieval.stores.mongo import MongoStore
from tests.fakes.atlas_standin import AtlasStandin

__all__ = [
    "atlas",
    "mongo_client",
    "mongo_database",
    "mongo_server",
    "mongo_standin",
    "mongo_store_factory",
    "mongo_uri",
]

DATABASE = "claimsight_test"

_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
_STOP_S = 20


def uri_of(host: str, port: int, *, options: str = "") -> str:
    """Polling instead of streaming heartbeats: for the latter the driver opens a connection of its own a moment after
    the first, and leaks the socket when the client is closed in that moment (a ResourceWarning, so a failed test)."""
    return f"mongodb://{host}:{port}/?directConnection=true&serverMonitoringMode=poll{options}"


class MongoStoreFactory(Protocol):
    async def __call__(self, *, clock: Callable[[], datetime], max_attempts: int = 5) -> MongoStore: ...


@contextmanager
def running_server(storage: Path, *, port: int = 0, standalone: bool = False) -> Iterator[tuple[str, int]]:
    """A server process of its own on a free (or the given) port, durable at every commit; killed at the end.
    standalone: it does not call itself a replica set."""
    command = [str(Path(sys.executable).with_name("secantusd-py")), "--port", str(port), "--storage-path", str(storage)]
    command += ["--sync-on-commit", *(["--standalone"] if standalone else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    reader: threading.Thread | None = None
    try:
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if found := _LISTENING.search(line):
                reader = threading.Thread(target=_drain, args=(process.stdout,), daemon=True)
                reader.start()
                yield "127.0.0.1", int(found.group(1))
                return
        raise RuntimeError(f"the test server did not start: {''.join(said)}")
    finally:
        process.kill()
        process.wait(_STOP_S)
        if reader is not None:
            reader.join(_STOP_S)
        process.stdout.close()


def _drain(output: IO[str]) -> None:
    for _ in output:
        pass


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Host and port of the server without vector search."""
    with running_server(tmp_path_factory.mktemp("mongo")) as address:
        yield address


@pytest.fixture(scope="session")
def mongo_standin(mongo_server: tuple[str, int]) -> Iterator[AtlasStandin]:
    with AtlasStandin(mongo_server) as standin:
        yield standin


@pytest.fixture
def atlas(mongo_standin: AtlasStandin) -> Iterator[AtlasStandin]:
    """The stand-in's controls, in their normal position at the start."""
    mongo_standin.reset()
    yield mongo_standin
    mongo_standin.reset()


@pytest.fixture
def mongo_uri(atlas: AtlasStandin) -> str:
    host, _, port = atlas.address.partition(":")
    return uri_of(host, int(port))


@pytest.fixture(scope="session")
def mongo_client(mongo_standin: AtlasStandin) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient(f"mongodb://{mongo_standin.address}/?directConnection=true") as client:
        yield client


@pytest.fixture
def mongo_database(mongo_client: MongoClient[dict[str, Any]], atlas: AtlasStandin) -> str:
    """The name of an empty database: the same for each test, as emptying one is ten times as quick as making one."""
    database = mongo_client[DATABASE]
    for name in database.list_collection_names():
        database[name].delete_many({})
    atlas.forget(DATABASE)
    return DATABASE


@pytest.fixture
def mongo_store_factory(mongo_uri: str, mongo_database: str, tmp_path: Path) -> MongoStoreFactory:
    """Opens the test's database."""

    async def open_store(*, clock: Callable[[], datetime], max_attempts: int = 5) -> MongoStore:
        return await MongoStore.open(
            mongo_uri,
            database=mongo_database,
            clock=clock,
            max_attempts=max_attempts,
            timeout_s=30.0,
            spool=tmp_path,
        )

    return open_store
