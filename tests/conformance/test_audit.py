"""What ports.AuditLog promises, on both engines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from retrieval.documents import AuditEvent
from retrieval.errors import InvalidInput
from retrieval.ports import Store
from tests.conformance.builders import OTHER_TENANT, TENANT, FakeClock


def event(clock: FakeClock, number: int) -> AuditEvent:
    return AuditEvent(
        at=clock(), actor="key:demo", action="claim.delete", target=f"C-{number}", request_id=f"r-{number}",
        details={"pages": 3.0, "forced": True, "why": "ümlaut"},
    )  # fmt: skip


async def test_events_come_back_whole_and_newest_first(store: Store, clock: FakeClock) -> None:
    events: list[AuditEvent] = []
    for number in range(5):
        events.append(event(clock, number))
        await store.audit.append(TENANT, events[-1])
        clock.advance(timedelta(seconds=1))
    assert (await store.audit.list(TENANT)).items == tuple(reversed(events))


async def test_events_of_one_moment_keep_their_order_over_pages(store: Store, clock: FakeClock) -> None:
    for number in range(5):
        await store.audit.append(TENANT, event(clock, number))
    targets: list[str] = []
    cursor = None
    for _ in range(3):
        part = await store.audit.list(TENANT, cursor=cursor, limit=2)
        targets += [found.target for found in part.items]
        cursor = part.next_cursor
    assert targets == ["C-4", "C-3", "C-2", "C-1", "C-0"]
    assert cursor is None


async def test_bare_event(store: Store, clock: FakeClock) -> None:
    bare = AuditEvent(at=clock(), actor="worker-1", action="job.start", target="j")
    await store.audit.append(TENANT, bare)
    assert (await store.audit.list(TENANT)).items == (bare,)


async def test_another_tenant_sees_none(store: Store, clock: FakeClock) -> None:
    for number in range(3):
        await store.audit.append(TENANT, event(clock, number))
    assert (await store.audit.list(OTHER_TENANT)).items == ()
    cursor = (await store.audit.list(TENANT, limit=1)).next_cursor
    assert cursor is not None
    for tenant, given in ((OTHER_TENANT, cursor), (TENANT, "made up"), (TENANT, cursor[:-2])):
        with pytest.raises(InvalidInput) as refused:
            await store.audit.list(tenant, cursor=given)
        assert (refused.value.code, refused.value.field) == ("bad_cursor", "cursor")
