"""Who did what, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from retrieval.audit import continuing
from retrieval.documents import AuditEvent, AuditHead, AuditRecord
from retrieval.ports import Listing
from retrieval.stores.cursors import make_cursor, read_cursor
from retrieval.stores.sqlite.audit_rows import add_event, add_record, head_of, record_of
from retrieval.stores.sqlite.core import Core
from retrieval.stores.sqlite.rows import event_of

_BY_NUMBER = "SELECT * FROM audit WHERE tenant_id = ? AND number > ? ORDER BY number LIMIT ?"


class SqliteAudit:
    """Implements retrieval.ports.AuditLog."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def append(self, tenant: str, *events: AuditEvent) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for event in events:
                add_event(connection, tenant, event)

        await self._core.db.write(work)

    async def list(self, tenant: str, *, cursor: str | None = None, limit: int = 100) -> Listing[AuditEvent]:
        scope = ("audit", tenant)
        place = None if cursor is None else read_cursor(cursor, scope, ((str,), (int,)))
        before = "" if place is None else "AND (at, id) < (?, ?)"
        select = f"SELECT * FROM audit WHERE tenant_id = ? {before} ORDER BY at DESC, id DESC LIMIT ?"

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(select, (tenant, *(place or ()), limit + 1)).fetchall()

        rows = await self._core.db.read(work)
        shown = rows[:limit]
        more = len(rows) > limit
        return Listing(
            items=tuple(event_of(row) for row in shown),
            next_cursor=make_cursor(scope, (shown[-1]["at"], shown[-1]["id"])) if more else None,
        )

    async def records(self, tenant: str, *, after: int = 0, limit: int = 1000) -> tuple[AuditRecord, ...]:
        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(_BY_NUMBER, (tenant, after, limit)).fetchall()

        return tuple(record_of(row) for row in await self._core.db.read(work))

    async def head(self, tenant: str) -> AuditHead:
        return await self._core.db.read(lambda connection: head_of(connection, tenant))

    async def adopt(self, tenant: str, records: Sequence[AuditRecord]) -> None:
        if not records:
            return

        def work(connection: sqlite3.Connection) -> None:
            mine = connection.execute(_BY_NUMBER, (tenant, records[0].number - 1, len(records))).fetchall()
            head = head_of(connection, tenant)
            for record in continuing(tenant, head, [record_of(row) for row in mine], records):
                add_record(connection, tenant, record)

        await self._core.db.write(work)
