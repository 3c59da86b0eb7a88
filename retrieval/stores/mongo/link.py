"""One connection and what every port shares: names of collections, time limits, transactions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from types import CoroutineType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from uuid_utils import uuid7

from retrieval.stores.mongo.failures import translated

Document = dict[str, Any]
Session = AsyncClientSession
Collection = AsyncCollection[Document]
T = TypeVar("T")
P = ParamSpec("P")

# Two writers that create the same _id at once: the second starts over and then finds the record.
_DUPLICATE_ROUNDS = 5
_LONG_FACTOR = 6


@dataclass(frozen=True, slots=True)
class Link:
    """timeout_s: of one call of a port. reach_s: to find a server that takes writes, when none is known. clock: aware
    UTC."""

    client: AsyncMongoClient[Document]
    db: AsyncDatabase[Document]
    clock: Callable[[], datetime]
    timeout_s: float
    reach_s: float

    @property
    def claims(self) -> Collection:
        return self.db["claims"]

    @property
    def assets(self) -> Collection:
        return self.db["assets"]

    @property
    def blobs(self) -> Collection:
        """One document for each stored file of a tenant, however many claims hold it."""
        return self.db["blobs"]

    @property
    def loose(self) -> Collection:
        """Files in GridFS that no record names yet, or any more."""
        return self.db["loose_files"]

    @property
    def pages(self) -> Collection:
        return self.db["pages"]

    @property
    def vectors(self) -> Collection:
        """Everything of a page's vectors, apart from `pages` so that those documents stay small."""
        return self.db["vectors"]

    @property
    def texts(self) -> Collection:
        """The own text of pages, and its words to look them up by."""
        return self.db["texts"]

    @property
    def jobs(self) -> Collection:
        return self.db["jobs"]

    @property
    def entries(self) -> Collection:
        return self.db["entries"]

    @property
    def job_keys(self) -> Collection:
        return self.db["job_keys"]

    @property
    def audit(self) -> Collection:
        return self.db["audit"]

    @property
    def audit_heads(self) -> Collection:
        """The end of each tenant's audit."""
        return self.db["audit_heads"]

    @property
    def audit_waiting(self) -> Collection:
        """What changes left for the audit in their own transactions, until it is in the chain."""
        return self.db["audit_waiting"]

    @property
    def keys(self) -> Collection:
        return self.db["keys"]

    @property
    def meta(self) -> Collection:
        return self.db["meta"]

    def now(self) -> str:
        """The clock as text that sorts by time, in microseconds (a BSON date would cut them off)."""
        return stamp(self.clock())

    @asynccontextmanager
    async def operation(self, *, long: bool = False) -> AsyncGenerator[None]:
        """A stretch of driver calls with one time limit, and none of the driver's exceptions.

        long: for work that grows with the data, such as deleting a claim. The driver tries again until the limit, which
        carries a call over an election of a new primary; but when no server was there before, it says so soon.
        """
        if not self.client.topology_description.has_writable_server():
            with translated(self.reach_s):
                await self.client.admin.command("ping")
        with translated(self.timeout_s * (_LONG_FACTOR if long else 1)):
            yield

    async def transaction(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Runs `work` as one step; it may run again after a write conflict, so it must only touch the database."""
        for rounds_left in reversed(range(_DUPLICATE_ROUNDS)):
            try:
                async with self.client.start_session() as session:
                    return await session.with_transaction(
                        work, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
                    )
            except DuplicateKeyError:
                if not rounds_left:
                    raise
        raise AssertionError("unreachable")


class Port(Protocol):
    @property
    def link(self) -> Link: ...


PortT = TypeVar("PortT", bound=Port)


def guarded(
    method: Callable[Concatenate[PortT, P], CoroutineType[Any, Any, T]],
) -> Callable[Concatenate[PortT, P], CoroutineType[Any, Any, T]]:
    """A call of a port: one time limit, and no exception of the driver leaves it."""

    @wraps(method)
    async def call(self: PortT, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.link.operation():
            return await method(self, *args, **kwargs)

    return call


def guarded_long(
    method: Callable[Concatenate[PortT, P], CoroutineType[Any, Any, T]],
) -> Callable[Concatenate[PortT, P], CoroutineType[Any, Any, T]]:
    """As `guarded`, for work that grows with the data."""

    @wraps(method)
    async def call(self: PortT, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.link.operation(long=True):
            return await method(self, *args, **kwargs)

    return call


def ordered_id() -> str:
    """Later ones sort after earlier ones of this process, and after those of others a millisecond earlier."""
    return str(uuid7())


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
