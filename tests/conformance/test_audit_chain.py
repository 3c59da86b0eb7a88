"""The audit is a chain: whatever is changed or taken away is found, and two writers never fork it. On both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from retrieval.audit import check_audit, hash_of, record_after
from retrieval.documents import AuditEvent, AuditHead
from retrieval.errors import Conflict
from retrieval.ports import Store
from tests.conformance.builders import OTHER_TENANT, TENANT, FakeClock, claim
from tests.conformance.conftest import OpenAgain
from tests.conformance.tampering import change_record, remove_record

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=2)))


def event(number: int) -> AuditEvent:
    details = {"pages": number, "share": 0.25, "forced": True, "why": "ümlaut \u2028 \"'"}
    return AuditEvent(MOMENT, "key:demo", "claim.delete", f"C-{number}", f"r-{number}", details)


async def write(store: Store, count: int, tenant: str = TENANT) -> None:
    for number in range(1, count + 1):
        await store.audit.append(tenant, event(number))


async def faults(store: Store, **options: AuditHead) -> list[tuple[str, int]]:
    return [(fault.code, fault.number) for fault in (await check_audit(store.audit, TENANT, **options)).faults]


async def test_records_follow_each_other_and_come_back_as_they_were_hashed(store: Store) -> None:
    await write(store, 5)
    await write(store, 2, OTHER_TENANT)
    records = await store.audit.records(TENANT)
    assert [record.number for record in records] == [1, 2, 3, 4, 5]
    assert [record.event for record in records] == [replace(event(n), at=MOMENT.astimezone(UTC)) for n in range(1, 6)]
    head = AuditHead()
    for record in records:
        assert record == record_after(head, TENANT, record.event)
        head = AuditHead(record.number, record.hash)
    assert await store.audit.head(TENANT) == head
    assert [record.number for record in await store.audit.records(TENANT, after=2, limit=2)] == [3, 4]
    check = await check_audit(store.audit, TENANT)
    assert (check.records, check.head, check.faults) == (5, head, ())
    assert (await store.audit.head(OTHER_TENANT)).number == 2


def test_the_hash_says_everything_and_never_changes() -> None:
    """A new way to hash would break every chain that there is."""
    first = event(1)
    made = hash_of(TENANT, 1, first, "0" * 64)
    assert made == "f8c82841435726a6c6ad35aa6fb6de1d90245fe5fc7055a190a9bcdb2593a79d"
    others = [
        hash_of("rival", 1, first, "0" * 64), hash_of(TENANT, 2, first, "0" * 64), hash_of(TENANT, 1, first, "1" * 64),
        *(
            hash_of(TENANT, 1, replace(first, **{name: value}), "0" * 64)
            for name, value in {
                "at": MOMENT + timedelta(microseconds=1), "actor": "x", "action": "x", "target": "x",
                "request_id": None, "details": {"pages": 2},
            }.items()
        ),
    ]  # fmt: skip
    assert len({made, *others}) == 10


async def test_writers_at_once_make_one_chain(open_again: OpenAgain) -> None:
    stores = [await open_again() for _ in range(3)]
    await stores[0].ensure_index(dims=8, wait_s=30.0)
    await asyncio.gather(*(write(store, 8) for store in stores for _ in range(2)))
    records = await stores[0].audit.records(TENANT)
    assert [record.number for record in records] == list(range(1, 49))
    assert await faults(stores[0]) == []
    assert (await stores[0].audit.head(TENANT)).number == 48


Harm = Callable[[Store], Awaitable[None]]

HARM: dict[str, tuple[Harm, list[tuple[str, int]]]] = {
    "nothing": (lambda s: asyncio.sleep(0), []),
    "who": (lambda s: change_record(s, TENANT, 3, actor="somebody else"), [("record_changed", 3)]),
    "when": (lambda s: change_record(s, TENANT, 1, at="2026-03-01T10:00:00.250001+00:00"), [("record_changed", 1)]),
    "what": (lambda s: change_record(s, TENANT, 5, target="C-9"), [("record_changed", 5)]),
    "request": (lambda s: change_record(s, TENANT, 2, request_id=None), [("record_changed", 2)]),
    "hash": (lambda s: change_record(s, TENANT, 2, hash="0" * 64), [("record_changed", 2), ("record_unlinked", 3)]),
    "first taken away": (lambda s: remove_record(s, TENANT, 1), [("record_missing", 1)]),
    "one taken away": (lambda s: remove_record(s, TENANT, 3), [("record_missing", 3)]),
    "last taken away": (lambda s: remove_record(s, TENANT, 5), [("end_missing", 5)]),
}


@pytest.mark.parametrize("harm", list(HARM))
async def test_tampering_is_found(store: Store, harm: str) -> None:
    await write(store, 5)
    await write(store, 5, OTHER_TENANT)
    work, expected = HARM[harm]
    await work(store)
    assert await faults(store) == expected
    assert (await check_audit(store.audit, OTHER_TENANT)).faults == ()


async def test_a_record_made_to_fit_breaks_the_next_one(store: Store) -> None:
    await write(store, 3)
    first, second, _ = await store.audit.records(TENANT)
    forged = hash_of(TENANT, 2, replace(second.event, actor="nobody"), first.hash)
    await change_record(store, TENANT, 2, actor="nobody", hash=forged)
    assert await faults(store) == [("record_unlinked", 3)]


async def test_records_taken_from_the_end_are_missed_after_further_ones_too(
    store: Store, open_again: OpenAgain
) -> None:
    """By a process that saw them as by one that starts afterwards."""
    await write(store, 4)
    for number in (3, 4):
        await remove_record(store, TENANT, number)
    for writer in (await open_again(), store):
        await writer.audit.append(TENANT, event(5))
    assert [record.number for record in await store.audit.records(TENANT)] == [1, 2, 5, 6]
    assert await faults(store) == [("record_missing", 3)]


async def test_a_whole_new_chain_is_found_by_a_head_that_was_noted(store: Store) -> None:
    await write(store, 3)
    noted = await store.audit.head(TENANT)
    await write(store, 2)
    assert await faults(store, noted=noted) == []
    assert await faults(store, noted=AuditHead(3, "0" * 64)) == [("not_as_noted", 3)]
    assert await faults(store, noted=AuditHead(9, noted.hash)) == [("not_as_noted", 9)]


async def test_records_are_adopted_as_they_are_and_once(store: Store, open_again: OpenAgain) -> None:
    await write(store, 6, OTHER_TENANT)
    head, records = AuditHead(), []
    for number in range(1, 7):
        records.append(record_after(head, TENANT, replace(event(number), at=MOMENT.astimezone(UTC))))
        head = AuditHead(number, records[-1].hash)
    await store.audit.adopt(TENANT, records[:2])
    await store.audit.adopt(TENANT, records[1:5])
    await store.audit.adopt(TENANT, records[4:])
    await store.audit.adopt(TENANT, [])
    assert await store.audit.records(TENANT) == tuple(records)
    assert (await store.audit.head(TENANT), await faults(store)) == (head, [])
    await store.audit.append(TENANT, event(7))
    assert (await store.audit.head(TENANT)).number == 7


@pytest.mark.parametrize("case", ["another audit", "a gap", "changed"])
async def test_records_that_do_not_follow_are_not_adopted(store: Store, case: str) -> None:
    await write(store, 2)
    mine = await store.audit.records(TENANT)
    head = AuditHead(2, mine[1].hash)
    given = {
        "another audit": [record_after(AuditHead(), TENANT, event(9))],
        "a gap": [record_after(AuditHead(3, "1" * 64), TENANT, event(9))],
        "changed": [replace(record_after(head, TENANT, event(3)), event=event(9))],
    }[case]
    with pytest.raises(Conflict) as refused:
        await store.audit.adopt(TENANT, [*mine, *given])
    assert refused.value.code == "audit_conflict"
    assert await store.audit.records(TENANT) == mine


async def test_tenants_are_those_with_claims_or_records(store: Store, clock: FakeClock) -> None:
    assert await store.tenants() == ()
    await store.claims.put(TENANT, claim())
    await store.audit.append(OTHER_TENANT, AuditEvent(clock(), "a", "b", "c"))
    assert await store.tenants() == (TENANT, OTHER_TENANT)
