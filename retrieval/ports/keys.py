"""API keys, by their hashes."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from retrieval.keys import ApiKey
from retrieval.ports.shared import Note


class KeyStore(Protocol):
    """Who may enter. The keys of all tenants are in one room, for a request has no tenant before its key is known; what
    a change leaves in the audit is of the tenant of its key."""

    async def add(self, key: ApiKey, *, note: Note[ApiKey] | None = None) -> None:
        """Raises Conflict key_exists."""
        ...

    async def adopt(self, key: ApiKey) -> None:
        """Create or replace."""
        ...

    async def get(self, key_id: str) -> ApiKey:
        """Of any state, asked of the primary store: a revoked key is known as revoked by the next call of any
        process. Raises NotFound key_not_found."""
        ...

    async def list(self, tenant: str | None = None) -> tuple[ApiKey, ...]:
        """Of one tenant or of all, of any state, oldest first."""
        ...

    async def exist(self) -> bool:
        """Whether there is any, of any tenant and any state."""
        ...

    async def revoke(self, key_id: str, *, note: Note[ApiKey] | None = None) -> ApiKey:
        """From now on it opens nothing, for ever. Nothing happens and nothing is noted when it is so already. Raises
        NotFound."""
        ...

    async def rotate(
        self, key_id: str, successor: ApiKey, *, until: datetime, note: Note[ApiKey] | None = None
    ) -> ApiKey:
        """Adds the successor and lets the old one end at `until`, or when it would have ended anyway, as one step;
        returns the old one. Raises NotFound, Conflict key_ended when it is not active any more, key_exists."""
        ...

    async def used(self, key_id: str) -> None:
        """Notes that it was used now; nothing when there is no such key."""
        ...
