"""What ports.ClaimStore promises, on both engines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from retrieval.documents import Claim, DeletionReport, JobState, Location, Sort, Vehicle
from retrieval.errors import Conflict, InvalidInput, LeaseLost, NotFound
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.ports import Store
from tests.conformance.builders import (
    ENCODER,
    FILE,
    OTHER_TENANT,
    TENANT,
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
from tests.conformance.conftest import OpenAgain

FULL = Claim(
    claim_id="C-2026/17 ä",
    line="auto",
    status="paid",
    policy_id="P-9",
    loss_date=date(2026, 3, 31),
    reported_date=date(2026, 4, 1),
    loss_amount=1234.56,
    currency="EUR",
    damage_types=("windshield", "hail"),
    location=Location("Zürich", "ZH", "CH"),
    vehicle=Vehicle("Škoda", "Octavia", 2019),
    description="Steinschlag\nauf der Autobahn 🚗 “quoted” \\ % _ $ {}",
    attributes={"fleet": True, "km": 12345.5, "adjuster": "O'Brien; DROP TABLE claims;--", "count": 3.0},
)


async def test_put_keeps_every_fact(store: Store, clock: FakeClock) -> None:
    kept, is_new = await store.claims.put(TENANT, FULL)
    assert is_new
    assert kept == replace(FULL, created_at=clock.now, updated_at=clock.now, version=1)
    assert await store.claims.get(TENANT, FULL.claim_id) == kept
    assert isinstance(kept.attributes["fleet"], bool)


async def test_put_of_a_bare_claim_keeps_what_is_missing_missing(store: Store) -> None:
    await store.claims.put(TENANT, claim("C-1"))
    kept = await store.claims.get(TENANT, "C-1")
    assert replace(kept, created_at=None, updated_at=None, version=0) == Claim("C-1")


async def test_put_again_replaces_all_facts_and_keeps_the_birthday(store: Store, clock: FakeClock) -> None:
    first, _ = await store.claims.put(TENANT, FULL)
    clock.advance(timedelta(hours=1))
    second, is_new = await store.claims.put(TENANT, Claim(FULL.claim_id, line="travel"))
    assert not is_new
    assert second == Claim(
        FULL.claim_id, line="travel", created_at=first.created_at, updated_at=clock.now, version=first.version + 1
    )
    assert await store.claims.get(TENANT, FULL.claim_id) == second
    for gone in ({"damage_types": "hail"}, {"attributes.fleet": True}, {"vehicle.make": "Škoda"}):
        assert (await store.claims.list(TENANT, parse_filter(gone), sort=Sort())).items == ()


async def test_create_only_refuses_a_second_claim_and_changes_nothing(store: Store) -> None:
    first, _ = await store.claims.put(TENANT, FULL, create_only=True)
    with pytest.raises(Conflict) as refused:
        await store.claims.put(TENANT, claim(FULL.claim_id), create_only=True)
    assert refused.value.code == "claim_exists"
    assert await store.claims.get(TENANT, FULL.claim_id) == first


async def test_only_one_of_many_creations_at_once_wins(open_again: OpenAgain) -> None:
    stores = [await open_again(), await open_again()]
    tries = [store.claims.put(TENANT, claim("C-1"), create_only=True) for store in stores * 3]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, tuple) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 5


async def test_get_of_an_unknown_claim(store: Store) -> None:
    with pytest.raises(NotFound) as missing:
        await store.claims.get(TENANT, "C-0")
    assert missing.value.code == "claim_not_found"


async def test_ids_are_told_apart_exactly(store: Store) -> None:
    ids = ["C-1", "c-1", "C-1 ", "C/1", "C%2F1", "É", "E\u0301", "$set", "a.b"]
    for claim_id in ids:
        _, is_new = await store.claims.put(TENANT, claim(claim_id, policy_id=claim_id))
        assert is_new
    for claim_id in ids:
        assert (await store.claims.get(TENANT, claim_id)).policy_id == claim_id


async def test_get_many_gives_those_that_exist(store: Store) -> None:
    for claim_id in ("C-1", "C-2", "C-3"):
        await store.claims.put(TENANT, claim(claim_id))
    found = await store.claims.get_many(TENANT, ["C-3", "C-1", "C-0", "C-1", "odd\0id"])
    assert {claim_id: kept.claim_id for claim_id, kept in found.items()} == {"C-1": "C-1", "C-3": "C-3"}
    assert await store.claims.get_many(TENANT, []) == {}


async def test_update_changes_one_claim(store: Store, clock: FakeClock) -> None:
    first, _ = await store.claims.put(TENANT, FULL)
    await store.claims.put(TENANT, claim("C-other"))
    clock.advance(timedelta(minutes=1))
    second = await store.claims.update(TENANT, FULL.claim_id, lambda old: replace(old, status="closed"))
    assert second == replace(first, status="closed", version=2, updated_at=clock.now)
    assert await store.claims.get(TENANT, FULL.claim_id) == second
    assert (await store.claims.get(TENANT, "C-other")).version == 1


async def test_update_of_an_unknown_claim(store: Store) -> None:
    with pytest.raises(NotFound) as missing:
        await store.claims.update(TENANT, "C-0", lambda old: old)
    assert missing.value.code == "claim_not_found"


async def test_update_with_a_stale_version_changes_nothing(store: Store) -> None:
    await store.claims.put(TENANT, claim("C-1"))
    second = await store.claims.update(TENANT, "C-1", lambda old: replace(old, status="closed"), expected_version=1)
    with pytest.raises(Conflict) as stale:
        await store.claims.update(TENANT, "C-1", lambda old: replace(old, status="paid"), expected_version=1)
    assert stale.value.code == "version_conflict"
    assert await store.claims.get(TENANT, "C-1") == second


async def test_update_that_raises_changes_nothing(store: Store) -> None:
    first, _ = await store.claims.put(TENANT, claim("C-1"))

    def refuse(old: Claim) -> Claim:
        raise InvalidInput("No.", code="bad_claim", field="status")

    with pytest.raises(InvalidInput, match="No"):
        await store.claims.update(TENANT, "C-1", refuse)
    assert await store.claims.get(TENANT, "C-1") == first


async def test_updates_at_once_all_count(open_again: OpenAgain) -> None:
    stores = [await open_again(), await open_again()]
    await stores[0].claims.put(TENANT, claim("C-1", attributes={"n": 0.0}))

    def add_one(old: Claim) -> Claim:
        return replace(old, attributes={"n": float(old.attributes["n"]) + 1})

    await asyncio.gather(*(store.claims.update(TENANT, "C-1", add_one) for store in stores * 4))
    kept = await stores[0].claims.get(TENANT, "C-1")
    assert (kept.attributes["n"], kept.version) == (8.0, 9)


async def test_count(store: Store) -> None:
    assert await store.claims.count(TENANT) == 0
    await store.claims.put(TENANT, claim("C-1"))
    await store.claims.put(TENANT, claim("C-2"))
    assert await store.claims.count(TENANT) == 2


async def test_facts_and_their_copies_on_pages_change_together(store: Store) -> None:
    [page] = await stored(store)
    query = vectors(1)
    wanted = parse_filter({"line": "auto", "damage_types": "hail", "attributes.fleet": True})
    assert await store.pages.nearest(TENANT, query, wanted, limit=5) == []
    facts: dict[str, Any] = {"line": "auto", "damage_types": ("hail",), "attributes": {"fleet": True}}
    await store.claims.put(TENANT, claim("C-1", **facts))
    assert await store.pages.passing(TENANT, [page.page_id], wanted, encoder=ENCODER) == {page.page_id}
    await store.claims.update(TENANT, "C-1", lambda old: replace(old, attributes={}))
    assert await store.pages.passing(TENANT, [page.page_id], wanted, encoder=ENCODER) == frozenset()


async def test_delete_leaves_nothing_of_the_claim(store: Store) -> None:
    pages = await stored(store, pages=2)
    job = await submit(store, contents=[b"second"], idempotency_key="key")
    report = await store.claims.delete(TENANT, "C-1")
    assert report == DeletionReport(claims=1, assets=2, pages=2, size_bytes=len(FILE) + len(b"second"))
    ids = [page.page_id for page in pages]
    assert await store.pages.get_many(TENANT, ids) == {}
    assert await store.pages.vectors(TENANT, ids) == {}
    assert await store.pages.passing(TENANT, ids, EVERYTHING, encoder=ENCODER) == frozenset()
    assert await store.pages.counts(TENANT) in ({}, {ENCODER: 0})
    assert (await store.jobs.list(TENANT)).items == ()
    assert await store.jobs.find_by_key(TENANT, "key") is None
    assert await store.claims.count(TENANT) == 0
    gone = [
        store.claims.get(TENANT, "C-1"),
        store.claims.delete(TENANT, "C-1"),
        store.assets.list(TENANT, "C-1"),
        store.assets.get(TENANT, asset_id_of(FILE)),
        anext(aiter(store.assets.open(TENANT, asset_id_of(FILE)))),
        store.pages.get(TENANT, ids[0]),
        store.pages.picture(TENANT, ids[0]),
        store.jobs.get(TENANT, job.job_id),
    ]
    for call in gone:
        with pytest.raises(NotFound):
            await call


async def test_delete_leaves_other_claims_and_shared_bytes(store: Store) -> None:
    await stored(store, claim_id="C-1")
    [other] = await stored(store, claim_id="C-2")
    assert (await store.claims.delete(TENANT, "C-1")).size_bytes == 0
    assert await store.pages.get(TENANT, other.page_id) == other
    assert await store.pages.picture(TENANT, other.page_id) == b"webp1"
    assert b"".join([chunk async for chunk in store.assets.open(TENANT, asset_id_of(FILE))]) == FILE
    assert (await store.claims.delete(TENANT, "C-2")).size_bytes == len(FILE)


async def test_delete_takes_the_running_worker_its_lease(store: Store) -> None:
    lease = await leased(store)
    await store.claims.delete(TENANT, "C-1")
    await store.claims.put(TENANT, claim("C-1"))
    with pytest.raises((LeaseLost, NotFound)):
        await store.pages.put(lease, [new_page(lease)])
    with pytest.raises((LeaseLost, NotFound)):
        await store.assets.describe(lease, media_type="application/pdf", page_count=1)
    with pytest.raises((LeaseLost, NotFound)):
        await store.jobs.progress(lease, pages_total=1)
    assert (await store.pages.list(TENANT, claim_id="C-1")).items == ()


async def test_a_claim_can_be_made_again_after_its_deletion(store: Store) -> None:
    await stored(store)
    await store.claims.delete(TENANT, "C-1")
    _, is_new = await store.claims.put(TENANT, claim("C-1"))
    assert is_new
    assert (await store.claims.get(TENANT, "C-1")).version == 1
    _, is_new = await add_file(store)
    assert is_new
    assert (await store.jobs.list(TENANT, state=JobState.queued)).items == ()


async def test_another_tenant_sees_and_changes_nothing(store: Store) -> None:
    mine, _ = await store.claims.put(TENANT, replace(FULL, claim_id="C-1"))
    for call in (
        store.claims.get(OTHER_TENANT, "C-1"),
        store.claims.update(OTHER_TENANT, "C-1", lambda old: replace(old, status="denied")),
        store.claims.delete(OTHER_TENANT, "C-1"),
    ):
        with pytest.raises(NotFound):
            await call
    assert await store.claims.get_many(OTHER_TENANT, ["C-1"]) == {}
    assert await store.claims.count(OTHER_TENANT) == 0
    for wanted in (
        None,
        {"line": "auto"},
        {"damage_types": "hail"},
        {"attributes.fleet": True},
        {"not": {"line": "other"}},
    ):
        assert (await store.claims.list(OTHER_TENANT, parse_filter(wanted), sort=Sort())).items == ()
        facets = await store.claims.facets(
            OTHER_TENANT, parse_filter(wanted), ["line", "damage_types", "attributes.km"]
        )
        assert all(facet.values == () and facet.maximum is None for facet in facets)
    theirs, is_new = await store.claims.put(OTHER_TENANT, claim("C-1", line="health"), create_only=True)
    assert is_new
    assert await store.claims.get(TENANT, "C-1") == mine
    await store.claims.delete(TENANT, "C-1")
    assert await store.claims.get(OTHER_TENANT, "C-1") == theirs


async def test_a_second_process_sees_what_the_first_wrote(open_again: OpenAgain) -> None:
    first, second = await open_again(), await open_again()
    kept, _ = await first.claims.put(TENANT, FULL)
    assert await second.claims.get(TENANT, FULL.claim_id) == kept
