"""Backup, restore and verify of a data folder: whole or not at all, and every damage is found."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval.errors import ClaimsightError, InvalidInput
from retrieval.filters import parse_filter
from retrieval.queries import Query
from retrieval.search import SearchEngine
from retrieval.stores.sqlite import About, SqliteStore, backup, restore, verify
from tests.conformance.builders import DIMS, TENANT, asset_id_of, stored
from tests.fakes.encoder import FakeEncoder, draw_words
from tests.retrieval.search.building import add_pages

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def quiet(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total, name


def take(data: Path, target: Path) -> About:
    return backup(data, target, now=NOW, progress=quiet)


def faults(data: Path) -> list[tuple[str, str]]:
    return [(fault.code, fault.where) for fault in verify(data, progress=quiet).faults]


def paths_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A closed data folder: three claims, a file and two pages each."""
    store = await SqliteStore.open(tmp_path / "data")
    await store.ensure_index(dims=DIMS)
    for number in range(3):
        await stored(store, claim_id=f"C-{number}", content=f"file {number}".encode(), pages=2)
    await store.close()
    return tmp_path / "data"


async def test_a_backup_taken_while_written_gives_the_same_answers_elsewhere(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    words = [f"word{number}" for number in range(20)]
    store = await SqliteStore.open(tmp_path / "data")
    await store.ensure_index(dims=encoder.dims)

    async def ingest(claim_id: str, drawn: list[str]) -> None:
        line = "auto" if claim_id.startswith("old") else "travel"
        await add_pages(store, encoder, claim_id, [draw_words(drawn)], line=line)

    async def answers(of: SqliteStore) -> list[list[tuple[str, float]]]:
        engine = SearchEngine(of, encoder, cache_bytes=1 << 20)
        old = parse_filter({"line": "auto"})
        found = []
        for number in range(100):
            text = f"{words[number % 20]} {words[number * 7 % 20]}"
            result = await engine.search(TENANT, Query(text=text, filter=old, limit=5))
            found.append([(hit.page.page_id, hit.score) for hit in result.hits])
        return found

    for number in range(12):
        await ingest(f"old-{number}", [words[number], words[(number * 3 + 1) % 20]])
    before = await answers(store)
    assert all(before)
    stop = asyncio.Event()
    number = 0

    async def come_and_go() -> None:
        nonlocal number
        while not stop.is_set():
            await ingest(f"new-{number}", [words[number % 20]])
            if number % 2:
                await store.claims.delete(TENANT, f"new-{number}")
            number += 1

    writing = asyncio.create_task(come_and_go())

    def slowly(name: str, done: int, total: int) -> None:
        """A folder this small would be copied before anything is written: wait for a write at every step."""
        before_this = number
        while number == before_this and not writing.done():
            time.sleep(0.005)

    for round_number in range(3):
        target = tmp_path / f"backup-{round_number}"
        about = await asyncio.to_thread(backup, tmp_path / "data", target, now=NOW, progress=slowly)
        assert about.files == len(paths_below(target)) - 2
    stop.set()
    await writing
    assert await answers(store) == before
    await store.close()

    restore(target, tmp_path / "elsewhere", progress=quiet)
    assert faults(tmp_path / "elsewhere") == []
    again = await SqliteStore.open(tmp_path / "elsewhere")
    assert await answers(again) == before
    await again.close()


async def test_a_backup_holds_what_its_database_names_and_nothing_else(data: Path, tmp_path: Path) -> None:
    """Even when a claim goes after the database was copied and before its files were."""
    store = await SqliteStore.open(data)
    loop = asyncio.get_running_loop()
    deleted: list[str] = []

    def delete_meanwhile(name: str, done: int, total: int) -> None:
        if name == "database" and done == total and not deleted:
            deleted.append("C-1")
            asyncio.run_coroutine_threadsafe(store.claims.delete(TENANT, "C-1"), loop).result(30)

    target = tmp_path / "backup"
    await asyncio.to_thread(lambda: backup(data, target, now=NOW, progress=delete_meanwhile))
    await store.close()
    gone = asset_id_of(b"file 1")
    assert not [path for path in paths_below(target) if gone in path]
    restore(target, tmp_path / "elsewhere", progress=quiet)
    again = await SqliteStore.open(tmp_path / "elsewhere")
    assert await again.claims.count(TENANT) == 2
    await again.close()


def test_the_manifest_is_read_by_standard_tools_and_says_what_there_is(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "today"
    about = take(data, target)
    assert json.loads((target / "backup.json").read_text())["created_at"] == "2026-11-28T12:00:00+00:00"
    assert about.files == 1 + 3 + 2  # the database, three files, two different pictures
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=target, check=False)
    assert checked.returncode == 0
    assert {oct(path.stat().st_mode & 0o777) for path in target.rglob("*") if path.parent.name != "today"} == {
        "0o600",
        "0o700",
    }


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def first_file(folder: Path, kind: str) -> Path:
    return min(path for path in (folder / kind).rglob("*") if path.is_file())


def add_line(target: Path, path: str) -> None:
    """To the manifest, and its hash to backup.json: as somebody would who means harm."""
    text = (target / "SHA256SUMS").read_text() + f"{'0' * 64}  {path}\n"
    (target / "SHA256SUMS").write_text(text)
    about = json.loads((target / "backup.json").read_text()) | {"sums": asset_id_of(text.encode())}
    (target / "backup.json").write_text(json.dumps(about))


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a file changed": ("backup_damaged", lambda t: flip(first_file(t, "assets"))),
    "a picture changed": ("backup_damaged", lambda t: flip(first_file(t, "pictures"))),
    "the database changed": ("backup_damaged", lambda t: flip(t / "claimsight.db")),
    "a file missing": ("backup_damaged", lambda t: first_file(t, "assets").unlink()),
    "the database missing": ("backup_damaged", lambda t: (t / "claimsight.db").unlink()),
    "manifest cut": ("backup_damaged", lambda t: os.truncate(t / "SHA256SUMS", 100)),
    "manifest missing": ("backup_damaged", lambda t: (t / "SHA256SUMS").unlink()),
    "a path that leads out": ("backup_damaged", lambda t: add_line(t, "../outside")),
    "a path from the root": ("backup_damaged", lambda t: add_line(t, "/etc/passwd")),
    "a file that is listed and not there": ("backup_damaged", lambda t: add_line(t, f"assets/00/{'0' * 64}")),
    "no words": ("backup_damaged", lambda t: (t / "backup.json").write_text("{}")),
    "of a newer version": (
        "backup_newer",
        lambda t: (t / "backup.json").write_text((t / "backup.json").read_text().replace('"format": 1', '"format": 2')),
    ),
    "no backup": ("not_a_backup", lambda t: (t / "backup.json").unlink()),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_backup_that_is_not_whole_is_not_restored(data: Path, tmp_path: Path, damage: str) -> None:
    target = tmp_path / "backup"
    take(data, target)
    code, harm = DAMAGE[damage]
    harm(target)
    with pytest.raises(ClaimsightError) as refused:
        restore(target, tmp_path / "elsewhere", progress=quiet)
    assert refused.value.code == code
    assert {path.name for path in tmp_path.iterdir()} == {"data", "backup"}


def test_nothing_is_written_into_a_folder_that_holds_something(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    take(data, target)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    for work in (lambda: take(data, mine), lambda: restore(target, mine, progress=quiet)):
        with pytest.raises(ClaimsightError) as refused:
            work()
        assert refused.value.code == "target_not_empty"
    assert paths_below(mine) == {"notes.txt"}
    (tmp_path / "new").mkdir()
    restore(target, tmp_path / "new", progress=quiet)  # an empty one is fine
    assert faults(tmp_path / "new") == []


def test_a_backup_that_is_stopped_leaves_nothing_and_a_killed_one_is_cleared(data: Path, tmp_path: Path) -> None:
    def stop(name: str, done: int, total: int) -> None:
        if name == "files":
            raise KeyboardInterrupt

    target = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        backup(data, target, now=NOW, progress=stop)
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    killed = tmp_path / "backup.partial"
    shutil.copytree(data, killed)
    (killed / "half").write_bytes(b"half")
    about = take(data, target)
    assert not killed.exists()
    assert len(paths_below(target)) == about.files + 2


def test_two_backups_to_one_place_do_not_mix(data: Path, tmp_path: Path) -> None:
    (tmp_path / "backup.partial").mkdir()
    other = os.open(tmp_path / "backup.partial", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(ClaimsightError) as refused:
        take(data, tmp_path / "backup")
    assert refused.value.code == "target_busy"
    os.close(other)
    take(data, tmp_path / "backup")


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    for work in (lambda: take(tmp_path / "none", tmp_path / "b"), lambda: verify(tmp_path / "none", progress=quiet)):
        with pytest.raises(InvalidInput) as refused:
            work()
        assert refused.value.code == "no_data_folder"
    assert list(tmp_path.iterdir()) == []


def change(data: Path, statement: str) -> None:
    file = sqlite3.connect(data / "claimsight.db", isolation_level=None)
    file.execute(statement)
    file.close()


def break_pages(data: Path) -> None:
    """Every second page of the database but the first few: damage that no statement could do."""
    with (data / "claimsight.db").open("r+b") as file:
        for number in range(5, os.path.getsize(data / "claimsight.db") // 4096, 2):
            file.seek(number * 4096 + 8)
            file.write(b"\xff" * 64)


FAULTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "file gone": ("file_missing", lambda d: first_file(d, "assets").unlink()),
    "picture gone": ("file_missing", lambda d: first_file(d, "pictures").unlink()),
    "file changed": ("file_damaged", lambda d: flip(first_file(d, "assets"))),
    "picture cut": ("file_damaged", lambda d: os.truncate(first_file(d, "pictures"), 2)),
    "vectors gone": ("vectors_missing", lambda d: change(d, "DELETE FROM summaries WHERE page = 2")),
    "vectors short": ("vectors_damaged", lambda d: change(d, "UPDATE summaries SET summary = x'00000000'")),
    "vectors odd": ("vectors_damaged", lambda d: change(d, "UPDATE summaries SET summary = x'000000'")),
    "tokens cut": ("vectors_damaged", lambda d: change(d, "UPDATE tokens SET scales = x'0000' WHERE page = 1")),
    "page of no claim": ("reference_broken", lambda d: change(d, "UPDATE pages SET claim = 99 WHERE id = 1")),
    "database changed": ("database_damaged", break_pages),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_verify_finds(data: Path, tmp_path: Path, fault: str) -> None:
    assert faults(data) == []
    code, harm = FAULTS[fault]
    harm(data)
    assert code in {found for found, _ in faults(data)}
    if code in ("file_missing", "file_damaged"):
        with pytest.raises(ClaimsightError) as refused:
            take(data, tmp_path / "backup")
        assert refused.value.code == code
        assert not (tmp_path / "backup").exists()
