"""One suite, both engines: a test that takes `store` runs on each.

`open_again` opens the same data once more, as a second process would. The MongoDB branch stands on the fixture
`mongo_store_factory` (a plain function fixture): called as `await factory(clock=..., max_attempts=...)` it opens
this test's own database, the same one each time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest

from retrieval.ports import Store
from retrieval.stores.sqlite import SqliteStore
from tests.conformance.builders import DIMS, FakeClock
from tests.fakes.mongo import *  # noqa: F403  # its fixtures

ENGINES = ("sqlite", "mongodb")


class OpenEngine(Protocol):
    async def __call__(self, *, clock: Callable[[], datetime], max_attempts: int = 5) -> Store: ...


class OpenAgain(Protocol):
    async def __call__(self, *, max_attempts: int = 5) -> Store: ...


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=ENGINES)
def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> OpenEngine:
    if request.param == "mongodb":
        return request.getfixturevalue("mongo_store_factory")

    async def open_sqlite(*, clock: Callable[[], datetime], max_attempts: int = 5) -> Store:
        return await SqliteStore.open(tmp_path / "data", clock=clock, max_attempts=max_attempts)

    return open_sqlite


@pytest.fixture
async def open_again(open_engine: OpenEngine, clock: FakeClock) -> AsyncIterator[OpenAgain]:
    """Opens the test's own data, as often as asked; closes all at the end."""
    opened: list[Store] = []

    async def again(*, max_attempts: int = 5) -> Store:
        store = await open_engine(clock=clock, max_attempts=max_attempts)
        opened.append(store)
        return store

    yield again
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_again: OpenAgain) -> Store:
    """A fresh, empty store with its index ready for vectors of DIMS."""
    fresh = await open_again()
    await fresh.ensure_index(dims=DIMS, wait_s=30.0)
    return fresh
