"""What ports.AssetStore promises, on both engines."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from retrieval.capture import Capture
from retrieval.documents import Asset, DeletionReport
from retrieval.errors import InvalidInput, LeaseLost, NotFound, TooLarge
from retrieval.ingestion.spool import Spool
from retrieval.ports import Store
from tests.conformance.builders import (
    FILE,
    OTHER_TENANT,
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
from tests.conformance.conftest import OpenAgain

FILE_ID = asset_id_of(FILE)


async def read(store: Store, asset_id: str, tenant: str = TENANT) -> bytes:
    return b"".join([chunk async for chunk in store.assets.open(tenant, asset_id)])


@pytest.fixture
async def filed(store: Store) -> Store:
    """With an empty claim C-1."""
    await store.claims.put(TENANT, claim("C-1"))
    return store


async def test_add_keeps_bytes_and_record(filed: Store, clock: FakeClock) -> None:
    asset, is_new = await add_file(filed, filename="Schaden “links” 🚗.pdf")
    assert is_new
    assert asset == Asset(
        asset_id=FILE_ID,
        claim_id="C-1",
        filename="Schaden “links” 🚗.pdf",
        size_bytes=len(FILE),
        created_at=clock.now,
    )
    assert await filed.assets.get(TENANT, FILE_ID) == (asset,)
    assert await filed.assets.get(TENANT, FILE_ID, claim_id="C-1") == (asset,)
    assert await filed.assets.list(TENANT, "C-1") == (asset,)
    assert await read(filed, FILE_ID) == FILE


async def test_add_leaves_its_source_in_place(filed: Store, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.write_bytes(FILE)
    await filed.assets.add(TENANT, Asset(FILE_ID, "C-1", "a.pdf", len(FILE)), source)
    assert source.read_bytes() == FILE


async def test_add_again_changes_nothing(filed: Store, clock: FakeClock) -> None:
    first, _ = await add_file(filed, filename="first.pdf")
    clock.advance(timedelta(hours=1))
    second, is_new = await add_file(filed, filename="second.pdf")
    assert (second, is_new) == (first, False)
    assert await filed.assets.list(TENANT, "C-1") == (first,)


async def test_add_at_once_from_two_processes_stores_one(open_again: OpenAgain) -> None:
    stores = [await open_again(), await open_again()]
    await stores[0].claims.put(TENANT, claim("C-1"))
    outcomes = await asyncio.gather(*(add_file(store) for store in stores * 3))
    assert sum(is_new for _, is_new in outcomes) == 1
    assert len(await stores[0].assets.list(TENANT, "C-1")) == 1
    assert await read(stores[1], FILE_ID) == FILE


async def test_add_to_an_unknown_claim_stores_nothing(store: Store) -> None:
    with pytest.raises(NotFound) as missing:
        await add_file(store)
    assert missing.value.code == "claim_not_found"
    with pytest.raises(NotFound):
        await store.assets.get(TENANT, FILE_ID)


async def test_add_refuses_bytes_that_are_not_those_named(filed: Store, tmp_path: Path) -> None:
    """Bytes are shared by hash, so a wrong hash would give one user another's file."""
    source = tmp_path / "upload"
    source.write_bytes(b"something else")
    with pytest.raises(InvalidInput) as refused:
        await filed.assets.add(TENANT, Asset(FILE_ID, "C-1", "a.pdf", 14), source)
    assert refused.value.code == "bad_asset"
    assert await filed.assets.list(TENANT, "C-1") == ()


async def test_large_file_comes_in_chunks_of_a_mebibyte_at_most(filed: Store) -> None:
    content = bytes(range(256)) * 10_000
    await add_file(filed, content=content)
    chunks = [chunk async for chunk in filed.assets.open(TENANT, asset_id_of(content))]
    assert b"".join(chunks) == content
    assert len(chunks) > 1
    assert max(map(len, chunks)) <= 1 << 20


async def test_local_copy_is_a_file_with_the_bytes_and_is_cleaned_up(filed: Store) -> None:
    await add_file(filed)
    async with filed.assets.local_copy(TENANT, FILE_ID) as path:
        assert path.read_bytes() == FILE
    assert not path.exists()
    assert await read(filed, FILE_ID) == FILE


async def test_local_copy_in_use_is_left_by_a_sweep(filed: Store) -> None:
    await add_file(filed)
    async with filed.assets.local_copy(TENANT, FILE_ID) as path:
        Spool(path.parent).sweep()
        await filed.sweep()
        assert path.read_bytes() == FILE


async def test_local_copy_outlives_a_deletion_meanwhile(filed: Store) -> None:
    await add_file(filed)
    async with filed.assets.local_copy(TENANT, FILE_ID) as path:
        await filed.claims.delete(TENANT, "C-1")
        assert path.read_bytes() == FILE
    assert not path.exists()


async def test_unknown_files_are_not_found(filed: Store) -> None:
    unknown = sha256(b"unknown").hexdigest()
    calls = [
        filed.assets.get(TENANT, unknown),
        filed.assets.delete(TENANT, unknown),
        read(filed, unknown),
        filed.assets.local_copy(TENANT, unknown).__aenter__(),
    ]
    for call in calls:
        with pytest.raises(NotFound) as missing:
            await call
        assert missing.value.code == "asset_not_found"
    await add_file(filed)
    for call in (filed.assets.get, filed.assets.delete):
        with pytest.raises(NotFound):
            await call(TENANT, FILE_ID, claim_id="C-2")
    with pytest.raises(NotFound) as missing:
        await filed.assets.list(TENANT, "C-0")
    assert missing.value.code == "claim_not_found"


@pytest.mark.parametrize("odd", ["", "..", "../../etc/passwd", "a/b", "\0", "%2e%2e", "A" * 300])
async def test_an_odd_asset_id_is_not_found(filed: Store, odd: str) -> None:
    for call in (filed.assets.get(TENANT, odd), read(filed, odd)):
        with pytest.raises(NotFound):
            await call


async def test_list_is_oldest_first(filed: Store, clock: FakeClock) -> None:
    for name in ("b", "c", "a"):
        await add_file(filed, content=name.encode(), filename=name)
        clock.advance(timedelta(seconds=1))
    assert [asset.filename for asset in await filed.assets.list(TENANT, "C-1")] == ["b", "c", "a"]


async def test_the_same_file_in_two_claims_is_two_records(filed: Store) -> None:
    await filed.claims.put(TENANT, claim("C-2"))
    first, _ = await add_file(filed, claim_id="C-1", filename="one.pdf")
    second, is_new = await add_file(filed, claim_id="C-2", filename="two.pdf")
    assert is_new
    assert set(await filed.assets.get(TENANT, FILE_ID)) == {first, second}
    assert await filed.assets.get(TENANT, FILE_ID, claim_id="C-2") == (second,)


async def test_stored_bytes_count_a_file_once_however_many_claims_hold_it(store: Store) -> None:
    assert await store.assets.stored_bytes(TENANT) == 0
    for claim_id in ("C-1", "C-2"):
        await store.claims.put(TENANT, claim(claim_id))
        await add_file(store, claim_id=claim_id)
    await add_file(store, content=b"another", claim_id="C-2")
    await store.claims.put(OTHER_TENANT, claim("C-1"))
    await add_file(store, OTHER_TENANT)
    assert await store.assets.stored_bytes(TENANT) == len(FILE) + len(b"another")
    await store.assets.delete(TENANT, FILE_ID, claim_id="C-1")
    assert await store.assets.stored_bytes(TENANT) == len(FILE) + len(b"another")
    await store.claims.delete(TENANT, "C-2")
    assert await store.assets.stored_bytes(TENANT) == 0
    assert await store.assets.stored_bytes(OTHER_TENANT) == len(FILE)


async def test_a_tenant_stores_no_more_than_it_may_however_many_files_come_at_once(filed: Store) -> None:
    contents = [bytes([number]) * 10 for number in range(6)]
    for content in contents:
        await filed.claims.put(TENANT, claim(f"C-{content.hex()}"))

    async def taken(content: bytes, tenant: str = TENANT, claim_id: str = "C-1") -> bool:
        try:
            return (await add_file(filed, tenant, claim_id, content, most_bytes=25))[1]
        except TooLarge:
            return False

    results = await asyncio.gather(*(taken(content, claim_id=f"C-{content.hex()}") for content in contents))
    kept = [content for content, is_kept in zip(contents, results, strict=True) if is_kept]
    assert len(kept) == 2
    assert await filed.assets.stored_bytes(TENANT) == 20
    again, is_new = await add_file(filed, claim_id="C-1", content=kept[0], most_bytes=0)
    assert is_new, "bytes that are there take no room"
    await filed.claims.put(OTHER_TENANT, claim("C-1"))
    assert await taken(contents[0], OTHER_TENANT)
    assert await taken(b"small")
    assert not await taken(b"x")
    await filed.assets.delete(TENANT, again.asset_id)
    assert await taken(b"room again")


async def test_describe_keeps_what_the_ingest_found(store: Store) -> None:
    lease = await leased(store)
    await store.assets.describe(lease, media_type="application/pdf", page_count=3)
    [asset] = await store.assets.get(TENANT, FILE_ID)
    assert (asset.media_type, asset.page_count) == ("application/pdf", 3)


async def test_what_a_picture_says_of_its_making_is_kept(store: Store) -> None:
    lease = await leased(store)
    told = Capture(datetime(2026, 4, 1, 9, 30), "Canon", None, "Adobe Photoshop 25", has_place=True)
    await store.assets.describe(lease, media_type="image/jpeg", page_count=1, capture=told)
    [asset] = await store.assets.list(TENANT, "C-1")
    assert asset.capture == told


async def test_each_warning_is_kept_once_in_order(store: Store) -> None:
    lease = await leased(store)
    blank, small = ("blank_page", "Page 2 is blank."), ("small_picture", "Page 1 is small.")
    await store.assets.warn(lease, [blank, small])
    await store.assets.warn(lease, [small, ("blank_page", "Page 3 is blank."), blank])
    [asset] = await store.assets.get(TENANT, FILE_ID)
    assert asset.warnings == (blank, small, ("blank_page", "Page 3 is blank."))


async def test_a_lost_lease_describes_nothing(store: Store, clock: FakeClock) -> None:
    old = await leased(store)
    clock.advance(2 * TTL)
    assert await store.jobs.lease("worker-2", ttl=TTL) is not None
    with pytest.raises(LeaseLost):
        await store.assets.describe(old, media_type="image/png", page_count=9)
    with pytest.raises(LeaseLost):
        await store.assets.warn(old, [("late", "Too late.")])
    [asset] = await store.assets.get(TENANT, FILE_ID)
    assert (asset.media_type, asset.page_count, asset.warnings) == (None, None, ())


async def test_delete_from_one_claim_keeps_the_other(store: Store) -> None:
    [first] = await stored(store, claim_id="C-1")
    [second] = await stored(store, claim_id="C-2")
    report = await store.assets.delete(TENANT, FILE_ID, claim_id="C-1")
    assert report == DeletionReport(assets=1, pages=1)
    assert set(await store.pages.get_many(TENANT, [first.page_id, second.page_id])) == {second.page_id}
    assert await read(store, FILE_ID) == FILE
    report = await store.assets.delete(TENANT, FILE_ID)
    assert report == DeletionReport(assets=1, pages=1, size_bytes=len(FILE))
    with pytest.raises(NotFound):
        await read(store, FILE_ID)


async def test_delete_from_all_claims(store: Store) -> None:
    await stored(store, claim_id="C-1", pages=2)
    await stored(store, claim_id="C-2")
    report = await store.assets.delete(TENANT, FILE_ID)
    assert report == DeletionReport(assets=2, pages=3, size_bytes=len(FILE))
    assert (await store.pages.list(TENANT, claim_id="C-1")).items == ()
    assert await store.claims.count(TENANT) == 2


async def test_a_deleted_file_can_be_added_again(store: Store) -> None:
    await stored(store)
    await store.assets.delete(TENANT, FILE_ID)
    _, is_new = await add_file(store)
    assert is_new
    assert await read(store, FILE_ID) == FILE
    assert (await store.pages.list(TENANT, claim_id="C-1")).items == ()


async def test_a_worker_on_a_deleted_file_can_store_nothing(store: Store) -> None:
    lease = await leased(store)
    await store.assets.delete(TENANT, FILE_ID)
    with pytest.raises((NotFound, LeaseLost)):
        await store.pages.put(lease, [new_page(lease)])
    with pytest.raises((NotFound, LeaseLost)):
        await store.assets.describe(lease, media_type="image/png", page_count=1)


async def test_another_tenant_reaches_no_file(store: Store) -> None:
    await submit(store)
    await store.claims.put(OTHER_TENANT, claim("C-1"))
    calls = [
        store.assets.get(OTHER_TENANT, FILE_ID),
        store.assets.get(OTHER_TENANT, FILE_ID, claim_id="C-1"),
        store.assets.delete(OTHER_TENANT, FILE_ID),
        store.assets.delete(OTHER_TENANT, FILE_ID, claim_id="C-1"),
        read(store, FILE_ID, OTHER_TENANT),
        store.assets.local_copy(OTHER_TENANT, FILE_ID).__aenter__(),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            await call
    assert await store.assets.list(OTHER_TENANT, "C-1") == ()
    assert await read(store, FILE_ID) == FILE


async def test_the_same_file_of_two_tenants_lives_and_dies_apart(store: Store) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        await store.claims.put(tenant, claim("C-1"))
        _, is_new = await add_file(store, tenant)
        assert is_new
    report = await store.claims.delete(TENANT, "C-1")
    assert report.size_bytes == len(FILE)
    assert await read(store, FILE_ID, OTHER_TENANT) == FILE


async def test_sweep_leaves_what_records_name(store: Store, clock: FakeClock) -> None:
    [page] = await stored(store)
    clock.advance(timedelta(days=1))
    assert await store.sweep() == 0
    assert await read(store, FILE_ID) == FILE
    assert await store.pages.picture(TENANT, page.page_id) == b"webp1"
