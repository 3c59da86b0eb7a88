"""Backup, verify, restore and copy of an encrypted data folder."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval.copying import copy_store
from retrieval.errors import StoreUnavailable
from retrieval.stores.sqlite import SqliteStore, backup, restore, verify
from tests.conformance.builders import TENANT, asset_id_of
from tests.conformance.test_encrypted import KEYS, LARGE, MARK, NEW, OLD, check_content, fill

ROOT = Path(__file__).parents[3]


def quiet(*_: object) -> None:
    return


async def filled(folder: Path) -> str:
    store = await SqliteStore.open(folder, keys=KEYS)
    try:
        return await fill(store)
    finally:
        await store.close()


async def test_a_backup_stays_encrypted_and_comes_back_whole(tmp_path: Path) -> None:
    page_id = await filled(tmp_path / "data")
    for act in (
        lambda: backup(tmp_path / "data", tmp_path / "none", now=datetime.now(UTC), progress=quiet),
        lambda: verify(tmp_path / "data", progress=quiet),
    ):
        with pytest.raises(StoreUnavailable) as refused:
            act()
        assert refused.value.code == "encryption_key_missing"
    assert verify(tmp_path / "data", progress=quiet, keys=KEYS).faults == ()
    backup(tmp_path / "data", tmp_path / "backup", now=datetime.now(UTC), progress=quiet, keys=KEYS)
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert all(MARK not in path.read_bytes() for path in files)
    restore(tmp_path / "backup", tmp_path / "restored", progress=quiet)
    store = await SqliteStore.open(tmp_path / "restored", keys=KEYS)
    await check_content(store, page_id)
    await store.close()


async def test_verify_and_backup_find_a_file_that_was_tampered_with(tmp_path: Path) -> None:
    await filled(tmp_path / "data")
    asset_id = asset_id_of(LARGE)
    path = tmp_path / "data" / "assets" / asset_id[:2] / asset_id
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    faults = verify(tmp_path / "data", progress=quiet, keys=KEYS).faults
    assert [(fault.code, Path(fault.where).name) for fault in faults] == [("file_damaged", asset_id)]
    with pytest.raises(StoreUnavailable) as refused:
        backup(tmp_path / "data", tmp_path / "backup", now=datetime.now(UTC), progress=quiet, keys=KEYS)
    assert refused.value.code == "file_damaged"


async def test_a_copy_goes_from_encrypted_to_open_and_is_the_same(tmp_path: Path) -> None:
    page_id = await filled(tmp_path / "data")
    source, target = await SqliteStore.open(tmp_path / "data", keys=KEYS), await SqliteStore.open(tmp_path / "copied")
    try:
        assert (await copy_store(source, target, progress=quiet)).differences == ()
        await check_content(target, page_id)
        assert await target.claims.count(TENANT) == 1
    finally:
        await source.close()
        await target.close()


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSIGHT_")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "CLAIMSIGHT_STORE": "sqlite:data", **variables}
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


async def test_the_command_says_what_is_missing_and_rotates_with_both_keys(tmp_path: Path) -> None:
    await filled(tmp_path / "data")
    missing = run(tmp_path, "index", "status")
    assert (missing.returncode, KEYS.current in missing.stderr) == (1, True)
    (tmp_path / "keys").write_text(f"{NEW.hex()}\n{OLD.hex()}\n")
    rotated = run(tmp_path, "encryption", "rotate", CLAIMSIGHT_ENCRYPTION_KEY_FILE="keys")
    assert rotated.returncode == 0, rotated.stderr
    assert "4 of 4 files were encrypted anew" in rotated.stdout
    checked = run(tmp_path, "verify", CLAIMSIGHT_ENCRYPTION_KEY=NEW.hex())
    assert (checked.returncode, "0 faults" in checked.stdout) == (0, True), checked.stdout + checked.stderr
