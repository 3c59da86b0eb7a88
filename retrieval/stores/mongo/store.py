"""All ports on one MongoDB."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from retrieval.errors import StoreUnavailable
from retrieval.ports import IndexStatus, Progress, Resealed
from retrieval.stores.mongo.assets import MongoAssets
from retrieval.stores.mongo.audit import MongoAudit
from retrieval.stores.mongo.claims import MongoClaims
from retrieval.stores.mongo.failures import domain_error, translated
from retrieval.stores.mongo.files import Files, used_keys
from retrieval.stores.mongo.indexes import Indexes
from retrieval.stores.mongo.jobs import MongoJobs
from retrieval.stores.mongo.keys import MongoKeys
from retrieval.stores.mongo.link import Document, Link, guarded, guarded_long, ordered_id
from retrieval.stores.mongo.migrations import migrate, require_known_version
from retrieval.stores.mongo.pages import MongoPages
from retrieval.stores.mongo.resealing import reseal
from retrieval.stores.sealing import Keyring, require_keys


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MongoStore:
    """Open with `await MongoStore.open(uri)`, inside the event loop that uses it."""

    engine = "mongodb"

    def __init__(self, link: Link, *, max_attempts: int, spool: Path, keys: Keyring | None) -> None:
        self.link = link
        self._files = Files(link, keys)
        self._indexes = Indexes(link)
        self.audit = MongoAudit(link)
        self.claims = MongoClaims(link, self._files, self.audit)
        self.assets = MongoAssets(link, self._files, self.audit, spool=spool)
        self.pages = MongoPages(link, self._files, self._indexes)
        self.jobs = MongoJobs(link, self.audit, max_attempts=max_attempts, new_id=ordered_id)
        self.keys = MongoKeys(link, self.audit)

    @classmethod
    async def open(
        cls,
        uri: str,
        *,
        database: str | None = None,
        clock: Callable[[], datetime] = _utc_now,
        max_attempts: int = 5,
        timeout_s: float = 20.0,
        server_selection_timeout_s: float = 5.0,
        spool: Path | None = None,
        keys: Keyring | None = None,
    ) -> MongoStore:
        """uri: mongodb:// or mongodb+srv://. database: by default the one the address names, else "claimsight".
        timeout_s: of one call (six times that for deletions). server_selection_timeout_s: to find a server that takes
        writes, when none is known. spool: folder for local copies of files, by default the
        system's. Raises StoreUnavailable when it does not answer, cannot be logged in to, has no transactions, or holds
        records of a newer version (store_newer), or files under a key that is not given (encryption_key_missing)."""
        options: dict[str, Any] = {
            "appname": "claimsight",
            "w": "majority",
            "retryWrites": True,
            "retryReads": True,
            "serverSelectionTimeoutMS": int(server_selection_timeout_s * 1000),
            "connectTimeoutMS": int(server_selection_timeout_s * 1000),
        }
        try:
            client: AsyncMongoClient[Document] = AsyncMongoClient(uri, **options)
        except (PyMongoError, ValueError, TypeError) as error:  # the driver raises all three for a bad address
            raise domain_error(error) from None  # its text may hold the password
        chosen = client[database] if database else client.get_default_database("claimsight")
        link = Link(client, chosen, clock, timeout_s=timeout_s, reach_s=server_selection_timeout_s)
        try:
            async with link.operation():
                hello = await client.admin.command("hello")
            if "setName" not in hello and hello.get("msg") != "isdbgrid":
                raise StoreUnavailable(
                    "This MongoDB is a single server without transactions; start it as a replica set."
                )
            async with link.operation():
                await require_known_version(link)
                require_keys(keys, await used_keys(link))
        except BaseException:
            await client.close()
            raise
        return cls(link, max_attempts=max_attempts, spool=spool or Path(tempfile.gettempdir()), keys=keys)

    @guarded
    async def ping(self) -> None:
        require_keys(self._files.keys, await used_keys(self.link))

    async def reseal(self, progress: Progress) -> Resealed:
        return await reseal(self.link, self._files, progress)

    async def ensure_index(self, *, dims: int, wait_s: float = 0.0) -> IndexStatus:
        await self.ping()
        with translated(self.link.timeout_s + wait_s):
            status = await self._indexes.ensure(dims, wait_s)
        async with self.link.operation(long=True):
            await migrate(self.link, self.audit)
        return status

    @guarded_long
    async def index_status(self) -> IndexStatus:
        return await self._indexes.status()

    @guarded
    async def drop_index(self) -> None:
        await self._indexes.drop()

    @guarded_long
    async def sweep(self) -> int:
        return await self._files.sweep()

    @guarded
    async def tenants(self) -> tuple[str, ...]:
        of_claims = await self.link.claims.distinct("tenant_id")
        return tuple(sorted({*of_claims, *await self.link.audit.distinct("tenant_id")}))

    async def close(self) -> None:
        await self.link.client.close()
