"""Uploaded files: one record a claim, one copy of the bytes a tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from retrieval.capture import Capture
from retrieval.documents import Asset, DeletionReport, Lease
from retrieval.ports.shared import Note


class AssetStore(Protocol):
    async def add(
        self, tenant: str, asset: Asset, source: Path, *, most_bytes: int | None = None
    ) -> tuple[Asset, bool]:
        """Stores the bytes of the file `source` (left in place) durably, then the record; returns it and whether it
        is new in this claim. Idempotent by (claim_id, asset_id). most_bytes: that `stored_bytes` may be afterwards,
        however many are added at once; a file that the tenant has already takes none. Raises NotFound claim_not_found,
        TooLarge quota_exceeded."""
        ...

    async def adopt(self, tenant: str, asset: Asset, source: Path) -> None:
        """As `add`, with the record as it is given; call it in the order of the claim's list. Raises as `add`."""
        ...

    async def stored_bytes(self, tenant: str) -> int:
        """Bytes of the tenant's files as uploaded; a file that several claims hold counts once."""
        ...

    async def get(self, tenant: str, asset_id: str, *, claim_id: str | None = None) -> tuple[Asset, ...]:
        """All records of that file in the tenant (one a claim), or the one of `claim_id`. Raises NotFound."""
        ...

    async def list(self, tenant: str, claim_id: str) -> tuple[Asset, ...]:
        """Oldest first. Raises NotFound claim_not_found."""
        ...

    async def describe(self, lease: Lease, *, media_type: str, page_count: int, capture: Capture | None = None) -> None:
        """Keeps what the ingest found. Raises LeaseLost."""
        ...

    async def warn(self, lease: Lease, warnings: Sequence[tuple[str, str]]) -> None:
        """Adds (code, sentence) warnings to the asset, each once. Raises LeaseLost."""
        ...

    def open(self, tenant: str, asset_id: str) -> AsyncIterator[bytes]:
        """The bytes in chunks of at most 1 MiB. Raises NotFound at the first step."""
        ...

    def local_copy(self, tenant: str, asset_id: str) -> AbstractAsyncContextManager[Path]:
        """A readable local file with the bytes, for a child process; gone (or untouched) afterwards."""
        ...

    async def delete(
        self, tenant: str, asset_id: str, *, claim_id: str | None = None, note: Note[DeletionReport] | None = None
    ) -> DeletionReport:
        """Removes the file with its pages, and its name from jobs, from one claim or from all. Raises NotFound,
        Conflict claim_held when one of them is held; then it stays in all."""
        ...
