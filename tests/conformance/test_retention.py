"""Claims go when the rules say so, and no other claim does. On both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from retrieval.audit import check_audit
from retrieval.documents import Claim, DeletionReport
from retrieval.ports import Store
from retrieval.retention import RetentionReport, Rule, run_retention
from tests.conformance.builders import OTHER_TENANT, TENANT, FakeClock, add_file, claim, stored

DAY = timedelta(days=1)
RULES = (
    Rule(("auto", "travel"), ("closed", "paid"), 100),
    Rule((), ("denied",), 10),
    Rule(("auto",), ("closed",), 1),  # never reached: the first rule covers these
)


async def run(store: Store, clock: FakeClock, *, dry_run: bool = False) -> RetentionReport:
    return await run_retention(store, TENANT, RULES, now=clock(), dry_run=dry_run, progress=lambda *_: None)


def outcomes(report: RetentionReport) -> list[tuple[str, int, str]]:
    return [(found.claim_id, found.rule, found.outcome) for found in report.claims]


async def fill(store: Store, clock: FakeClock) -> None:
    """Claims of 120 days ago, and some of 50 days ago."""
    for claim_id, line, status in (
        ("old-closed", "auto", "closed"),
        ("old-paid", "travel", "paid"),
        ("old-open", "auto", "open"),
        ("old-other-line", "health", "paid"),
        ("old-denied", "health", "denied"),
    ):
        await store.claims.put(TENANT, claim(claim_id, line=line, status=status))
        clock.advance(timedelta(seconds=1))
    await store.claims.put(OTHER_TENANT, claim("rivals", line="auto", status="closed"))
    clock.advance(70 * DAY)
    await store.claims.put(TENANT, claim("new-closed", line="auto", status="closed"))
    await store.claims.put(TENANT, claim("new-denied", line="auto", status="denied"))
    clock.advance(50 * DAY)


async def test_what_is_due_goes_and_nothing_else(store: Store, clock: FakeClock) -> None:
    await fill(store, clock)
    planned = await run(store, clock, dry_run=True)
    due = [("old-closed", 1), ("old-paid", 1), ("old-denied", 2), ("new-denied", 2)]
    assert outcomes(planned) == [(claim_id, rule, "due") for claim_id, rule in due]
    assert (planned.removed, await store.claims.count(TENANT)) == (DeletionReport(), 7)
    report = await run(store, clock)
    assert outcomes(report) == [(claim_id, rule, "deleted") for claim_id, rule in due]
    assert report.removed.claims == 4
    left = await store.claims.get_many(TENANT, ["old-open", "old-other-line", "new-closed", "old-closed"])
    assert set(left) == {"old-open", "old-other-line", "new-closed"}
    assert await store.claims.count(OTHER_TENANT) == 1
    assert outcomes(await run(store, clock)) == []


async def test_each_deletion_is_a_record_of_the_audit(store: Store, clock: FakeClock) -> None:
    await fill(store, clock)
    await run(store, clock, dry_run=True)
    assert (await store.audit.list(TENANT)).items == ()
    await run(store, clock)
    events = {event.target: event for event in (await store.audit.list(TENANT)).items}
    assert set(events) == {"old-closed", "old-paid", "old-denied", "new-denied"}
    assert events["old-denied"].actor == "retention"
    assert events["old-denied"].action == "claim.delete"
    assert events["old-denied"].details == {"rule": 2, "keep_days": 10, "assets": 0, "pages": 0}
    assert (await check_audit(store.audit, TENANT)).faults == ()


async def test_the_time_begins_with_the_last_change(store: Store, clock: FakeClock) -> None:
    await store.claims.put(TENANT, claim(line="auto", status="open"))
    clock.advance(200 * DAY)
    await store.claims.update(TENANT, "C-1", lambda old: replace(old, status="closed"))
    clock.advance(100 * DAY - timedelta(seconds=1))
    assert outcomes(await run(store, clock)) == []
    clock.advance(timedelta(seconds=1))
    assert outcomes(await run(store, clock)) == [("C-1", 1, "deleted")]


async def test_a_held_claim_stays_until_it_is_released(store: Store, clock: FakeClock) -> None:
    await fill(store, clock)
    await store.claims.set_hold(TENANT, "old-closed", True)
    assert ("old-closed", 1, "held") in outcomes(await run(store, clock, dry_run=True))
    report = await run(store, clock)
    assert ("old-closed", 1, "held") in outcomes(report)
    assert report.removed.claims == 3
    await store.claims.set_hold(TENANT, "old-closed", False)
    assert outcomes(await run(store, clock)) == [("old-closed", 1, "deleted")]


@pytest.mark.parametrize("change", ["reopened", "held", "deleted"])
async def test_a_claim_that_changes_while_the_rules_run_is_kept(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await store.claims.put(TENANT, claim(line="auto", status="closed"))
    clock.advance(100 * DAY)
    delete = store.claims.delete

    async def late(tenant: str, claim_id: str, **options: Any) -> DeletionReport:
        if change == "reopened":
            await store.claims.update(tenant, claim_id, lambda old: replace(old, status="open"))
        elif change == "held":
            await store.claims.set_hold(tenant, claim_id, True)
        else:
            await delete(tenant, claim_id)
        return await delete(tenant, claim_id, **options)

    monkeypatch.setattr(store.claims, "delete", late)
    report = await run(store, clock)
    assert outcomes(report) == [("C-1", 1, "changed")]
    assert report.removed == DeletionReport()
    assert await store.claims.count(TENANT) == (0 if change == "deleted" else 1)


async def test_what_hangs_on_the_claim_goes_with_it_and_shared_bytes_stay(store: Store, clock: FakeClock) -> None:
    await store.claims.put(TENANT, Claim("C-1", line="auto", status="paid"))
    [page] = await stored(store)
    await store.claims.put(TENANT, claim("C-2"))
    asset, _ = await add_file(store, claim_id="C-2")
    clock.advance(100 * DAY)
    report = await run(store, clock)
    assert report.removed == DeletionReport(claims=1, assets=1, pages=1, size_bytes=0)
    assert await store.pages.get_many(TENANT, [page.page_id]) == {}
    assert [chunk async for chunk in store.assets.open(TENANT, asset.asset_id)]


async def test_no_rules_keep_everything(store: Store, clock: FakeClock) -> None:
    await fill(store, clock)
    report = await run_retention(store, TENANT, (), now=clock(), dry_run=False, progress=lambda *_: None)
    assert (report.claims, await store.claims.count(TENANT)) == ((), 7)
