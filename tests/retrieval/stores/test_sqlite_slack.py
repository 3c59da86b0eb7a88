"""SQLite moves rows between its pages and leaves copies behind; after deletions none is left in the file."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.documents import Location
from retrieval.stores.sqlite import SqliteStore, core
from tests.conformance.builders import TENANT, claim, leased, new_page

CLAIMS = 150
GONE = 110
SEED = 4


async def filled(folder: Path) -> tuple[SqliteStore, list[str]]:
    """Claims of very different sizes, so that pages of the file split and merge; their marks."""
    chance = random.Random(SEED)
    store = await SqliteStore.open(folder)
    marks = [f"Mk{chance.getrandbits(64):016x}" for _ in range(CLAIMS)]
    for number, mark in enumerate(marks):
        facts = {"attributes": {"note": f"{mark}note"}, "damage_types": (f"{mark}damage",), "policy_id": f"{mark}pol"}
        text = f"{mark}text " * chance.randint(1, 40)
        place = Location(city=f"{mark}city")
        await store.claims.put(TENANT, claim(f"{mark}claim", description=text, location=place, **facts))
        if number % 5 == 0:
            lease = await leased(store, claim_id=f"{mark}claim", content=f"{mark}bytes".encode())
            await store.pages.put(lease, [new_page(lease, picture=f"{mark}picture".encode())])
            await store.jobs.cancel(TENANT, lease.job_id)
        if number % 3 == 0:
            await store.claims.update(TENANT, f"{mark}claim", lambda old: replace(old, description=old.description * 3))
    chance.shuffle(marks)
    return store, marks


def left(folder: Path, marks: list[str]) -> int:
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return sum(content.count(mark.encode()) for content in contents for mark in marks)


async def test_nothing_is_left_after_each_deletion(tmp_path: Path) -> None:
    store, marks = await filled(tmp_path)
    for number, mark in enumerate(marks[:GONE], start=1):
        await store.claims.delete(TENANT, f"{mark}claim")
        if number % 10 == 0:
            assert left(tmp_path, marks[:number]) == 0
    assert left(tmp_path, marks[GONE:]) > 0
    await store.close()


async def test_a_large_file_is_cleaned_by_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_REWRITTEN_AT_ONCE", -1)
    store, marks = await filled(tmp_path)
    gone = marks[:GONE]
    for mark in gone:
        await store.claims.delete(TENANT, f"{mark}claim")
    assert left(tmp_path, gone) > 0, "copies in the slack are what this test is about"
    await store.sweep()
    assert left(tmp_path, gone) == 0
    size = (tmp_path / "claimsight.db").stat().st_mtime_ns
    await store.sweep()  # nothing to be done, so the file is not written again
    assert (tmp_path / "claimsight.db").stat().st_mtime_ns == size
    await store.close()
