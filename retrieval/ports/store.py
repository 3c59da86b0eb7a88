"""All ports of one engine, and the upkeep of the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from retrieval.ports.assets import AssetStore
from retrieval.ports.audit import AuditLog
from retrieval.ports.claims import ClaimStore
from retrieval.ports.jobs import JobQueue
from retrieval.ports.keys import KeyStore
from retrieval.ports.pages import PageIndex

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many of it, and of how many."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """files: looked at. written: encrypted anew. keys: ids of the keys that files are under now."""

    files: int
    written: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """state: ready, building, missing, outdated, failed. pages, indexed: stored and found in the vector index
    (equal for the embedded engine)."""

    name: str
    state: Literal["ready", "building", "missing", "outdated", "failed"]
    pages: int
    indexed: int
    detail: str = ""


class Store(Protocol):
    """All of one engine. Opened by its `open` class method, closed once."""

    @property
    def claims(self) -> ClaimStore: ...
    @property
    def assets(self) -> AssetStore: ...
    @property
    def pages(self) -> PageIndex: ...
    @property
    def jobs(self) -> JobQueue: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def keys(self) -> KeyStore: ...

    @property
    def engine(self) -> str:
        """ "sqlite" or "mongodb"."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        ...

    async def ensure_index(self, *, dims: int, wait_s: float = 0.0) -> IndexStatus:
        """Makes tables, indexes and the vector index what the code wants; idempotent."""
        ...

    async def index_status(self) -> IndexStatus: ...

    async def drop_index(self) -> None:
        """Drops the vector index (MongoDB); the embedded engine has none to drop."""
        ...

    async def sweep(self) -> int:
        """Removes bytes and pictures that no record names and that are older than an hour; how many."""
        ...

    async def reseal(self, progress: Progress) -> Resealed:
        """Brings every file to the first of the keys, those that are not encrypted among them; searches and uploads go
        on. May be stopped at any point and called again. Raises InvalidInput no_encryption_key without keys,
        StoreUnavailable file_damaged for a file that does not open."""
        ...

    async def tenants(self) -> tuple[str, ...]:
        """All who have a claim or an audit record, in order."""
        ...

    async def close(self) -> None: ...
