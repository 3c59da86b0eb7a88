"""Copies between the engines: everything comes over, whatever interrupts, and a difference is told."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from retrieval.capture import Capture
from retrieval.comparing import compare
from retrieval.copying import Copied, copy_store
from retrieval.documents import AuditEvent, EntryState, NewEntry
from retrieval.errors import Conflict
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.keys import Role, make_key
from retrieval.ports import EntryOutcome, Store
from retrieval.queries import Query
from retrieval.search import SearchEngine
from retrieval.stores.mongo import MongoStore
from retrieval.stores.sqlite import SqliteStore, verify
from tests.conformance.builders import (
    OTHER_TENANT,
    TENANT,
    TTL,
    FakeClock,
    add_file,
    asset_id_of,
    claim,
    leased,
    new_page,
    stored,
    submit,
    vectors,
)
from tests.data.make_data_folder import FULL
from tests.fakes.encoder import DIMS, FakeEncoder, draw_words
from tests.fakes.mongo import MongoStoreFactory
from tests.retrieval.search.building import add_pages

WORDS = [f"word{number}" for number in range(20)]


STEPS = 4  # that a copy comes to before it is killed


class Killed(BaseException):
    """As a kill at this point would be."""


def quiet(name: str, done: int, total: int) -> None:
    assert 0 < done <= total, name


async def copy(source: Store, target: Store) -> Copied:
    return await copy_store(source, target, progress=quiet, index_wait_s=30.0)


@pytest.fixture
async def embedded(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Callable[[str], Awaitable[SqliteStore]]]:
    """Opens embedded stores by name; all are closed at the end."""
    opened: list[SqliteStore] = []

    async def open_one(name: str) -> SqliteStore:
        opened.append(await SqliteStore.open(tmp_path / name, clock=clock))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def mongo(mongo_store_factory: MongoStoreFactory, clock: FakeClock) -> AsyncIterator[MongoStore]:
    """Empty: not even its index is made."""
    store = await mongo_store_factory(clock=clock)
    yield store
    await store.close()


async def fill(store: Store, clock: FakeClock) -> None:
    """Of everything something: facts, holds, shared files, warnings, ended and waiting jobs, tenants, an audit."""
    await store.claims.put(TENANT, FULL)
    for number, (claim_id, content) in enumerate([("C-1", b"one"), ("C-2", b"two"), ("C-2", b"one")]):
        clock.advance(TTL)
        lease = await leased(store, claim_id=claim_id, content=content)
        told = Capture(datetime(2026, 4, 1, 9, 30), model="Pixel 8") if number else None
        await store.assets.describe(lease, media_type="application/pdf", page_count=2, capture=told)
        await store.assets.warn(lease, [("page_failed", "Page 3 could not be drawn.")])
        tokens = 0 if number == 2 else 3
        pages = [new_page(lease, n, vectors(10 * number + n, tokens=tokens)) for n in (1, 2)]
        await store.pages.put(lease, [replace(pages[0], text=f"invoice {number}"), pages[1]])
        await store.jobs.finish(lease, EntryOutcome(EntryState.succeeded))
    await store.claims.put(OTHER_TENANT, claim("C-1", line="travel"))
    await add_file(store, OTHER_TENANT, content=b"rival")
    await store.claims.set_hold(TENANT, "C-2", True)
    await store.jobs.submit(TENANT, "C-1", [NewEntry("a.txt", None, EntryState.failed, "unsupported_type", "No.")])
    for claim_id in ("C-2", "C-1"):
        clock.advance(TTL)
        await submit(store, claim_id=claim_id, contents=[f"waits in {claim_id}".encode()])
    lease = await store.jobs.lease("worker", ttl=TTL)
    assert lease is not None
    await store.pages.put(lease, [new_page(lease)])  # half done when the copy is made
    for number in range(5):
        event = AuditEvent(clock(), "api", "claim.change", f"C-{number}", "r-1", {"n": number, "why": "ümlaut"})
        await store.audit.append(TENANT, event)
    await store.audit.append(OTHER_TENANT, AuditEvent(clock(), "api", "claim.change", "C-1"))
    for tenant in (TENANT, OTHER_TENANT):
        _, key = make_key(tenant, Role.viewer, "Ann", created_at=clock(), expires_at=clock() + TTL)
        await store.keys.add(replace(key, last_used_at=clock()))


async def answers(store: Store, encoder: FakeEncoder) -> list[list[tuple[str, float, str]]]:
    """To 100 searches, with and without filters, by page and by claim."""
    engine = SearchEngine(store, encoder, cache_bytes=1 << 20)
    found = []
    for number in range(100):
        text = f"{WORDS[number % 20]} {WORDS[number * 7 % 20]}"
        kept = parse_filter({"line": "auto"}) if number % 3 else EVERYTHING
        query = Query(text=text, filter=kept, group_by="claim" if number % 2 else "page", limit=5)
        result = await engine.search(TENANT, query)
        found.append([(hit.page.page_id, round(hit.score, 6), hit.claim.claim_id) for hit in result.hits])
    return found


async def test_there_and_back_gives_the_same_answers(
    embedded: Callable[[str], Awaitable[SqliteStore]], mongo: MongoStore, tmp_path: Path
) -> None:
    encoder = FakeEncoder()
    first = await embedded("first")
    await first.ensure_index(dims=DIMS)
    for number in range(12):
        drawn = [draw_words([WORDS[number], WORDS[(number * 3 + 1) % 20]]), draw_words([WORDS[number + 1]])]
        await add_pages(first, encoder, f"C-{number:02d}", drawn, line="auto" if number % 2 else "travel")
    before = await answers(first, encoder)
    assert all(before)
    there = await copy(first, mongo)
    assert (there.tenants, there.claims, there.assets, there.pages, there.jobs) == (1, 12, 12, 24, 12)
    assert there.differences == ()
    assert await answers(mongo, encoder) == before
    second = await embedded("second")
    assert (await copy(mongo, second)).differences == ()
    assert await answers(second, encoder) == before
    assert verify(tmp_path / "second", progress=lambda *_: None).faults == ()


async def test_everything_comes_over(
    embedded: Callable[[str], Awaitable[SqliteStore]], mongo: MongoStore, clock: FakeClock
) -> None:
    first, second = await embedded("first"), await embedded("second")
    await fill(first, clock)
    for source, target in ((first, mongo), (mongo, second)):
        copied = await copy(source, target)
        assert copied.differences == ()
        assert (copied.tenants, copied.claims, copied.assets, copied.pages) == (2, 3, 6, 7)
        assert (copied.jobs, copied.audit_records) == (6, 6)
    # As it was in the beginning, seen through the ports.
    for tenant, claim_id in ((TENANT, "C-1"), (TENANT, "C-2"), (OTHER_TENANT, "C-1")):
        assert await second.claims.get(tenant, claim_id) == await first.claims.get(tenant, claim_id)
        assert await second.assets.list(tenant, claim_id) == await first.assets.list(tenant, claim_id)
    assert await second.audit.records(TENANT) == await first.audit.records(TENANT)
    assert (await second.claims.get(TENANT, "C-2")).held
    page_ids = [page.page_id for page in (await first.pages.list(TENANT, claim_id="C-2")).items]
    texts = await second.pages.texts(TENANT, page_ids)
    assert sorted(texts.values()) == ["invoice 1", "invoice 2"]
    assert texts == await first.pages.texts(TENANT, page_ids)
    assert set(await second.keys.list()) == set(await first.keys.list())
    assert len(await second.keys.list()) == 2
    # What ran waits, in the order in which it came; the half-done page is there.
    taken = []
    while (lease := await second.jobs.lease("worker", ttl=TTL)) is not None:
        taken.append((lease.claim_id, lease.attempt))
    assert taken == [("C-2", 1), ("C-1", 1)]
    again = await copy(first, mongo)
    assert again.differences == ()


@pytest.mark.parametrize("engine", ["sqlite", "mongodb"])
async def test_a_copy_that_is_killed_at_any_point_goes_on(
    embedded: Callable[[str], Awaitable[SqliteStore]],
    mongo: MongoStore,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
) -> None:
    source = await embedded("source")
    await fill(source, clock)
    target: Any = await embedded("target") if engine == "sqlite" else mongo
    # Just before every so many steps that change the target it dies.
    owner, name = (target._core.db, "write") if engine == "sqlite" else (type(target.link), "transaction")
    step = getattr(owner, name)
    left = 0

    async def dying(*arguments: Any) -> Any:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        return await step(*arguments)

    monkeypatch.setattr(owner, name, dying)
    rounds = 0
    while True:
        left = STEPS
        rounds += 1
        assert rounds < 100, "it does not get on"
        try:
            copied = await copy(source, target)
            break
        except Killed:
            continue
    assert rounds > 5
    assert copied.differences == ()
    assert (copied.claims, copied.assets, copied.pages, copied.jobs, copied.audit_records) == (3, 6, 7, 6, 6)


async def test_another_call_brings_over_what_changed(
    embedded: Callable[[str], Awaitable[SqliteStore]], mongo: MongoStore, clock: FakeClock
) -> None:
    source = await embedded("source")
    await fill(source, clock)
    await copy(source, mongo)
    await source.claims.set_hold(TENANT, "C-2", False)
    await source.assets.delete(TENANT, asset_id_of(b"two"))
    await source.claims.update(TENANT, "C-1", lambda old: replace(old, line="property"))
    [page, *_] = (await source.pages.list(TENANT, claim_id="C-1")).items
    await source.pages.replace_vectors(TENANT, page.page_id, vectors(99, encoder="other/2"), usage={})
    await source.claims.put(TENANT, claim("C-3"))
    await source.audit.append(TENANT, AuditEvent(clock(), "api", "claim.create", "C-3"))
    clock.advance(TTL)
    with suppress(StopAsyncIteration):
        await source.assets.delete(TENANT, asset_id_of(b"one"), claim_id="C-2")
    await add_file(source, claim_id="C-2", content=b"one", filename="again.pdf")
    copied = await copy(source, mongo)
    assert copied.differences == ()
    assert copied.claims == 4
    assert (await mongo.claims.get(TENANT, "C-1")).line == "property"
    assert await mongo.pages.counts() == {"fake/1": 2, "other/2": 1}


async def test_a_target_with_other_claims_or_another_audit_is_left_alone(
    embedded: Callable[[str], Awaitable[SqliteStore]], clock: FakeClock
) -> None:
    source, other, audited = await embedded("source"), await embedded("other"), await embedded("audited")
    await fill(source, clock)
    await other.claims.put(TENANT, claim("C-9"))
    with pytest.raises(Conflict) as refused:
        await copy(source, other)
    assert refused.value.code == "target_not_empty"
    assert await other.claims.count(TENANT) == 1
    await audited.audit.append(TENANT, AuditEvent(clock(), "api", "claim.delete", "C-9"))
    with pytest.raises(Conflict) as refused:
        await copy(source, audited)
    assert refused.value.code == "audit_conflict"


def spoil(statement: str) -> Callable[[SqliteStore], Awaitable[object]]:
    def work(connection: sqlite3.Connection) -> None:
        assert connection.execute(statement).rowcount > 0

    return lambda store: store._core.db.write(work)


SPOILT: dict[str, tuple[str, Callable[[SqliteStore], Awaitable[object]]]] = {
    "a fact": ("claim", spoil("UPDATE claims SET loss_amount = 1 WHERE claim_id = 'C-1'")),
    "a hold": ("claim", spoil("UPDATE claims SET held = 1 WHERE claim_id = 'C-1'")),
    "a name": ("assets", spoil("UPDATE assets SET filename = 'x'")),
    "a file": ("assets", lambda store: store.assets.delete(TENANT, asset_id_of(b"one"), claim_id="C-1")),
    "a size": ("pages", spoil("UPDATE pages SET width = width + 1")),
    "a number": ("vectors", spoil("UPDATE summaries SET summary = (SELECT summary FROM summaries WHERE page = 3)")),
    "a token": ("vectors", spoil("UPDATE tokens SET scales = (SELECT scales FROM tokens WHERE page = 3)")),
    "a picture": ("picture", spoil("UPDATE pages SET picture = (SELECT min(picture) FROM pages)")),
    "a job": ("jobs", spoil("UPDATE entries SET code = 'x'")),
}


@pytest.mark.parametrize("case", list(SPOILT))
async def test_every_difference_is_told(
    embedded: Callable[[str], Awaitable[SqliteStore]], clock: FakeClock, case: str
) -> None:
    source, target = await embedded("source"), await embedded("target")
    await fill(source, clock)
    await copy(source, target)
    what, work = SPOILT[case]
    counts = dict.fromkeys(("claims", "assets", "pages", "jobs"), 0)
    assert await compare(source, target, TENANT, "C-1", counts) == []
    await work(target)
    assert what in {found.what for found in await compare(source, target, TENANT, "C-1", counts)}


async def test_an_empty_store_is_copied(embedded: Callable[[str], Awaitable[SqliteStore]], mongo: MongoStore) -> None:
    source = await embedded("source")
    assert (await copy(source, mongo)).differences == ()
    await source.claims.put(TENANT, claim())
    assert (await copy(source, mongo)).claims == 1
    assert await stored(source)
