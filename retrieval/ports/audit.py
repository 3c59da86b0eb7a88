"""Who did what, as a chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from retrieval.documents import AuditEvent, AuditHead, AuditRecord
from retrieval.ports.shared import Listing


class AuditLog(Protocol):
    """Only grows: there is no call that changes or removes a record. The records of a tenant are one chain, however
    many processes append at once."""

    async def append(self, tenant: str, *events: AuditEvent) -> None:
        """In the order given. Durable when it returns."""
        ...

    async def list(self, tenant: str, *, cursor: str | None = None, limit: int = 100) -> Listing[AuditEvent]:
        """Newest first."""
        ...

    async def records(self, tenant: str, *, after: int = 0, limit: int = 1000) -> tuple[AuditRecord, ...]:
        """The first `limit` records with a number greater than `after`, by number, as they are stored."""
        ...

    async def head(self, tenant: str) -> AuditHead:
        """The end of the chain as it was noted with the last record, apart from the records themselves."""
        ...

    async def adopt(self, tenant: str, records: Sequence[AuditRecord]) -> None:
        """Appends records of the same tenant's audit in another store, as they are; those that are here already are
        passed over. Raises Conflict audit_conflict when they do not continue this audit."""
        ...
