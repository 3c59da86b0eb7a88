"""With a key, originals and page pictures are encrypted at rest, and everything else stays as it is. On both engines.

All that a store promises of files (test_assets) is run once more with a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from retrieval.errors import ClaimsightError, InvalidInput, StoreUnavailable
from retrieval.ports import Store
from retrieval.stores.mongo import MongoStore
from retrieval.stores.sealing import CHUNK_BYTES, HEADER_BYTES, TAG_BYTES, Keyring
from retrieval.stores.sqlite import SqliteStore
from tests.conformance.builders import DIMS, TENANT, FakeClock, add_file, asset_id_of, claim, leased, new_page
from tests.conformance.conftest import ENGINES, OpenEngine
from tests.conformance.test_assets import *  # noqa: F403
from tests.conformance.test_forgetting import all_bytes

OLD, NEW = b"o" * 32, b"n" * 32
KEYS = Keyring([OLD])
MARK = b"Zq7unmistakable"
# More than two chunks, not a whole number of them, and with the mark across the first border.
LARGE = b"%PDF-1.7 " + b"x" * (CHUNK_BYTES - 16) + MARK + b"y" * (CHUNK_BYTES + 4000) + MARK


class OpenWith(Protocol):
    async def __call__(self, keys: Keyring | None) -> Store: ...


OpenAny = Callable[[Callable[[], datetime], int, Keyring | None], Awaitable[Store]]


@pytest.fixture(params=ENGINES)
def open_any(request: pytest.FixtureRequest, tmp_path: Path) -> OpenAny:
    if request.param == "mongodb":
        uri, database = request.getfixturevalue("mongo_uri"), request.getfixturevalue("mongo_database")

        async def open_mongo(clock: Callable[[], datetime], max_attempts: int, keys: Keyring | None) -> Store:
            options: dict[str, Any] = {
                "clock": clock,
                "max_attempts": max_attempts,
                "timeout_s": 30.0,
                "spool": tmp_path,
            }
            return await MongoStore.open(uri, database=database, keys=keys, **options)

        return open_mongo

    async def open_sqlite(clock: Callable[[], datetime], max_attempts: int, keys: Keyring | None) -> Store:
        return await SqliteStore.open(tmp_path / "data", clock=clock, max_attempts=max_attempts, keys=keys)

    return open_sqlite


@pytest.fixture
def open_engine(open_any: OpenAny) -> OpenEngine:
    async def with_key(*, clock: Callable[[], datetime], max_attempts: int = 5) -> Store:
        return await open_any(clock, max_attempts, KEYS)

    return with_key


@pytest.fixture
async def open_with(open_any: OpenAny, clock: FakeClock) -> AsyncIterator[OpenWith]:
    opened: list[Store] = []

    async def again(keys: Keyring | None) -> Store:
        opened.append(await open_any(clock, 5, keys))
        return opened[-1]

    yield again
    for store in opened:
        await store.close()


async def content_of(store: Store, asset_id: str) -> bytes:
    return b"".join([chunk async for chunk in store.assets.open(TENANT, asset_id)])


async def fill(store: Store) -> str:
    """A claim with a large file and two pages of a small one; the id of a page."""
    await store.ensure_index(dims=DIMS, wait_s=30.0)
    await store.claims.put(TENANT, claim())
    await add_file(store, content=LARGE)
    lease = await leased(store, content=b"%PDF small " + MARK)
    text = MARK.decode().lower()
    pages = [replace(new_page(lease, number, picture=b"webp " + MARK), text=text) for number in (1, 2)]
    await store.pages.put(lease, pages)
    return pages[0].page.page_id


async def found_in(store: Store, tmp_path: Path) -> set[str]:
    return {name for name, content in await all_bytes(store, tmp_path) if MARK.lower() in content.lower()}


async def check_content(store: Store, page_id: str) -> None:
    assert await content_of(store, asset_id_of(LARGE)) == LARGE
    assert await store.pages.picture(TENANT, page_id) == b"webp " + MARK + b"1"
    async with store.assets.local_copy(TENANT, asset_id_of(LARGE)) as path:
        assert path.read_bytes() == LARGE
    assert not path.exists()


async def test_no_byte_of_a_file_or_a_picture_lies_open(store: Store, tmp_path: Path) -> None:
    page_id = await fill(store)
    assert await found_in(store, tmp_path) == set()
    await check_content(store, page_id)
    assert await found_in(store, tmp_path) == set()
    assert not store.pages.keeps_text
    assert await store.pages.texts(TENANT, [page_id]) == {}
    [asset] = await store.assets.get(TENANT, asset_id_of(LARGE))
    assert asset.size_bytes == len(LARGE)


async def test_without_its_key_a_store_does_not_open_and_says_which_is_missing(open_with: OpenWith) -> None:
    store = await open_with(KEYS)
    page_id = await fill(store)
    for keys in (None, Keyring([NEW])):
        with pytest.raises(StoreUnavailable) as refused:
            await open_with(keys)
        assert refused.value.code == "encryption_key_missing"
        assert KEYS.current in refused.value.detail
    both = await open_with(Keyring([NEW, OLD]))
    await both.ping()
    await check_content(both, page_id)


async def test_a_store_that_was_open_is_encrypted_by_rotation_and_read_meanwhile(
    open_with: OpenWith, tmp_path: Path
) -> None:
    plain = await open_with(None)
    page_id = await fill(plain)
    assert await found_in(plain, tmp_path) != set()
    assert await plain.pages.texts(TENANT, [page_id]) == {page_id: MARK.decode().lower()}
    with pytest.raises(InvalidInput) as refused:
        await plain.reseal(lambda *_: None)
    assert refused.value.code == "no_encryption_key"
    store = await open_with(KEYS)
    await check_content(store, page_id)
    done = await store.reseal(lambda *_: None)
    assert (done.files, done.written, done.keys) == (4, 4, (KEYS.current,))
    assert await found_in(store, tmp_path) == set()
    await check_content(store, page_id)
    assert (await store.reseal(lambda *_: None)).written == 0


async def test_a_rotation_that_is_stopped_goes_on_and_takes_the_old_key_out_of_use(open_with: OpenWith) -> None:
    page_id = await fill(await open_with(KEYS))
    rotating = await open_with(Keyring([NEW, OLD]))

    def stopped(_name: str, done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rotating.reseal(stopped)
    await check_content(rotating, page_id)
    with pytest.raises(StoreUnavailable):
        await open_with(Keyring([NEW]))
    done = await rotating.reseal(lambda *_: None)
    assert (done.written, done.keys) == (2, (Keyring([NEW]).current,))
    await check_content(await open_with(Keyring([NEW])), page_id)
    with pytest.raises(StoreUnavailable):
        await open_with(KEYS)


async def test_what_was_deleted_while_it_was_encrypted_anew_stays_away(open_with: OpenWith, tmp_path: Path) -> None:
    store = await open_with(KEYS)
    await fill(store)
    rotating = await open_with(Keyring([NEW, OLD]))
    before = len([None for _ in await all_bytes(store, tmp_path)])
    await store.claims.delete(TENANT, "C-1")
    done = await rotating.reseal(lambda *_: None)
    assert (done.files, done.keys) == (0, ())
    assert len([None for _ in await all_bytes(store, tmp_path)]) < before


WHOLE = CHUNK_BYTES + TAG_BYTES
HARM: dict[str, Callable[[bytes], bytes]] = {
    "cut at a chunk": lambda file: file[: HEADER_BYTES + WHOLE],
    "cut in a chunk": lambda file: file[:-1],
    "cut to its header": lambda file: file[:HEADER_BYTES],
    "cut in its header": lambda file: file[: HEADER_BYTES - 1],
    "continued": lambda file: file + file[HEADER_BYTES : HEADER_BYTES + WHOLE],
    "chunks swapped": lambda file: (
        file[:HEADER_BYTES]
        + file[HEADER_BYTES + WHOLE : HEADER_BYTES + 2 * WHOLE]
        + file[HEADER_BYTES : HEADER_BYTES + WHOLE]
        + file[HEADER_BYTES + 2 * WHOLE :]
    ),
    "a bit changed": lambda file: file[:-5] + bytes([file[-5] ^ 1]) + file[-4:],
    "salt changed": lambda file: file[: HEADER_BYTES - 1] + bytes([file[HEADER_BYTES - 1] ^ 1]) + file[HEADER_BYTES:],
}


@pytest.mark.parametrize("harm", list(HARM))
async def test_a_file_that_was_tampered_with_does_not_open(tmp_path: Path, harm: str) -> None:
    store = await SqliteStore.open(tmp_path / "data", keys=KEYS)
    try:
        await fill(store)
        asset_id = asset_id_of(LARGE)
        path = tmp_path / "data" / "assets" / asset_id[:2] / asset_id
        path.write_bytes(HARM[harm](path.read_bytes()))
        with pytest.raises(ClaimsightError) as refused:
            await content_of(store, asset_id)
        assert refused.value.code == "file_damaged"
    finally:
        await store.close()


async def test_a_file_in_the_place_of_another_does_not_open(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "data", keys=KEYS)
    try:
        page_id = await fill(store)
        places = sorted(path for path in (tmp_path / "data" / "pictures").rglob("*") if path.is_file())
        places[0].write_bytes(places[1].read_bytes())
        pictures = [f"{page_id[:-1]}{number}" for number in (1, 2)]
        read = await asyncio.gather(
            *(store.pages.picture(TENANT, page_id) for page_id in pictures), return_exceptions=True
        )
        assert [one.code for one in read if isinstance(one, StoreUnavailable)] == ["file_damaged"]
        assert len([one for one in read if isinstance(one, bytes)]) == 1
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("6e" * 32, True),
        ("bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4=", True),
        (f"{'6e' * 32},{'6f' * 32}\n", True),
        ("6e" * 31, False),
        ("zz" * 32, False),
        ("correct horse battery staple", False),
        ("", False),
    ],
)
def test_keys_are_32_bytes_and_never_repeated(text: str, is_good: bool) -> None:
    if is_good:
        keys = Keyring.parse(text)
        assert keys.key(keys.current) == NEW
        return
    with pytest.raises(InvalidInput) as refused:
        Keyring.parse(text)
    assert refused.value.code == "bad_encryption_key"
    assert not text or text not in refused.value.detail
