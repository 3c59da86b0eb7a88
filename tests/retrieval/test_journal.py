"""The journal of reads: durable at once, in the chain a moment later, once each, whatever dies between."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval.audit import check_audit
from retrieval.documents import AuditEvent
from retrieval.errors import StoreUnavailable
from retrieval.journal import AuditJournal
from retrieval.stores.sqlite import SqliteStore

TENANT = "acme"
ROOT = Path(__file__).parents[2]


def event(number: int) -> AuditEvent:
    return AuditEvent(datetime.now(UTC), "api", "claim.view", f"C-{number}", f"r-{number}", {"claims": '["ü\u2028"]'})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "data")
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def _moves_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a test takes, nothing is moved behind its back."""
    monkeypatch.setattr("retrieval.journal._MOVE_EVERY_S", 3600.0)


async def targets(store: SqliteStore) -> list[str]:
    assert (await check_audit(store.audit, TENANT)).faults == ()
    return [record.event.target for record in await store.audit.records(TENANT)]


async def test_records_reach_the_chain_as_they_were_and_leave_no_file(store: SqliteStore, tmp_path: Path) -> None:
    observed: list[int] = []
    journal = AuditJournal(store.audit, tmp_path / "journal", observe=lambda count, _: observed.append(count))
    assert not (tmp_path / "journal").exists()
    events = [event(number) for number in range(50)]
    await asyncio.gather(*(journal.record(TENANT, one) for one in events))
    assert journal.unmoved == 50
    await journal.move()
    assert [record.event for record in await store.audit.records(TENANT)] == events
    assert list((tmp_path / "journal").iterdir()) == []
    assert sum(observed) == 50
    assert len(observed) < 50, "what comes at once is synced together"
    await journal.close()
    with pytest.raises(StoreUnavailable):
        await journal.record(TENANT, event(51))


async def test_records_are_moved_without_being_asked(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.journal._MOVE_EVERY_S", 0.01)
    append, moved = store.audit.append, asyncio.Event()

    async def told(tenant: str, *events: AuditEvent) -> None:
        await append(tenant, *events)
        moved.set()

    monkeypatch.setattr(store.audit, "append", told)
    journal = AuditJournal(store.audit, tmp_path / "journal")
    await journal.record(TENANT, event(1))
    await moved.wait()
    await journal.close()
    assert await targets(store) == ["C-1"]


async def test_closing_moves_what_is_left(store: SqliteStore, tmp_path: Path) -> None:
    journal = AuditJournal(store.audit, tmp_path / "journal")
    await journal.record(TENANT, event(1))
    await journal.close()
    assert await targets(store) == ["C-1"]


async def test_a_store_that_is_away_loses_and_doubles_nothing(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = AuditJournal(store.audit, tmp_path / "journal")
    append = store.audit.append

    async def says_no_after_it_did(tenant: str, *events: AuditEvent) -> None:
        await append(tenant, *events)
        raise StoreUnavailable("The connection went away.")

    await journal.record(TENANT, event(1))
    monkeypatch.setattr(store.audit, "append", says_no_after_it_did)
    with pytest.raises(StoreUnavailable):
        await journal.move()
    await journal.record(TENANT, event(2))
    monkeypatch.setattr(store.audit, "append", append)
    await journal.close()
    assert await targets(store) == ["C-1", "C-2"]
    assert list((tmp_path / "journal").iterdir()) == []


_DIES = """
import asyncio, sys
from pathlib import Path
from retrieval.journal import AuditJournal
from retrieval.stores.sqlite import SqliteStore
from tests.retrieval.test_journal import TENANT, event
async def main():
    store = await SqliteStore.open(Path(sys.argv[1]) / "data")
    journal = AuditJournal(store.audit, Path(sys.argv[1]) / "journal")
    number = 0
    while True:
        await asyncio.gather(*(journal.record(TENANT, event(number + place)) for place in range(20)))
        print(number + 20, flush=True)
        number += 20
        if number % 60 == 0 and sys.argv[2] == "moving":
            await journal.move()
asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["waiting", "moving"])
async def test_a_killed_process_loses_nothing_that_was_answered(store: SqliteStore, tmp_path: Path, when: str) -> None:
    """kill -9; the next start takes over what it left, each record once."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", _DIES, str(tmp_path), when),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    answered = 0
    while answered < 200:
        answered = int(await process.stdout.readline())
    process.kill()
    answered = max([answered, *map(int, (await process.stdout.read()).split())])
    await process.wait()
    journal = AuditJournal(store.audit, tmp_path / "journal")
    await journal.recover()
    found = await targets(store)
    assert len(found) == len(set(found))
    assert {f"C-{number}" for number in range(answered)} <= set(found)
    assert await journal.recover() == 0
    assert list((tmp_path / "journal").iterdir()) == []


async def test_what_a_living_process_has_is_left_to_it(store: SqliteStore, tmp_path: Path) -> None:
    mine = AuditJournal(store.audit, tmp_path / "journal")
    await mine.record(TENANT, event(1))
    assert await AuditJournal(store.audit, tmp_path / "journal").recover() == 0
    await mine.close()
    assert await targets(store) == ["C-1"]


async def test_a_line_that_was_cut_is_passed_over(store: SqliteStore, tmp_path: Path) -> None:
    """Its sync had not ended, so nobody was told of it."""
    journal = AuditJournal(store.audit, tmp_path / "journal")
    await journal.record(TENANT, event(1))
    [path] = (tmp_path / "journal").iterdir()
    whole = path.read_bytes()
    await journal.close()
    path.write_bytes(whole.replace(b"C-1", b"C-2") + whole[: len(whole) // 2])
    await AuditJournal(store.audit, tmp_path / "journal").recover()
    assert await targets(store) == ["C-1", "C-2"]
