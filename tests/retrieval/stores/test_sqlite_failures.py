"""sqlite3's exceptions never leave the embedded store, and each failure says what a user can do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from retrieval.errors import ClaimsightError, InvalidInput, StoreUnavailable
from retrieval.stores.sqlite import SqliteStore, connection
from retrieval.stores.sqlite.failures import domain_error, translated
from retrieval.stores.sqlite.schema import MIGRATIONS
from tests.conformance.builders import TENANT, add_file, claim


def driver_exceptions() -> list[type[Exception]]:
    found = {value for value in vars(sqlite3).values() if isinstance(value, type) and issubclass(value, Exception)}
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", driver_exceptions())
def test_every_exception_of_the_driver_becomes_one_of_the_domain(kind: type[Exception]) -> None:
    with pytest.raises(ClaimsightError) as raised, translated():
        raise kind("near line 1: SELECT secret FROM /home/me/claims")
    assert "secret" not in raised.value.detail
    assert "/home" not in raised.value.detail


@pytest.mark.parametrize(
    ("code", "part"),
    [
        (sqlite3.SQLITE_BUSY, "busy"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "busy"),
        (sqlite3.SQLITE_FULL, "full"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_IOERR_WRITE, "cannot be read or written"),
        (sqlite3.SQLITE_READONLY, "cannot be read or written"),
        (sqlite3.SQLITE_ERROR, "could not"),
    ],
)
def test_the_sentence_follows_the_cause(code: int, part: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    mapped = domain_error(error)
    assert isinstance(mapped, StoreUnavailable)
    assert part in mapped.detail


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (OSError(errno.ENOSPC, "No space left"), StoreUnavailable, "full"),
        (PermissionError(errno.EACCES, "denied"), StoreUnavailable, "rights"),
        (OverflowError("too large"), InvalidInput, "cannot be stored"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), InvalidInput, "cannot be stored"),
        (sqlite3.DataError("string or blob too big"), InvalidInput, "too large"),
    ],
)
def test_other_causes(error: Exception, kind: type[ClaimsightError], part: str) -> None:
    mapped = domain_error(error)
    assert isinstance(mapped, kind)
    assert part in mapped.detail


async def test_a_value_that_cannot_be_stored_is_the_callers_fault(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    for facts in ({"description": "\ud800"}, {"policy_id": "x\udfff"}):
        with pytest.raises(InvalidInput):
            await store.claims.put(TENANT, claim(**facts))
    assert await store.claims.count(TENANT) == 0
    await store.close()


async def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "claimsight.db").write_bytes(b"this is no database " * 1000)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await SqliteStore.open(tmp_path)


async def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(StoreUnavailable, match="data folder"):
        await SqliteStore.open(tmp_path / "data")


async def test_a_database_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "claimsight.db").mkdir()
    with pytest.raises(StoreUnavailable, match="data folder"):
        await SqliteStore.open(tmp_path)


async def test_a_data_folder_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    await (await SqliteStore.open(tmp_path)).close()
    with sqlite3.connect(tmp_path / "claimsight.db") as file:
        file.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    file.close()
    with pytest.raises(StoreUnavailable, match="newer"):
        await SqliteStore.open(tmp_path)


async def test_a_python_with_too_old_an_sqlite_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
    with pytest.raises(StoreUnavailable, match=r"3\.37 or newer"):
        await SqliteStore.open(tmp_path)


async def test_a_writer_that_never_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_S", 0.01)
    store = await SqliteStore.open(tmp_path)
    blocker = sqlite3.connect(tmp_path / "claimsight.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="busy"):
        await store.claims.put(TENANT, claim())
    assert await store.claims.count(TENANT) == 0  # readers wait for nobody
    blocker.execute("ROLLBACK")
    blocker.close()
    await store.claims.put(TENANT, claim())
    await store.close()


async def test_a_full_disk_is_told_and_harms_nothing(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    await store.claims.put(TENANT, claim("C-1"))

    def limit(file: sqlite3.Connection) -> None:
        pages = file.execute("PRAGMA page_count").fetchone()[0]
        file.execute(f"PRAGMA max_page_count = {pages}")

    await store._core.db.write(limit)  # the same answer of SQLite as on a full disk
    with pytest.raises(StoreUnavailable, match="full"):
        await store.claims.put(TENANT, claim("C-2", description="x" * 1_000_000))
    assert (await store.claims.get(TENANT, "C-1")).claim_id == "C-1"
    assert await store.claims.count(TENANT) == 1
    await store.close()


async def test_bytes_that_were_taken_away_are_told(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    await store.claims.put(TENANT, claim())
    asset, _ = await add_file(store)
    path = tmp_path / "assets" / asset.asset_id[:2] / asset.asset_id
    path.unlink()
    with pytest.raises(StoreUnavailable, match="missing"):
        await anext(aiter(store.assets.open(TENANT, asset.asset_id)))
    _, is_new = await add_file(store)  # uploading the file again heals it
    assert not is_new
    assert path.is_file()
    await store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.ping()
    await store.close()
