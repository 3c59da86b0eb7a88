"""Deleting a claim of many pages costs few durable steps, not some for each page."""

from __future__ import annotations

from pathlib import Path

from retrieval.stores.mongo import MongoStore
from retrieval.stores.sqlite import SqliteStore
from tests.conformance.builders import TENANT, stored
from tests.fakes.atlas_standin import AtlasStandin


async def test_many_pages_go_from_the_folder_in_a_few_commits(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "data")
    await stored(store, claim_id="C-1", pages=300)
    statements: list[str] = []
    await store._core.db.write(lambda connection: connection.set_trace_callback(statements.append))
    statements.clear()
    report = await store.claims.delete(TENANT, "C-1")
    assert report.pages == 300
    assert not [path for path in (tmp_path / "data" / "pictures").rglob("*") if path.is_file()]
    assert statements.count("COMMIT") <= 5, "one for the records, one for each 200 files"
    await store.close()


async def test_many_pages_go_from_mongodb_in_a_few_commands(store: MongoStore, atlas: AtlasStandin) -> None:
    commands = []
    for claim_id, pages in (("C-few", 2), ("C-many", 150)):
        await stored(store, claim_id=claim_id, content=claim_id.encode(), pages=pages)
        atlas.commands.clear()
        report = await store.claims.delete(TENANT, claim_id)
        assert report.pages == pages
        commands.append(len(atlas.commands))
    assert commands[1] <= commands[0] + 5, "a page more costs no command more"
