"""The embedded engine: one data folder, one SQLite file in it, opened by as many processes as there are."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import uuid_utils

from retrieval.errors import InvalidInput
from retrieval.ports import IndexStatus, Progress, Resealed
from retrieval.stores.sealing import Keyring, require_keys
from retrieval.stores.sqlite.assets import SqliteAssets
from retrieval.stores.sqlite.audit import SqliteAudit
from retrieval.stores.sqlite.claims import SqliteClaims
from retrieval.stores.sqlite.connection import Database
from retrieval.stores.sqlite.core import Core
from retrieval.stores.sqlite.failures import translated
from retrieval.stores.sqlite.files import KINDS, Files, Kind, used_keys
from retrieval.stores.sqlite.jobs import SqliteJobs
from retrieval.stores.sqlite.keys import SqliteKeys
from retrieval.stores.sqlite.pages import SqlitePages
from retrieval.stores.sqlite.resealing import reseal

DATABASE_NAME = "claimsight.db"

_FILES_A_STEP = 200
_KEPT_REMOVALS = 100_000


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid_utils.uuid7())


class SqliteStore:
    """Implements retrieval.ports.Store."""

    def __init__(self, core: Core) -> None:
        """Use `open`."""
        self._core = core
        self._claims = SqliteClaims(core)
        self._assets = SqliteAssets(core)
        self._pages = SqlitePages(core)
        self._jobs = SqliteJobs(core)
        self._audit = SqliteAudit(core)
        self._keys = SqliteKeys(core)

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        clock: Callable[[], datetime] = _utc_now,
        new_id: Callable[[], str] = _new_id,
        max_attempts: int = 5,
        keys: Keyring | None = None,
        spool: Path | None = None,
    ) -> SqliteStore:
        """Opens the data folder `path`, making it where it is missing, and removes files that a crash left behind.

        clock: aware UTC. new_id: ids of jobs. max_attempts: how often in a row a file is leased
        without a page stored before it counts as failed. keys: encrypt and open its files. spool: where encrypted
        files lie open while they are worked on, by default in the folder. Raises StoreUnavailable,
        encryption_key_missing when files are under a key that is not given.
        """
        with translated():
            files = await asyncio.to_thread(Files.prepare, path, keys)
        db = await Database.open(files.root / DATABASE_NAME)
        core = Core(db, files, clock, new_id, max_attempts, spool or files.root / "spool")
        try:
            require_keys(keys, await db.read(used_keys))
            await core.clear_leftovers()
        except BaseException:
            await db.close()
            raise
        return cls(core)

    @property
    def claims(self) -> SqliteClaims:
        return self._claims

    @property
    def assets(self) -> SqliteAssets:
        return self._assets

    @property
    def pages(self) -> SqlitePages:
        return self._pages

    @property
    def jobs(self) -> SqliteJobs:
        return self._jobs

    @property
    def audit(self) -> SqliteAudit:
        return self._audit

    @property
    def keys(self) -> SqliteKeys:
        return self._keys

    @property
    def engine(self) -> str:
        return "sqlite"

    async def ping(self) -> None:
        require_keys(self._core.files.keys, await self._core.db.read(used_keys))

    async def ensure_index(self, *, dims: int, wait_s: float = 0.0) -> IndexStatus:
        """The tables are there since `open`; keeps which lengths of vectors are wanted. Never waits."""
        if dims < 1:
            raise InvalidInput("dims is a positive number.", field="dims")

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO index_dims VALUES (?)", (dims,))

        await self._core.db.write(work)
        return await self.index_status()

    async def index_status(self) -> IndexStatus:
        pages = sum((await self._pages.counts()).values())
        return IndexStatus("memory", "ready", pages=pages, indexed=pages)

    async def drop_index(self) -> None:
        self._pages.forget()

    async def sweep(self) -> int:
        now = self._core.clock()
        removed = await self._core.clear_leftovers()
        for kind in KINDS:
            names = await self._core.db.on_thread(lambda kind=kind: list(self._core.files.old(kind, now)))
            for step in _steps(names):
                removed += await self._sweep_some(kind, step)
        await self._core.db.write(_forget_removals)
        await self._core.rewrite()
        await self._core.db.settle()
        return removed + await self._core.db.on_thread(lambda: self._core.files.sweep_spool(now))

    async def reseal(self, progress: Progress) -> Resealed:
        return await reseal(self._core, progress)

    async def tenants(self) -> tuple[str, ...]:
        select = "SELECT tenant_id FROM claims UNION SELECT tenant_id FROM audit ORDER BY tenant_id"

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(select).fetchall()

        return tuple(row["tenant_id"] for row in await self._core.db.read(work))

    async def close(self) -> None:
        await self._core.db.close()

    async def _sweep_some(self, kind: Kind, names: list[str]) -> int:
        """Looks without the write lock first: nearly all files are held."""
        files = self._core.files
        loose = await self._core.db.read(lambda connection: files.unheld(connection, kind, names))
        if not loose:
            return 0
        return await self._core.db.write(lambda connection: files.remove_unheld(connection, kind, loose))


def _steps(names: list[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while step := list(islice(rest, _FILES_A_STEP)):
        yield step


def _forget_removals(connection: sqlite3.Connection) -> None:
    """Keeps the log short; a process that fell behind it reads its matrices anew."""
    connection.execute(
        "UPDATE sequence SET removals_from = coalesce("
        "(SELECT revision FROM removals ORDER BY revision DESC LIMIT 1 OFFSET ?), removals_from)",
        (_KEPT_REMOVALS,),
    )
    connection.execute("DELETE FROM removals WHERE revision <= (SELECT removals_from FROM sequence)")
