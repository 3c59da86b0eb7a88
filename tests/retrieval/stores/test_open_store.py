"""Which address opens which engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.errors import InvalidInput
from retrieval.stores import open_store


async def test_sqlite_address_opens_the_embedded_engine(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/a folder")
    assert store.engine == "sqlite"
    assert (tmp_path / "a folder" / "claimsight.db").is_file()
    await store.close()


async def test_a_relative_path_and_home_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for address in ("sqlite:data", "sqlite:~/kept"):
        await (await open_store(address)).close()
    assert (tmp_path / "data" / "claimsight.db").is_file()
    assert (tmp_path / "kept" / "claimsight.db").is_file()


@pytest.mark.parametrize(
    "address",
    ["", "sqlite:", "sqlite", "data", "/data", "postgres://u:secret@h/d", "mongodb:x", "SQLITE:x", "http://x"],
)
async def test_any_other_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await open_store(address)
    assert (refused.value.code, refused.value.field) == ("bad_store", "store")
    assert "sqlite:" in refused.value.detail
    assert "secret" not in refused.value.detail


def test_the_embedded_engine_needs_no_mongodb_driver(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from retrieval.stores import open_store\n"
        "async def main():\n"
        f"    await (await open_store({str('sqlite:' + str(tmp_path / 'data'))!r})).close()\n"
        "asyncio.run(main())\n"
        "sys.exit(any(name in sys.modules for name in ('pymongo', 'bson', 'torch')))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False, timeout=60).returncode == 0
