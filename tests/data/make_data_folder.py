"""Writes a small data folder of the embedded store as this version of the code makes it.

    python -m tests.data.make_data_folder tests/data/folder-v1

Run once for each version of the tables, before the next migration; the folder is then never written again, for it
stands for the folders of those who use that version. What every later version must find in it is named below.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from retrieval.documents import AuditEvent, Claim, EntryState, Location, NewEntry, Vehicle
from retrieval.ports import EntryOutcome, Store
from retrieval.stores.sqlite import SqliteStore
from tests.conformance.builders import DIMS, OTHER_TENANT, TENANT, FakeClock, add_file, leased, new_page, submit

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
FULL = Claim(
    claim_id="C-1",
    line="auto",
    status="paid",
    policy_id="POL-1",
    loss_date=date(2025, 12, 24),
    reported_date=date(2025, 12, 27),
    loss_amount=1840.5,
    currency="EUR",
    damage_types=("windshield", "hail"),
    location=Location("Graz", "Styria", "AT"),
    vehicle=Vehicle("Toyota", "Corolla", 2021),
    description="Hail broke the windshield.",
    attributes={"fleet": True, "adjuster": "m.huber", "doors": 5.0},
)
CONTENTS = {"C-1": b"%PDF-1.7 first", "C-2": b"%PDF-1.7 second"}


def event_at(number: int) -> AuditEvent:
    return AuditEvent(
        at=START + timedelta(minutes=number),
        actor="api",
        action="claim.change",
        target=f"C-{number}",
        request_id=f"r-{number}",
        details={"pages": number, "why": "ümlaut"},
    )


async def fill(store: Store, clock: FakeClock) -> None:
    """Two claims with a file of two pages each, an entry that waits, one that failed, one tenant more, an audit."""
    clock.now = START
    await store.ensure_index(dims=DIMS)
    await store.claims.put(TENANT, FULL)
    for claim_id, content in CONTENTS.items():
        clock.advance(timedelta(hours=1))
        lease = await leased(store, TENANT, claim_id, content)
        await store.assets.describe(lease, media_type="application/pdf", page_count=2)
        await store.assets.warn(lease, [("page_failed", "Page 3 could not be drawn.")])
        await store.pages.put(lease, [new_page(lease, number) for number in (1, 2)])
        await store.jobs.finish(lease, EntryOutcome(EntryState.succeeded))
    await store.jobs.submit(
        TENANT, "C-2", [NewEntry("notes.txt", None, EntryState.failed, "unsupported_type", "Not a picture.")]
    )
    await store.claims.put(OTHER_TENANT, Claim("C-1"))
    await add_file(store, OTHER_TENANT, "C-1", CONTENTS["C-1"])
    await submit(store, TENANT, "C-1", [b"waiting"], idempotency_key="upload-1")
    for number in range(1, 6):
        await store.audit.append(TENANT, event_at(number))
    await store.audit.append(OTHER_TENANT, event_at(7))


async def make(folder: Path) -> None:
    clock = FakeClock()
    clock.now = START
    store = await SqliteStore.open(folder, clock=clock)
    await fill(store, clock)
    await store.close()
    shutil.rmtree(folder / "spool")


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
