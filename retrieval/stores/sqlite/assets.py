"""Uploaded files in SQLite: a record a claim, and the bytes once, in a file named by their hash."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from retrieval.capture import Capture
from retrieval.documents import Asset, DeletionReport, Lease
from retrieval.errors import InvalidInput, NotFound, StoreUnavailable
from retrieval.ingestion.spool import Spool
from retrieval.ports import Note
from retrieval.stores.deletion import DELETED_NAME, require_free
from retrieval.stores.quota import require_room
from retrieval.stores.sqlite.audit_rows import noted
from retrieval.stores.sqlite.core import Core
from retrieval.stores.sqlite.files import Spooled
from retrieval.stores.sqlite.leases import write_held
from retrieval.stores.sqlite.rows import ASSET_SELECT, asset_of, claim_key, leave, note_deletion, stamp

T = TypeVar("T")

_INSERT = (
    "INSERT INTO assets "
    "(tenant_id, claim, asset_id, filename, size_bytes, media_type, page_count, warnings, capture, created_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_STORED_BYTES = (
    "SELECT coalesce(sum(size_bytes), 0) FROM (SELECT DISTINCT asset_id, size_bytes FROM assets WHERE tenant_id = ?)"
)

_AS_GIVEN = (
    "UPDATE assets SET filename = ?, media_type = ?, page_count = ?, warnings = ?, capture = ?, "
    "created_at = coalesce(?, created_at) WHERE id = ?"
)

# Their pages_done is counted from pages that go.
_TOUCH_JOBS = (
    "UPDATE jobs SET revision = revision + 1, updated_at = ? "
    "WHERE id IN (SELECT j.id FROM jobs j JOIN entries e ON e.job = j.id WHERE j.claim = ? AND e.asset_id = ?)"
)
_FORGET_NAME = (
    "UPDATE entries SET filename = ?, detail = NULL WHERE job IN (SELECT id FROM jobs WHERE claim = ?) AND asset_id = ?"
)


class SqliteAssets:
    """Implements retrieval.ports.AssetStore."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def add(
        self, tenant: str, asset: Asset, source: Path, *, most_bytes: int | None = None
    ) -> tuple[Asset, bool]:
        def look(connection: sqlite3.Connection) -> Asset | None:
            known = self._complete(connection, tenant, asset)
            if known is None:
                _require_room(connection, tenant, asset, most_bytes)  # before it is copied in vain
            return known

        def insert(connection: sqlite3.Connection) -> tuple[Asset, bool]:
            _require_room(connection, tenant, asset, most_bytes)
            return self._insert(connection, tenant, asset, spooled)

        known = await self._core.db.read(look)
        if known is not None:
            return known, False
        spooled = await self._core.db.on_thread(lambda: self._core.files.spool_copy("assets", asset.asset_id, source))
        try:
            if spooled.name != asset.asset_id:
                raise InvalidInput("The file is not the one its asset_id names.", code="bad_asset", field="asset_id")
            return await self._core.db.write(insert)
        finally:
            await self._core.db.on_thread(lambda: self._core.files.discard([spooled]))

    async def adopt(self, tenant: str, asset: Asset, source: Path) -> None:
        await self.add(tenant, asset, source)

        def work(connection: sqlite3.Connection) -> None:
            row = find_asset(connection, tenant, asset.claim_id, asset.asset_id)
            given = (
                asset.filename,
                asset.media_type,
                asset.page_count,
                json.dumps(asset.warnings),
                _capture(asset.capture),
                asset.created_at and stamp(asset.created_at),
            )
            connection.execute(_AS_GIVEN, (*given, row["id"]))

        await self._core.db.write(work)

    async def get(self, tenant: str, asset_id: str, *, claim_id: str | None = None) -> tuple[Asset, ...]:
        found = await self._core.db.read(lambda connection: _records(connection, tenant, asset_id, claim_id))
        if not found:
            raise NotFound.of("asset", asset_id)
        return tuple(asset_of(row) for row in found)

    async def stored_bytes(self, tenant: str) -> int:
        return await self._core.db.read(lambda connection: _stored_bytes(connection, tenant))

    async def list(self, tenant: str, claim_id: str) -> tuple[Asset, ...]:
        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            key = claim_key(connection, tenant, claim_id)
            return connection.execute(
                f"{ASSET_SELECT} WHERE a.claim = ? ORDER BY a.created_at, a.id", (key,)
            ).fetchall()

        return tuple(asset_of(row) for row in await self._core.db.read(work))

    async def describe(self, lease: Lease, *, media_type: str, page_count: int, capture: Capture | None = None) -> None:
        def work(connection: sqlite3.Connection, job: int) -> None:
            row = leased_asset(connection, lease)
            connection.execute(
                "UPDATE assets SET media_type = ?, page_count = ?, capture = ? WHERE id = ?",
                (media_type, page_count, _capture(capture), row["id"]),
            )

        await write_held(self._core, lease, work)

    async def warn(self, lease: Lease, warnings: Sequence[tuple[str, str]]) -> None:
        def work(connection: sqlite3.Connection, job: int) -> None:
            row = leased_asset(connection, lease)
            kept = [tuple(warning) for warning in json.loads(row["warnings"])]
            both = json.dumps(list(dict.fromkeys([*kept, *warnings])))
            connection.execute("UPDATE assets SET warnings = ? WHERE id = ?", (both, row["id"]))

        await write_held(self._core, lease, work)

    async def open(self, tenant: str, asset_id: str) -> AsyncIterator[bytes]:
        reader = await self._reach(tenant, asset_id, lambda: self._core.files.reader("assets", asset_id))
        try:
            while chunk := await self._core.db.on_thread(reader.read):
                yield chunk
        finally:
            reader.close()

    @asynccontextmanager
    async def local_copy(self, tenant: str, asset_id: str) -> AsyncGenerator[Path]:
        reader = await self._reach(tenant, asset_id, lambda: self._core.files.reader("assets", asset_id))
        reader.close()
        if reader.key_id is not None:
            async with Spool(self._core.copies).copy_of(self.open(tenant, asset_id)) as path:
                yield path
            return
        path = await self._reach(tenant, asset_id, lambda: self._core.files.link_out(asset_id))
        try:
            yield path
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def delete(
        self, tenant: str, asset_id: str, *, claim_id: str | None = None, note: Note[DeletionReport] | None = None
    ) -> DeletionReport:
        now = self._core.now()

        def work(connection: sqlite3.Connection) -> DeletionReport:
            return noted(connection, tenant, _delete(connection, tenant, asset_id, claim_id, now=now), note)

        report = await self._core.db.write(work)
        await self._core.forget()
        return report

    async def _reach(self, tenant: str, asset_id: str, take: Callable[[], T]) -> T:
        """Takes hold of the bytes. Raises NotFound when the tenant has no such file."""

        def attempt() -> T | None:
            try:
                return take()
            except FileNotFoundError:
                return None

        await self.get(tenant, asset_id)
        taken = await self._core.db.on_thread(attempt)
        if taken is None:
            await self.get(tenant, asset_id)  # deleted in between?
            raise StoreUnavailable("The bytes of this file are missing in the data folder: restore it from a backup.")
        return taken

    def _complete(self, connection: sqlite3.Connection, tenant: str, asset: Asset) -> Asset | None:
        """The record, when it and its bytes are there. Raises NotFound claim_not_found."""
        claim_key(connection, tenant, asset.claim_id)
        rows = _records(connection, tenant, asset.asset_id, asset.claim_id)
        if not rows:
            return None
        try:
            reader = self._core.files.reader("assets", asset.asset_id)
        except FileNotFoundError:
            return None
        reader.close()
        return asset_of(rows[0]) if reader.size_bytes == rows[0]["size_bytes"] else None

    def _insert(
        self, connection: sqlite3.Connection, tenant: str, asset: Asset, spooled: Spooled
    ) -> tuple[Asset, bool]:
        key = claim_key(connection, tenant, asset.claim_id)
        is_new = not _records(connection, tenant, asset.asset_id, asset.claim_id)
        if is_new:
            row = (
                tenant,
                key,
                asset.asset_id,
                asset.filename,
                spooled.size_bytes,
                asset.media_type,
                asset.page_count,
                json.dumps(asset.warnings),
                _capture(asset.capture),
                self._core.now(),
            )
            connection.execute(_INSERT, row)
        self._core.files.note_key(connection)
        self._core.files.settle("assets", [spooled])
        [stored] = _records(connection, tenant, asset.asset_id, asset.claim_id)
        return asset_of(stored), is_new


def _stored_bytes(connection: sqlite3.Connection, tenant: str) -> int:
    return int(connection.execute(_STORED_BYTES, (tenant,)).fetchone()[0])


def _require_room(connection: sqlite3.Connection, tenant: str, asset: Asset, most_bytes: int | None) -> None:
    """Raises TooLarge quota_exceeded."""
    if most_bytes is not None and not _records(connection, tenant, asset.asset_id, None):
        require_room(_stored_bytes(connection, tenant), asset.size_bytes, most_bytes)


def _capture(capture: Capture | None) -> str | None:
    return None if capture is None else json.dumps(capture.as_record())


def leased_asset(connection: sqlite3.Connection, lease: Lease) -> sqlite3.Row:
    """The record that a worker works on. Raises NotFound."""
    return find_asset(connection, lease.tenant_id, lease.claim_id, lease.asset_id)


def find_asset(connection: sqlite3.Connection, tenant: str, claim_id: str, asset_id: str) -> sqlite3.Row:
    """Raises NotFound, of the claim or of the asset."""
    claim_key(connection, tenant, claim_id)
    rows = _records(connection, tenant, asset_id, claim_id)
    if not rows:
        raise NotFound.of("asset", asset_id)
    return rows[0]


def _records(connection: sqlite3.Connection, tenant: str, asset_id: str, claim_id: str | None) -> list[sqlite3.Row]:
    select = f"{ASSET_SELECT} WHERE a.tenant_id = ? AND a.asset_id = ?"
    values = (tenant, asset_id)
    if claim_id is not None:
        select, values = f"{select} AND c.claim_id = ?", (*values, claim_id)
    return connection.execute(f"{select} ORDER BY a.created_at, a.id", values).fetchall()


def _delete(
    connection: sqlite3.Connection, tenant: str, asset_id: str, claim_id: str | None, *, now: str
) -> DeletionReport:
    rows = _records(connection, tenant, asset_id, claim_id)
    if not rows:
        raise NotFound.of("asset", asset_id)
    for row in rows:
        require_free(row["claim_id"], held=bool(row["held"]))
    note_deletion(connection)
    pages = 0
    for row in rows:
        pictures = connection.execute("SELECT picture FROM pages WHERE asset = ?", (row["id"],)).fetchall()
        leave(connection, "pictures", [picture["picture"] for picture in pictures])
        pages += len(pictures)
        connection.execute(_TOUCH_JOBS, (now, row["claim"], asset_id))
        connection.execute(_FORGET_NAME, (DELETED_NAME, row["claim"], asset_id))
        connection.execute("DELETE FROM assets WHERE id = ?", (row["id"],))
    leave(connection, "assets", [asset_id])
    freed = not _records(connection, tenant, asset_id, None)
    return DeletionReport(assets=len(rows), pages=pages, size_bytes=rows[0]["size_bytes"] if freed else 0)
