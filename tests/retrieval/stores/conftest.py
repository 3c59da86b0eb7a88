"""A MongoDB store of the test's own, for tests of that engine alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from retrieval.stores.mongo import MongoStore
from tests.conformance.builders import DIMS, FakeClock
from tests.fakes.mongo import *  # noqa: F403  # its fixtures
from tests.fakes.mongo import MongoStoreFactory


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(mongo_store_factory: MongoStoreFactory, clock: FakeClock) -> AsyncIterator[MongoStore]:
    """Fresh and empty, its index ready for vectors of DIMS."""
    opened = await mongo_store_factory(clock=clock)
    await opened.ensure_index(dims=DIMS, wait_s=30.0)
    yield opened
    await opened.close()
