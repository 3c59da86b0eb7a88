"""Pages in SQLite, with their vectors; the nearest are found by exact products in memory."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np

from retrieval.documents import Lease, NewPage, Page, PageVectors, ScoredPage
from retrieval.errors import EncoderMismatch, InvalidInput, NotFound, StoreUnavailable
from retrieval.filters import Filter
from retrieval.ports import Listing
from retrieval.stores.codec import vectors_to_bytes
from retrieval.stores.cursors import make_cursor, read_cursor
from retrieval.stores.sqlite.assets import find_asset, leased_asset
from retrieval.stores.sqlite.core import Core
from retrieval.stores.sqlite.files import Spooled
from retrieval.stores.sqlite.filter_sql import Sql, json_list, search_sql
from retrieval.stores.sqlite.leases import touch, write_held
from retrieval.stores.sqlite.memory import Matrix, Slice
from retrieval.stores.sqlite.page_rows import FIND_PAGE, PageRow, note_move, write_page
from retrieval.stores.sqlite.page_texts import pages_holding
from retrieval.stores.sqlite.rows import PAGE_SELECT, next_revision, page_of
from retrieval.stores.sqlite.vector_rows import VECTORS_SELECT, dims_of, fit_dims, vectors_of, write_vectors

_SOME = "p.tenant_id = ? AND p.page_id IN (SELECT value FROM json_each(?))"

_StorePages = Callable[[sqlite3.Connection, sqlite3.Row], None]


class SqlitePages:
    """Implements retrieval.ports.PageIndex."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._matrices: dict[tuple[str, int], Matrix] = {}

    async def put(self, lease: Lease, pages: Sequence[NewPage]) -> None:
        for new in pages:
            _check_page(lease, new)

        async def under_lease(store: _StorePages) -> None:
            def work(connection: sqlite3.Connection, job: int) -> None:
                store(connection, leased_asset(connection, lease))
                connection.execute(
                    "UPDATE entries SET attempts = 1 WHERE job = ? AND place = ?", (job, lease.entry_index)
                )
                touch(connection, job, self._core.now())

            await write_held(self._core, lease, work)

        await self._put(lease.tenant_id, pages, under_lease)

    async def adopt(self, tenant: str, pages: Sequence[NewPage]) -> None:
        async def as_given(store: _StorePages) -> None:
            def work(connection: sqlite3.Connection) -> None:
                first = pages[0].page
                store(connection, find_asset(connection, tenant, first.claim_id, first.asset_id))

            await self._core.db.write(work)

        if pages:
            await self._put(tenant, pages, as_given)

    async def done(self, tenant: str, claim_id: str, asset_id: str, *, encoder: str) -> frozenset[int]:
        select = (
            "SELECT p.number FROM pages p JOIN claims c ON c.id = p.claim JOIN assets a ON a.id = p.asset "
            "WHERE c.tenant_id = ? AND c.claim_id = ? AND a.asset_id = ? AND p.encoder = ?"
        )
        rows = await self._rows(select, (tenant, claim_id, asset_id, encoder))
        return frozenset(row["number"] for row in rows)

    async def get(self, tenant: str, page_id: str) -> Page:
        rows = await self._rows(FIND_PAGE, (tenant, page_id))
        if not rows:
            raise NotFound.of("page", page_id)
        return page_of(rows[0])

    async def get_many(self, tenant: str, page_ids: Sequence[str]) -> dict[str, Page]:
        rows = await self._rows(f"{PAGE_SELECT} WHERE {_SOME}", (tenant, json_list(page_ids)))
        return {row["page_id"]: page_of(row) for row in rows}

    async def list(
        self, tenant: str, *, claim_id: str, asset_id: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Listing[Page]:
        scope = ("pages", tenant, claim_id, asset_id)
        where, values = "c.tenant_id = ? AND c.claim_id = ?", (tenant, claim_id)
        if asset_id is not None:
            where, values = f"{where} AND a.asset_id = ?", (*values, asset_id)
        if cursor is not None:
            place = read_cursor(cursor, scope, ((str,), (int,), (int,)))
            where, values = f"{where} AND (a.created_at, a.id, p.number) > (?, ?, ?)", (*values, *place)
        select = (
            f"SELECT x.*, a.created_at AS asset_created_at FROM ({PAGE_SELECT} WHERE {where}) x "
            "JOIN assets a ON a.id = x.asset ORDER BY a.created_at, a.id, x.number LIMIT ?"
        )
        rows = await self._rows(select, (*values, limit + 1))
        shown = rows[:limit]
        next_cursor = None
        if len(rows) > limit:
            last = shown[-1]
            next_cursor = make_cursor(scope, (last["asset_created_at"], last["asset"], last["number"]))
        return Listing(tuple(page_of(row) for row in shown), next_cursor)

    async def picture(self, tenant: str, page_id: str) -> bytes:
        def work(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(FIND_PAGE, (tenant, page_id)).fetchone()
            if row is None:
                raise NotFound.of("page", page_id)
            try:
                return b"".join(self._core.files.reader("pictures", row["picture"]).chunks())
            except FileNotFoundError:
                return None

        picture = await self._core.db.read(work)
        if picture is None:
            await self.get(tenant, page_id)  # deleted since this snapshot?
            raise StoreUnavailable("The picture of this page is missing in the data folder: restore it from a backup.")
        return picture

    async def nearest(
        self, tenant: str, vector: PageVectors, filter: Filter, *, limit: int, exact: bool = False
    ) -> list[ScoredPage]:
        where = search_sql(tenant, filter)

        def work(connection: sqlite3.Connection) -> Slice | None:
            dims = dims_of(connection, vector.encoder)
            if dims is not None and vector.summary.shape != (dims,):
                raise EncoderMismatch(
                    f"Stored vectors of {vector.encoder[:80]} have length {dims}, not {vector.summary.size}."
                )
            return self._passing(connection, tenant, where, vector.encoder, dims)

        passing = await self._core.db.read(work)
        if passing is None:
            return []
        return await self._core.db.on_thread(lambda: passing.nearest(vector.summary, limit))

    async def matching(self, tenant: str, filter: Filter, *, encoder: str, limit: int) -> list[tuple[str, int]]:
        where = search_sql(tenant, filter)

        def work(connection: sqlite3.Connection) -> Slice | None:
            return self._passing(connection, tenant, where, encoder, dims_of(connection, encoder))

        passing = await self._core.db.read(work)
        return [] if passing is None else await self._core.db.on_thread(lambda: passing.listed(limit))

    async def containing(
        self, tenant: str, strings: Sequence[str], filter: Filter, *, encoder: str, limit: int
    ) -> frozenset[str]:
        where = search_sql(tenant, filter)
        return await self._core.db.read(
            lambda connection: pages_holding(connection, tenant, strings, where, encoder=encoder, limit=limit)
        )

    async def texts(self, tenant: str, page_ids: Sequence[str]) -> dict[str, str]:
        select = f"SELECT p.page_id, t.text FROM pages p JOIN texts t ON t.page = p.id WHERE {_SOME}"
        rows = await self._rows(select, (tenant, json_list(page_ids)))
        return {row["page_id"]: row["text"] for row in rows}

    @property
    def keeps_text(self) -> bool:
        return self._core.files.keys is None

    async def vectors(self, tenant: str, page_ids: Sequence[str]) -> dict[str, PageVectors]:
        rows = await self._rows(f"{VECTORS_SELECT} WHERE {_SOME}", (tenant, json_list(page_ids)))
        return {row["page_id"]: vectors_of(row) for row in rows}

    async def passing(self, tenant: str, page_ids: Sequence[str], filter: Filter, *, encoder: str) -> frozenset[str]:
        where = search_sql(tenant, filter)
        # CROSS and + leave SQLite one plan: the few pages by their ids first, then what their claims say.
        select = (
            "SELECT p.page_id FROM pages p CROSS JOIN claims c ON c.id = p.claim "
            f"WHERE {_SOME} AND +p.encoder = ? AND {where.text}"
        )
        rows = await self._rows(select, (tenant, json_list(page_ids), encoder, *where.values))
        return frozenset(row["page_id"] for row in rows)

    async def stale(self, *, encoder: str, limit: int) -> list[tuple[str, Page]]:
        select = f"{PAGE_SELECT} WHERE p.encoder <> ? ORDER BY p.page_id, p.tenant_id LIMIT ?"
        return [(row["tenant_id"], page_of(row)) for row in await self._rows(select, (encoder, limit))]

    async def replace_vectors(
        self, tenant: str, page_id: str, vectors: PageVectors, *, usage: Mapping[str, int]
    ) -> None:
        packed = await self._core.db.on_thread(lambda: vectors_to_bytes(vectors))

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute(FIND_PAGE, (tenant, page_id)).fetchone()
            if row is None:
                raise NotFound.of("page", page_id)
            fit_dims(connection, vectors.encoder, vectors.summary.size)
            note_move(connection, row, vectors.encoder)
            connection.execute(
                "UPDATE pages SET encoder = ?, usage = ?, revision = ? WHERE id = ?",
                (vectors.encoder, json.dumps(dict(usage)), next_revision(connection), row["id"]),
            )
            write_vectors(connection, row["id"], packed)

        await self._core.db.write(work)

    async def counts(self, tenant: str | None = None) -> dict[str, int]:
        where, values = ("", ()) if tenant is None else ("WHERE tenant_id = ?", (tenant,))
        rows = await self._rows(f"SELECT encoder, count(*) AS count FROM pages {where} GROUP BY encoder", values)
        return {row["encoder"]: row["count"] for row in rows}

    async def searchable(self, tenant: str, page_ids: Sequence[str]) -> bool:
        """A search reads what is committed, so a stored page is found."""
        rows = await self._rows(f"SELECT count(*) AS count FROM pages p WHERE {_SOME}", (tenant, json_list(page_ids)))
        return rows[0]["count"] == len(set(page_ids))

    def forget(self) -> None:
        """Drops the matrices; the next search reads them again."""
        with self._lock:
            self._matrices.clear()

    async def _rows(self, select: str, values: tuple[object, ...]) -> list[sqlite3.Row]:
        return await self._core.db.read(lambda connection: connection.execute(select, values).fetchall())

    async def _put(self, tenant: str, pages: Sequence[NewPage], run: Callable[[_StorePages], Awaitable[None]]) -> None:
        """run: calls what it gets, with the file's record, in one write transaction."""
        packed = await self._core.db.on_thread(lambda: [vectors_to_bytes(new.vectors) for new in pages])
        spooled: list[Spooled] = []

        def spool() -> None:
            for new in pages:
                spooled.append(self._core.files.spool_bytes("pictures", new.picture))

        def store(connection: sqlite3.Connection, asset: sqlite3.Row) -> None:
            for new, stored, picture in zip(pages, packed, spooled, strict=True):
                row = PageRow(new, asset["claim"], asset["id"], picture.name, self.keeps_text)
                write_page(connection, tenant, row, stored, now=self._core.clock())
            self._core.files.note_key(connection)
            self._core.files.settle("pictures", spooled)

        try:
            await self._core.db.on_thread(spool)
            await run(store)
        finally:
            await self._core.db.on_thread(lambda: self._core.files.discard(spooled))
        await self._core.clear_leftovers()

    def _passing(
        self, connection: sqlite3.Connection, tenant: str, where: Sql, encoder: str, dims: int | None
    ) -> Slice | None:
        """The filter's pages, by ids of claims (fewer than pages) unless it asks something of a page itself."""
        if dims is None:
            return None
        with self._lock:
            matrix = self._matrices.setdefault((encoder, dims), Matrix(encoder, dims))
        if where.is_always:
            return matrix.pages_of_tenant(connection, tenant)
        if where.on_pages:
            select = (
                "SELECT p.id FROM pages p JOIN claims c ON c.id = p.claim "
                f"WHERE p.tenant_id = ? AND p.encoder = ? AND {where.text}"
            )
            found = connection.execute(select, (tenant, encoder, *where.values))
            return matrix.pages_of_keys(connection, np.fromiter((row[0] for row in found), np.int64))
        found = connection.execute(
            f"SELECT c.id FROM claims c WHERE c.tenant_id = ? AND {where.text}", (tenant, *where.values)
        )
        return matrix.pages_of_claims(connection, np.fromiter((row[0] for row in found), np.int64))


def _check_page(lease: Lease, new: NewPage) -> None:
    page = new.page
    if (page.claim_id, page.asset_id) != (lease.claim_id, lease.asset_id):
        raise InvalidInput("The page is not one of the leased file.", code="bad_page", field="page")
    if page.encoder != new.vectors.encoder:
        raise InvalidInput("The page names another encoder than its vectors.", code="bad_page", field="encoder")
