"""The data folder: what lies where, who may read it, what a crash or a deletion leaves behind."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrieval.documents import AuditEvent, EntryState
from retrieval.errors import StoreUnavailable
from retrieval.ports import EntryOutcome
from retrieval.stores.sqlite import SqliteStore
from retrieval.stores.sqlite.files import Files
from tests.conformance.builders import (
    FILE,
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
)

FILE_ID = asset_id_of(FILE)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def test_layout_and_rights(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = await SqliteStore.open(tmp_path / "data")
        [page] = await stored(store)
    finally:
        os.umask(old)
    picture = asset_id_of(await store.pages.picture(TENANT, page.page_id))
    assert files_below(tmp_path / "data") >= {
        "claimsight.db",
        f"assets/{FILE_ID[:2]}/{FILE_ID}",
        f"pictures/{picture[:2]}/{picture}",
    }
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    await store.close()


async def test_every_connection_is_durable_and_strict(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)

    def pragmas(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    for run in (store._core.db.write, store._core.db.read):
        assert await run(pragmas) == ["wal", 2, 1, 1]
    await store.close()


async def test_nothing_runs_on_the_event_loop(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    for run in (store._core.db.write, store._core.db.read):
        assert await run(lambda connection: threading.current_thread()) is not threading.main_thread()
    await store.close()


async def test_opened_by_several_at_once(tmp_path: Path) -> None:
    stores = await asyncio.gather(*(SqliteStore.open(tmp_path) for _ in range(4)))
    await asyncio.gather(*(store.claims.put(TENANT, claim(f"C-{place}")) for place, store in enumerate(stores)))
    assert [await store.claims.count(TENANT) for store in stores] == [4] * 4
    for store in stores:
        await store.close()


async def test_what_was_stored_is_there_after_reopening(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    await store.ensure_index(dims=8)
    [page] = await stored(store)
    vectors = await store.pages.vectors(TENANT, [page.page_id])
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert await store.pages.get(TENANT, page.page_id) == page
    again = await store.pages.vectors(TENANT, [page.page_id])
    assert again[page.page_id].summary.tobytes() == vectors[page.page_id].summary.tobytes()
    status = await store.index_status()
    assert (status.state, status.pages, status.indexed) == ("ready", 1, 1)
    await store.close()


ACCEPT = """
import asyncio, os, signal, sys
from retrieval.stores.sqlite import SqliteStore
from tests.conformance.builders import submit

async def main():
    store = await SqliteStore.open(sys.argv[1])
    for number in range(3):
        await submit(store, contents=[f"file {number}".encode()])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, timeout=120, check=False
    )


async def test_an_accepted_upload_survives_kill_9(tmp_path: Path) -> None:
    assert run_python(ACCEPT, str(tmp_path)).returncode == -9
    store = await SqliteStore.open(tmp_path)
    jobs = (await store.jobs.list(TENANT)).items
    assert len(jobs) == 3
    for number in range(3):
        content = f"file {number}".encode()
        assert b"".join([chunk async for chunk in store.assets.open(TENANT, asset_id_of(content))]) == content
    await store.close()


WORK = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from retrieval.documents import AuditEvent, EntryState
from retrieval.ports import EntryOutcome
from retrieval.stores.sqlite import SqliteStore
from tests.conformance.builders import new_page

async def main():
    store = await SqliteStore.open(sys.argv[1])
    while (lease := await store.jobs.lease("w", ttl=timedelta(seconds=60))) is not None:
        await store.pages.put(lease, [new_page(lease)])
        await store.jobs.finish(lease, EntryOutcome(EntryState.succeeded))
        print(lease.job_id, lease.entry_index)
    await store.close()

asyncio.run(main())
"""


async def test_worker_processes_share_the_queue_without_doubles(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    job = await submit(store, contents=[f"file {number}".encode() for number in range(20)])
    runs = await asyncio.gather(*(asyncio.to_thread(run_python, WORK, str(tmp_path)) for _ in range(2)))
    taken = [line for run in runs for line in run.stdout.splitlines()]
    assert [run.returncode for run in runs] == [0, 0], [run.stderr for run in runs]
    assert len(taken) == len(set(taken)) == 20
    entries = (await store.jobs.get(TENANT, job.job_id)).entries
    assert all(entry.state is EntryState.succeeded and entry.pages_done == 1 for entry in entries)
    assert await store.pages.counts() == {"fake/1": 20}
    await store.close()


async def test_files_of_a_crash_before_the_record_are_swept(tmp_path: Path) -> None:
    clock = FakeClock()
    store = await SqliteStore.open(tmp_path, clock=clock)
    [page] = await stored(store)
    kept = files_below(tmp_path)
    orphans = [
        tmp_path / "assets" / "ab" / ("ab" + "0" * 62),
        tmp_path / "pictures" / "cd" / ("cd" + "0" * 62),
        tmp_path / "spool" / "store-cut-off",
    ]
    for path in orphans:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"orphan")
    assert await store.sweep() == 0  # they may be of an upload under way
    assert all(path.exists() for path in orphans)
    clock.advance(timedelta(hours=1, seconds=5))
    assert await store.sweep() == 3
    assert files_below(tmp_path) == kept
    assert await store.pages.picture(TENANT, page.page_id)
    assert await store.sweep() == 0
    await store.close()


async def test_a_crash_between_commit_and_removal_is_repaired_on_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(tmp_path)
    await stored(store, claim_id="C-1")
    [other] = await stored(store, claim_id="C-2", content=b"another")

    def cut_off(*arguments: object) -> int:
        raise OSError("the lights went out")

    with monkeypatch.context() as dark:
        dark.setattr(Files, "remove_unheld", cut_off)
        with pytest.raises(StoreUnavailable):
            await store.claims.delete(TENANT, "C-1")
    assert await store.claims.count(TENANT) == 1
    left = tmp_path / "assets" / FILE_ID[:2] / FILE_ID
    assert left.exists()
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert not left.exists()
    assert await store.pages.picture(TENANT, other.page_id)
    await store.close()


async def test_a_crash_while_pages_are_stored_leaves_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    store = await SqliteStore.open(tmp_path, clock=clock)
    lease = await leased(store)
    before = files_below(tmp_path)
    settle = Files.settle

    def cut_off(self: Files, *arguments: object) -> None:
        settle(self, *arguments)  # type: ignore[arg-type]
        raise OSError("the lights went out")

    with monkeypatch.context() as dark:
        dark.setattr(Files, "settle", cut_off)
        with pytest.raises(StoreUnavailable):
            await store.pages.put(lease, [new_page(lease, 1), new_page(lease, 2)])
    assert await store.pages.counts() == {}
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert entry.pages_done == 0
    clock.advance(timedelta(hours=2))
    await store.sweep()
    assert files_below(tmp_path) == before
    await store.pages.put(lease, [new_page(lease, 1)])
    await store.close()


async def test_a_file_deleted_and_added_at_once_is_never_half_there(tmp_path: Path) -> None:
    """Deleting takes the bytes only where no record names them, adding names them in the same step as it puts them."""
    stores = [await SqliteStore.open(tmp_path) for _ in range(2)]
    for claim_id in ("C-1", "C-2"):
        await stores[0].claims.put(TENANT, claim(claim_id))

    async def come_and_go(store: SqliteStore, claim_id: str) -> None:
        for _ in range(5):
            await add_file(store, claim_id=claim_id)
            content = b"".join([chunk async for chunk in store.assets.open(TENANT, FILE_ID)])
            assert content == FILE
            await store.assets.delete(TENANT, FILE_ID, claim_id=claim_id)

    await asyncio.gather(come_and_go(stores[0], "C-1"), come_and_go(stores[1], "C-2"))
    assert files_below(tmp_path / "assets") == set()
    for store in stores:
        await store.close()


async def test_deletion_leaves_no_trace_on_disk(tmp_path: Path) -> None:
    """Neither in files nor in the free space of the database and its log."""
    store = await SqliteStore.open(tmp_path)
    marker = "Zq7-unmistakable-marker"
    content = f"file {marker}".encode()
    await store.claims.put(TENANT, claim("C-1", description=marker * 300, attributes={"note": marker}))
    await add_file(store, content=content, filename=f"{marker}.pdf")
    lease = await leased(store, content=content + b"2")
    await store.pages.put(lease, [new_page(lease, picture=marker.encode())])
    await store.jobs.postpone(lease, delay=TTL, code="x", detail=marker)
    await store.claims.put(TENANT, claim("C-2"))

    def holding() -> set[str]:
        return {name for name in files_below(tmp_path) if marker.encode() in (tmp_path / name).read_bytes()}

    assert holding()
    await store.claims.delete(TENANT, "C-1")
    assert holding() == set()
    await store.close()
    assert holding() == set()


async def test_a_replaced_picture_goes(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    lease = await leased(store)
    await store.pages.put(lease, [new_page(lease, picture=b"old"), new_page(lease, 2, picture=b"both")])
    await store.pages.put(lease, [new_page(lease, picture=b"new")])
    assert len(files_below(tmp_path / "pictures")) == 2
    assert files_below(tmp_path / "spool") == set()
    await store.jobs.finish(lease, EntryOutcome(EntryState.succeeded))
    await store.close()


async def test_the_file_is_sound_after_all_kinds_of_work(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    for number in range(3):
        await stored(store, claim_id=f"C-{number}", content=f"{number}".encode(), pages=3)
    await store.assets.delete(TENANT, asset_id_of(b"0"))
    await store.claims.delete(TENANT, "C-1")
    await store.close()
    file = sqlite3.connect(tmp_path / "claimsight.db")
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert file.execute("PRAGMA foreign_key_check").fetchall() == []
    tables = ("summaries", "tokens", "pages")
    assert [file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables] == [3, 3, 3]
    file.close()


async def test_the_audit_cannot_be_changed_by_a_statement(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    await store.audit.append(TENANT, AuditEvent(datetime.now(UTC), "api", "claim.delete", "C-1"))
    await store.close()
    file = sqlite3.connect(tmp_path / "claimsight.db")
    for statement in ("DELETE FROM audit", "UPDATE audit SET actor = 'nobody'"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            file.execute(statement)
    file.close()
