"""API keys in SQLite."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime

from retrieval.errors import Conflict, NotFound
from retrieval.keys import ApiKey, Role
from retrieval.ports import Note
from retrieval.stores.keys import require_lasting
from retrieval.stores.sqlite.audit_rows import noted
from retrieval.stores.sqlite.core import Core
from retrieval.stores.sqlite.rows import stamp

_PUT = "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REPLACE = _PUT.replace("INSERT", "INSERT OR REPLACE")


class SqliteKeys:
    """Implements retrieval.ports.KeyStore."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def add(self, key: ApiKey, *, note: Note[ApiKey] | None = None) -> None:
        def work(connection: sqlite3.Connection) -> None:
            _add(connection, key)
            noted(connection, key.tenant, key, note)

        await self._core.db.write(work)

    async def adopt(self, key: ApiKey) -> None:
        await self._core.db.write(lambda connection: connection.execute(_REPLACE, _row(key)))

    async def get(self, key_id: str) -> ApiKey:
        return await self._core.db.read(lambda connection: _get(connection, key_id))

    async def list(self, tenant: str | None = None) -> tuple[ApiKey, ...]:
        select = "SELECT * FROM keys WHERE ? IN (tenant_id, '') ORDER BY created_at, key_id"

        def work(connection: sqlite3.Connection) -> tuple[ApiKey, ...]:
            return tuple(_key_of(row) for row in connection.execute(select, (tenant or "",)))

        return await self._core.db.read(work)

    async def exist(self) -> bool:
        return (
            await self._core.db.read(lambda connection: connection.execute("SELECT 1 FROM keys").fetchone()) is not None
        )

    async def revoke(self, key_id: str, *, note: Note[ApiKey] | None = None) -> ApiKey:
        now = self._core.clock()

        def work(connection: sqlite3.Connection) -> ApiKey:
            change = "UPDATE keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL"
            changed = connection.execute(change, (stamp(now), key_id)).rowcount
            key = _get(connection, key_id)
            return noted(connection, key.tenant, key, note if changed else None)

        return await self._core.db.write(work)

    async def rotate(
        self, key_id: str, successor: ApiKey, *, until: datetime, note: Note[ApiKey] | None = None
    ) -> ApiKey:
        now = self._core.clock()

        def work(connection: sqlite3.Connection) -> ApiKey:
            old = _get(connection, key_id)
            require_lasting(old, now)
            _add(connection, successor)
            ended = replace(old, expires_at=min(until, old.expires_at or until))
            connection.execute(_REPLACE, _row(ended))
            return noted(connection, old.tenant, ended, note)

        return await self._core.db.write(work)

    async def used(self, key_id: str) -> None:
        now = self._core.now()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE keys SET last_used_at = ? WHERE key_id = ?", (now, key_id))

        await self._core.db.write(work)


def _add(connection: sqlite3.Connection, key: ApiKey) -> None:
    if connection.execute("SELECT 1 FROM keys WHERE key_id = ?", (key.key_id,)).fetchone():
        raise Conflict("There is a key with this id.", code="key_exists")
    connection.execute(_PUT, _row(key))


def _get(connection: sqlite3.Connection, key_id: str) -> ApiKey:
    row = connection.execute("SELECT * FROM keys WHERE key_id = ?", (key_id,)).fetchone()
    if row is None:
        raise NotFound.of("key", key_id)
    return _key_of(row)


def _row(key: ApiKey) -> tuple[str | None, ...]:
    times = (key.created_at, key.expires_at, key.revoked_at, key.last_used_at)
    stamps = (None if moment is None else stamp(moment) for moment in times)
    return (key.key_id, key.tenant, key.role.value, key.name, key.digest, *stamps)


def _key_of(row: sqlite3.Row) -> ApiKey:
    def moment(name: str) -> datetime | None:
        return None if row[name] is None else datetime.fromisoformat(row[name])

    return ApiKey(
        key_id=row["key_id"],
        tenant=row["tenant_id"],
        role=Role(row["role"]),
        name=row["name"],
        digest=row["digest"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=moment("expires_at"),
        revoked_at=moment("revoked_at"),
        last_used_at=moment("last_used_at"),
    )
