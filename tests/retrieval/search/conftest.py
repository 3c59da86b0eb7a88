"""A store, the test encoder and an engine over both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval.ports import Store
from retrieval.search import SearchEngine
from retrieval.stores.sqlite import SqliteStore
from tests.fakes.encoder import FakeEncoder
from tests.fakes.mongo import *  # noqa: F403  # its fixtures


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
async def store(request: pytest.FixtureRequest, tmp_path: Path, encoder: FakeEncoder) -> AsyncIterator[Store]:
    """The embedded engine; tests marked with `on_both_engines` get MongoDB too."""
    if getattr(request, "param", "sqlite") == "mongodb":
        opened: Store = await request.getfixturevalue("mongo_store_factory")(clock=lambda: datetime.now(UTC))
    else:
        opened = await SqliteStore.open(tmp_path / "data")
    await opened.ensure_index(dims=encoder.dims, wait_s=30)
    yield opened
    await opened.close()


@pytest.fixture
def engine(store: Store, encoder: FakeEncoder) -> SearchEngine:
    return SearchEngine(store, encoder)
