"""Stores behind retrieval.ports: `open_store` picks the engine by the address."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from retrieval.errors import InvalidInput
from retrieval.ports import Store
from retrieval.stores.sealing import Keyring

__all__ = ["Keyring", "open_store"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def open_store(
    url: str,
    *,
    clock: Callable[[], datetime] = _utc_now,
    max_attempts: int = 5,
    spool: Path | None = None,
    keys: Keyring | None = None,
) -> Store:
    """Opens `sqlite:FOLDER`, `mongodb://...` or `mongodb+srv://...`; the engine is imported here and not before.

    max_attempts: how often in a row a file is leased without a page stored before it counts as failed. spool: where
    copies of files lie while the renderer works on them. keys: encrypt files, and open them. Raises InvalidInput
    bad_store for any other address, StoreUnavailable when it cannot be opened, encryption_key_missing.
    """
    scheme, colon, rest = url.partition(":")
    if scheme == "sqlite" and colon and rest.strip():
        from retrieval.stores.sqlite import SqliteStore

        return await SqliteStore.open(
            rest.removeprefix("//"), clock=clock, max_attempts=max_attempts, keys=keys, spool=spool
        )
    if scheme in ("mongodb", "mongodb+srv") and rest.startswith("//"):
        from retrieval.stores.mongo import MongoStore

        return await MongoStore.open(url, clock=clock, max_attempts=max_attempts, spool=spool, keys=keys)
    # The address may hold a password, so no part of it but the scheme is repeated.
    raise InvalidInput(
        f"The store address begins with {scheme[:20]!r}: use sqlite:FOLDER, mongodb://HOST/NAME or mongodb+srv://HOST/NAME.",
        code="bad_store",
        field="store",
    )
