"""Claims in SQLite: facts as columns, so that pages need no copies of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace

from retrieval.documents import Claim, DeletionReport, Facet, Sort
from retrieval.errors import Conflict, NotFound
from retrieval.filters import Filter
from retrieval.ports import Listing, Note
from retrieval.stores.cursors import Part, make_cursor, read_cursor
from retrieval.stores.deletion import require_free, require_version
from retrieval.stores.sqlite.audit_rows import noted
from retrieval.stores.sqlite.core import Core
from retrieval.stores.sqlite.facets import facet
from retrieval.stores.sqlite.filter_sql import claim_sql, json_list, kind_of
from retrieval.stores.sqlite.rows import claim_key, claim_of, leave, note_deletion, stamp

_SORT_KINDS: dict[str, tuple[type, ...]] = {
    "created_at": (str,),
    "updated_at": (str,),
    "loss_date": (str, type(None)),
    "loss_amount": (int, float, type(None)),
    "claim_id": (str,),
}
_COLUMNS = [
    "line",
    "status",
    "policy_id",
    "loss_date",
    "reported_date",
    "loss_amount",
    "currency",
    "city",
    "region",
    "country",
    "make",
    "model",
    "year",
    "description",
    "damage_types",
    "attributes",
    "created_at",
    "updated_at",
    "version",
]
_WRITE = (
    f"INSERT INTO claims (tenant_id, claim_id, {', '.join(_COLUMNS)}) VALUES (?, ?{', ?' * len(_COLUMNS)}) "
    f"ON CONFLICT (tenant_id, claim_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS)} "
    "RETURNING *"
)


_HOLD = "UPDATE claims SET held = ?, version = version + 1 WHERE tenant_id = ? AND claim_id = ? AND held <> ?"


class SqliteClaims:
    """Implements retrieval.ports.ClaimStore."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def put(
        self, tenant: str, claim: Claim, *, create_only: bool = False, note: Note[tuple[Claim, bool]] | None = None
    ) -> tuple[Claim, bool]:
        def work(connection: sqlite3.Connection) -> tuple[Claim, bool]:
            old = _find(connection, tenant, claim.claim_id)
            if old is not None and create_only:
                raise Conflict(f"There is a claim {claim.claim_id[:80]!r} already.", code="claim_exists")
            return noted(connection, tenant, (self._write(connection, tenant, claim, old), old is None), note)

        return await self._core.db.write(work)

    async def get(self, tenant: str, claim_id: str) -> Claim:
        found = await self._core.db.read(lambda connection: _find(connection, tenant, claim_id))
        if found is None:
            raise NotFound.of("claim", claim_id)
        return found

    async def get_many(self, tenant: str, claim_ids: Sequence[str]) -> dict[str, Claim]:
        select = "SELECT * FROM claims WHERE tenant_id = ? AND claim_id IN (SELECT value FROM json_each(?))"

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(select, (tenant, json_list(claim_ids))).fetchall()

        return {row["claim_id"]: claim_of(row) for row in await self._core.db.read(work)}

    async def update(
        self,
        tenant: str,
        claim_id: str,
        change: Callable[[Claim], Claim],
        *,
        expected_version: int | None = None,
        note: Note[Claim] | None = None,
    ) -> Claim:
        def work(connection: sqlite3.Connection) -> Claim:
            old = _find(connection, tenant, claim_id)
            if old is None:
                raise NotFound.of("claim", claim_id)
            require_version(old.version, expected_version)
            changed = self._write(connection, tenant, replace(change(old), claim_id=claim_id), old)
            return noted(connection, tenant, changed, note)

        return await self._core.db.write(work)

    async def delete(
        self,
        tenant: str,
        claim_id: str,
        *,
        expected_version: int | None = None,
        note: Note[DeletionReport] | None = None,
    ) -> DeletionReport:
        def work(connection: sqlite3.Connection) -> DeletionReport:
            return noted(connection, tenant, _delete(connection, tenant, claim_id, expected_version), note)

        report = await self._core.db.write(work)
        await self._core.forget()
        return report

    async def set_hold(self, tenant: str, claim_id: str, held: bool, *, note: Note[Claim] | None = None) -> Claim:
        def work(connection: sqlite3.Connection) -> Claim:
            changed = connection.execute(_HOLD, (held, tenant, claim_id, held)).rowcount
            found = _find(connection, tenant, claim_id)
            if found is None:
                raise NotFound.of("claim", claim_id)
            return noted(connection, tenant, found, note if changed else None)

        return await self._core.db.write(work)

    async def adopt(self, tenant: str, claim: Claim) -> None:
        def work(connection: sqlite3.Connection) -> None:
            key = _write_claim(connection, tenant, claim)["id"]
            connection.execute("UPDATE claims SET held = ? WHERE id = ?", (claim.held, key))

        await self._core.db.write(work)

    async def list(
        self, tenant: str, filter: Filter, *, sort: Sort, cursor: str | None = None, limit: int = 50
    ) -> Listing[Claim]:
        scope = ("claims", tenant, filter, sort)
        where = claim_sql(tenant, filter)
        values = (tenant, *where.values)
        text = f"c.tenant_id = ? AND {where.text}"
        if cursor is not None:
            after, place = _after(sort, read_cursor(cursor, scope, (_SORT_KINDS[sort.field], (str,))))
            text, values = f"{text} AND {after}", (*values, *place)
        order = f"c.{sort.field} {'DESC' if sort.descending else 'ASC'} NULLS LAST, c.claim_id"
        select = f"SELECT c.* FROM claims c WHERE {text} ORDER BY {order} LIMIT ?"

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(select, (*values, limit + 1)).fetchall()

        rows = await self._core.db.read(work)
        shown = rows[:limit]
        next_cursor = None
        if len(rows) > limit:
            next_cursor = make_cursor(scope, (shown[-1][sort.field], shown[-1]["claim_id"]))
        return Listing(tuple(claim_of(row) for row in shown), next_cursor)

    async def facets(self, tenant: str, filter: Filter, fields: Sequence[str]) -> tuple[Facet, ...]:
        where = claim_sql(tenant, filter)
        return await self._core.db.read(
            lambda connection: tuple(facet(connection, tenant, where, path) for path in fields)
        )

    async def count(self, tenant: str) -> int:
        def work(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM claims WHERE tenant_id = ?", (tenant,)).fetchone()[0])

        return await self._core.db.read(work)

    def _write(self, connection: sqlite3.Connection, tenant: str, claim: Claim, old: Claim | None) -> Claim:
        now = self._core.clock()
        dated = replace(
            claim,
            created_at=now if old is None or old.created_at is None else old.created_at,
            updated_at=now,
            version=1 if old is None else old.version + 1,
        )
        return claim_of(_write_claim(connection, tenant, dated))


def _write_claim(connection: sqlite3.Connection, tenant: str, claim: Claim) -> sqlite3.Row:
    """Create or replace, with the times and the version that it has; its hold stays as it is."""
    stored = connection.execute(_WRITE, _row(tenant, claim)).fetchone()
    key = int(stored["id"])
    connection.execute("DELETE FROM claim_damage WHERE claim = ?", (key,))
    connection.executemany(
        "INSERT OR IGNORE INTO claim_damage VALUES (?, ?, ?)", [(key, tenant, word) for word in claim.damage_types]
    )
    connection.execute("DELETE FROM claim_attributes WHERE claim = ?", (key,))
    connection.executemany(
        "INSERT INTO claim_attributes VALUES (?, ?, ?, ?, ?)",
        [
            (key, tenant, name, kind_of(value), float(value) if kind_of(value) == "number" else value)
            for name, value in claim.attributes.items()
        ],
    )
    return stored


def _find(connection: sqlite3.Connection, tenant: str, claim_id: str) -> Claim | None:
    select = "SELECT * FROM claims WHERE tenant_id = ? AND claim_id = ?"
    row = connection.execute(select, (tenant, claim_id)).fetchone()
    return None if row is None else claim_of(row)


def _row(tenant: str, claim: Claim) -> tuple[object, ...]:
    return (
        tenant,
        claim.claim_id,
        claim.line,
        claim.status,
        claim.policy_id,
        claim.loss_date and claim.loss_date.isoformat(),
        claim.reported_date and claim.reported_date.isoformat(),
        claim.loss_amount,
        claim.currency,
        claim.location.city,
        claim.location.region,
        claim.location.country,
        claim.vehicle.make,
        claim.vehicle.model,
        claim.vehicle.year,
        claim.description,
        json.dumps(list(claim.damage_types)),
        json.dumps(dict(claim.attributes)),
        claim.created_at and stamp(claim.created_at),
        claim.updated_at and stamp(claim.updated_at),
        claim.version,
    )


def _after(sort: Sort, place: list[Part]) -> tuple[str, tuple[Part, ...]]:
    """What comes after `place` in the order: (value, claim_id), missing values last."""
    value, claim_id = place
    column = f"c.{sort.field}"
    if value is None:
        return f"({column} IS NULL AND c.claim_id > ?)", (claim_id,)
    sign = "<" if sort.descending else ">"
    return f"({column} {sign} ? OR ({column} = ? AND c.claim_id > ?) OR {column} IS NULL)", (value, value, claim_id)


def _delete(connection: sqlite3.Connection, tenant: str, claim_id: str, expected_version: int | None) -> DeletionReport:
    """Rows that hang on the claim go with it (foreign keys); files are noted first and removed after the commit."""
    found = _find(connection, tenant, claim_id)
    if found is None:
        raise NotFound.of("claim", claim_id)
    require_version(found.version, expected_version)
    require_free(claim_id, held=found.held)
    key = claim_key(connection, tenant, claim_id)
    note_deletion(connection)
    assets = connection.execute("SELECT asset_id, size_bytes FROM assets WHERE claim = ?", (key,)).fetchall()
    pictures = connection.execute("SELECT picture FROM pages WHERE claim = ?", (key,)).fetchall()
    connection.execute("DELETE FROM claims WHERE id = ?", (key,))
    leave(connection, "assets", [row["asset_id"] for row in assets])
    leave(connection, "pictures", [row["picture"] for row in pictures])
    held = "SELECT 1 FROM assets WHERE tenant_id = ? AND asset_id = ? LIMIT 1"
    freed = [row for row in assets if connection.execute(held, (tenant, row["asset_id"])).fetchone() is None]
    return DeletionReport(
        claims=1, assets=len(assets), pages=len(pictures), size_bytes=sum(row["size_bytes"] for row in freed)
    )
