"""A collection moves to another encoder while it is searched, and the move may be interrupted."""

from __future__ import annotations

import asyncio

import pytest

from retrieval.errors import EncoderTrouble
from retrieval.ports import Store
from retrieval.reindex import reindex
from retrieval.search import SearchEngine
from tests.conformance.builders import OTHER_TENANT, TENANT
from tests.fakes.encoder import FakeEncoder
from tests.retrieval.search.building import add_words, ask


@pytest.fixture
def newer() -> FakeEncoder:
    return FakeEncoder(version="2", batch_size=2)


async def found_by(store: Store, encoder: FakeEncoder, tenant: str = TENANT) -> set[str]:
    result = await SearchEngine(store, encoder).search(tenant, ask("hail", limit=50))
    return {hit.page.page_id for hit in result.hits}


async def test_every_page_of_every_tenant_moves(store: Store, encoder: FakeEncoder, newer: FakeEncoder) -> None:
    mine = await add_words(store, encoder, "C-1", "hail", "invoice", "total")
    theirs = await add_words(store, encoder, "C-1", "hail", tenant=OTHER_TENANT)
    steps: list[tuple[int, int]] = []
    report = await reindex(store, newer, progress=lambda done, todo: steps.append((done, todo)))
    assert (report.done, report.failed, report.finished) == (4, (), True)
    assert steps[-1] == (4, 4)
    assert await store.pages.counts() == {"fake/2": 4}
    assert await found_by(store, newer) == set(mine)
    assert await found_by(store, newer, OTHER_TENANT) == set(theirs)
    assert (await store.pages.get(TENANT, mine[0])).encoder == "fake/2"


async def test_words_are_found_as_before_after_the_move(store: Store, encoder: FakeEncoder, newer: FakeEncoder) -> None:
    pages = await add_words(store, encoder, "C-1", "hail", "invoice", "total")
    await reindex(store, newer)
    result = await SearchEngine(store, newer).search(TENANT, ask("invoice", limit=1))
    assert result.hits[0].page.page_id == pages[1]
    assert result.hits[0].score > 0.95


async def test_a_search_in_the_middle_finds_each_page_with_one_of_the_two(
    store: Store, encoder: FakeEncoder, newer: FakeEncoder
) -> None:
    pages = set(await add_words(store, encoder, "C-1", *["hail"] * 6))
    stop = asyncio.Event()
    report = await reindex(store, newer, progress=lambda done, _: stop.set() if done == 2 else None, stop=stop)
    assert (report.done, report.finished) == (2, False)
    old, new = await found_by(store, encoder), await found_by(store, newer)
    assert (len(old), len(new)) == (4, 2)
    assert old | new == pages
    again = await reindex(store, newer)
    assert (again.done, again.finished) == (4, True)
    assert await found_by(store, newer) == pages


async def test_a_page_that_cannot_be_encoded_keeps_its_vectors_and_is_named(store: Store, encoder: FakeEncoder) -> None:
    pages = await add_words(store, encoder, "C-1", "hail", "bad", "total")
    seen: list[int] = []

    def refuse_second(_: object) -> bool:
        seen.append(1)
        return len(seen) == 2

    report = await reindex(store, FakeEncoder(version="2", batch_size=1, refuse=refuse_second))
    assert report.done == 2
    [failure] = report.failed
    assert failure.code == "image_refused"
    assert failure.page_id in pages
    assert await store.pages.counts() == {"fake/1": 1, "fake/2": 2}


async def test_a_passing_fault_is_waited_out(store: Store, encoder: FakeEncoder, newer: FakeEncoder) -> None:
    await add_words(store, encoder, "C-1", "hail")
    newer.fail_next(3, retry_after_s=0.001)
    assert (await reindex(store, newer)).done == 1


async def test_a_stop_ends_the_wait_for_the_encoder(store: Store, encoder: FakeEncoder, newer: FakeEncoder) -> None:
    await add_words(store, encoder, "C-1", "hail")
    newer.fail_next(retry_after_s=3600)
    stop = asyncio.Event()
    work = asyncio.create_task(reindex(store, newer, stop=stop))
    await newer.started.wait()
    stop.set()
    assert not (await work).finished


async def test_a_lasting_fault_ends_it(store: Store, encoder: FakeEncoder, newer: FakeEncoder) -> None:
    await add_words(store, encoder, "C-1", "hail")
    newer.fail_next(code="encoder_unauthorised", retryable=False)
    with pytest.raises(EncoderTrouble) as caught:
        await reindex(store, newer)
    assert caught.value.code == "encoder_unauthorised"


async def test_a_claim_deleted_on_the_way_is_no_error(store: Store, encoder: FakeEncoder, newer: FakeEncoder) -> None:
    await add_words(store, encoder, "C-1", "hail")
    await add_words(store, encoder, "C-2", "hail")
    newer.gate = asyncio.Event()
    work = asyncio.create_task(reindex(store, newer))
    await newer.started.wait()
    await store.claims.delete(TENANT, "C-1")
    newer.gate.set()
    report = await work
    assert (report.done, report.finished) == (1, True)
