"""The page index: what is stored is found, by its own encoder and tenant, in the order the port promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from retrieval.documents import NewPage, PageVectors
from retrieval.errors import ClaimsightError, EncoderMismatch, InvalidInput, LeaseLost, NotFound
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.ports import Store
from tests.conformance.builders import (
    DIMS,
    ENCODER,
    FILE,
    TENANT,
    TTL,
    FakeClock,
    add_file,
    claim,
    leased,
    new_page,
    pointing,
    stored,
    vectors,
)

OTHER_ENCODER = "fake/2"
EAST = [1.0] + [0.0] * (DIMS - 1)


def towards(angle: float, *, encoder: str = ENCODER) -> PageVectors:
    """A vector whose cosine with EAST is cos(angle)."""
    return pointing([np.cos(angle), np.sin(angle)] + [0.0] * (DIMS - 2), encoder=encoder)


def same(one: PageVectors, other: PageVectors) -> bool:
    pairs = ((one.summary, other.summary), (one.tokens, other.tokens), (one.scales, other.scales))
    arrays = (*pairs, (one.cells, other.cells))
    return one.encoder == other.encoder and all(
        (a is None) == (b is None) and (a is None or b is None or (a.dtype == b.dtype and np.array_equal(a, b)))
        for a, b in arrays
    )


class TestPut:
    async def test_page_comes_back_as_it_was_stored(self, store: Store, clock: FakeClock) -> None:
        lease = await leased(store)
        new = new_page(lease, 3, kind="photo")
        await store.pages.put(lease, [new])
        found = await store.pages.get(TENANT, new.page.page_id)
        assert found == replace(new.page, created_at=clock())
        assert await store.pages.get_many(TENANT, [new.page.page_id, "absent"]) == {new.page.page_id: found}
        assert await store.pages.picture(TENANT, new.page.page_id) == new.picture

    @pytest.mark.parametrize("most", [7, 15, 127])
    @pytest.mark.parametrize("tokens", [0, 1, 300])
    async def test_vectors_come_back_bit_by_bit(self, store: Store, tokens: int, most: int) -> None:
        """Whether or not their numbers fit four or five bits."""
        lease = await leased(store)
        given = vectors(5, tokens=tokens, most=most)
        new = new_page(lease, 1, given)
        await store.pages.put(lease, [new])
        found = await store.pages.vectors(TENANT, [new.page.page_id, "absent"])
        assert list(found) == [new.page.page_id]
        assert same(found[new.page.page_id], given)

    async def test_storing_again_replaces_without_doubling(self, store: Store, clock: FakeClock) -> None:
        lease = await leased(store)
        first = new_page(lease, 1, vectors(1), picture=b"first")
        await store.pages.put(lease, [first])
        [before] = await store.pages.matching(TENANT, EVERYTHING, encoder=ENCODER, limit=10)
        stored_at = clock()
        clock.advance(timedelta(seconds=5))
        await store.pages.put(lease, [new_page(lease, 1, vectors(2), picture=b"second")])
        [after] = await store.pages.matching(TENANT, EVERYTHING, encoder=ENCODER, limit=10)
        assert (before[0], before[0]) == (after[0], first.page.page_id)
        assert before[1] != after[1], "vectors changed, so the revision must"
        assert await store.pages.picture(TENANT, first.page.page_id) == b"second1"
        assert same((await store.pages.vectors(TENANT, [first.page.page_id]))[first.page.page_id], vectors(2))
        assert (await store.pages.get(TENANT, first.page.page_id)).created_at == stored_at
        assert await store.pages.counts(TENANT) == {ENCODER: 1}

    async def test_nothing_to_store_is_fine(self, store: Store) -> None:
        lease = await leased(store)
        await store.pages.put(lease, [])
        assert await store.pages.counts(TENANT) == {}

    async def test_done_names_the_pages_of_that_file_and_encoder(self, store: Store) -> None:
        [page, _] = await stored(store, pages=2)
        await stored(store, claim_id="C-2")
        assert await store.pages.done(TENANT, "C-1", page.asset_id, encoder=ENCODER) == {1, 2}
        assert await store.pages.done(TENANT, "C-1", page.asset_id, encoder=OTHER_ENCODER) == set()
        assert await store.pages.done(TENANT, "C-1", "f" * 64, encoder=ENCODER) == set()

    async def test_same_file_in_two_claims_has_pages_of_its_own_in_each(self, store: Store) -> None:
        [one] = await stored(store, claim_id="C-1")
        [other] = await stored(store, claim_id="C-2")
        assert one.asset_id == other.asset_id
        assert one.page_id != other.page_id
        await store.claims.delete(TENANT, "C-1")
        assert (await store.pages.get(TENANT, other.page_id)).claim_id == "C-2"
        assert await store.pages.picture(TENANT, other.page_id) == b"webp1"


class TestFence:
    async def test_worker_that_lost_its_lease_cannot_write(self, store: Store, clock: FakeClock) -> None:
        old = await leased(store)
        clock.advance(TTL + timedelta(seconds=1))
        new = await store.jobs.lease("worker-2", ttl=TTL)
        assert new is not None
        with pytest.raises(LeaseLost):
            await store.pages.put(old, [new_page(old)])
        assert await store.pages.counts(TENANT) == {}
        await store.pages.put(new, [new_page(new)])
        assert await store.pages.counts(TENANT) == {ENCODER: 1}

    async def test_worker_of_a_cancelled_job_cannot_write(self, store: Store) -> None:
        lease = await leased(store)
        await store.jobs.cancel(TENANT, lease.job_id)
        with pytest.raises(LeaseLost):
            await store.pages.put(lease, [new_page(lease)])
        assert await store.pages.counts(TENANT) == {}
        assert (await store.jobs.get(TENANT, lease.job_id)).state == "cancelled"

    async def test_file_that_was_deleted_gets_no_pages(self, store: Store) -> None:
        lease = await leased(store)
        await store.assets.delete(TENANT, lease.asset_id)
        with pytest.raises(NotFound) as gone:
            await store.pages.put(lease, [new_page(lease)])
        assert gone.value.code == "asset_not_found"
        assert await store.pages.counts(TENANT) == {}

    async def test_claim_that_was_deleted_gets_no_pages(self, store: Store) -> None:
        lease = await leased(store)
        await store.claims.delete(TENANT, "C-1")
        with pytest.raises((LeaseLost, NotFound)):
            await store.pages.put(lease, [new_page(lease)])
        assert await store.pages.counts(TENANT) == {}


def bad_vectors() -> dict[str, PageVectors]:
    good = vectors(1)
    assert good.scales is not None
    assert good.cells is not None
    nan = good.summary.copy()
    nan[0] = np.nan
    return {
        "not finite": replace(good, summary=nan),
        "twice as long": replace(good, summary=(good.summary * 2).astype(np.float32)),
        "zero": replace(good, summary=np.zeros(DIMS, np.float32)),
        "empty": replace(good, summary=np.zeros(0, np.float32)),
        "a matrix": replace(good, summary=good.summary.reshape(2, -1)),
        "tokens without scales": replace(good, scales=None),
        "fewer cells than tokens": replace(good, cells=good.cells[:-1]),
        "scale is not finite": replace(good, scales=np.full_like(good.scales, np.inf)),
    }


class TestVectorGuards:
    @pytest.mark.parametrize("fault", list(bad_vectors()))
    async def test_put_refuses_vectors_that_no_search_could_find(self, store: Store, fault: str) -> None:
        lease = await leased(store)
        with pytest.raises(InvalidInput):
            await store.pages.put(lease, [new_page(lease, 1), new_page(lease, 2, bad_vectors()[fault])])
        assert await store.pages.counts(TENANT) == {}, "all or nothing"

    async def test_put_refuses_another_length_than_the_index(self, store: Store) -> None:
        lease = await leased(store)
        with pytest.raises(EncoderMismatch):
            await store.pages.put(lease, [new_page(lease, 1, vectors(1, dims=DIMS * 2))])
        assert await store.pages.counts(TENANT) == {}

    async def test_one_encoder_has_one_length(self, store: Store) -> None:
        lease = await leased(store)
        await store.pages.put(lease, [new_page(lease, 1)])
        await store.ensure_index(dims=DIMS * 2, wait_s=30.0)
        with pytest.raises(EncoderMismatch):
            await store.pages.put(lease, [new_page(lease, 2, vectors(2, dims=DIMS * 2))])
        with pytest.raises(EncoderMismatch):
            await store.pages.nearest(TENANT, vectors(2, dims=DIMS * 2), EVERYTHING, limit=5)

    async def test_put_refuses_pages_of_another_file(self, store: Store) -> None:
        lease = await leased(store)
        await add_file(store, content=b"another")
        foreign = new_page(replace(lease, asset_id="f" * 64))
        with pytest.raises(InvalidInput):
            await store.pages.put(lease, [foreign])
        mislabelled = NewPage(new_page(lease).page, vectors(1, encoder=OTHER_ENCODER), b"webp")
        with pytest.raises(InvalidInput):
            await store.pages.put(lease, [mislabelled])
        assert await store.pages.counts(TENANT) == {}


class TestNearest:
    async def test_best_first_with_the_cosine_as_score(self, store: Store) -> None:
        angles = [2.0, 0.1, 3.0, 1.0]
        pages = await stored(store, given=[towards(angle) for angle in angles])
        found = await store.pages.nearest(TENANT, pointing(EAST), EVERYTHING, limit=3)
        assert [page.page_id for page in found] == [pages[place].page_id for place in (1, 3, 0)]
        assert [page.score for page in found] == pytest.approx(np.cos([0.1, 1.0, 2.0]), abs=1e-6)

    async def test_equal_scores_come_by_page_id(self, store: Store) -> None:
        pages = await stored(store, given=[towards(1.0)] * 4)
        for _ in range(2):
            found = await store.pages.nearest(TENANT, pointing(EAST), EVERYTHING, limit=10)
            assert [page.page_id for page in found] == sorted(page.page_id for page in pages)

    async def test_filter_applies_before_the_cut(self, store: Store) -> None:
        near = [towards(0.01 * place) for place in range(8)]
        await store.claims.put(TENANT, claim("near", line="auto"))
        await stored(store, claim_id="near", content=b"near", given=near)
        await store.claims.put(TENANT, claim("far", line="health"))
        [far] = await stored(store, claim_id="far", content=b"far", given=[towards(3.0)])
        for exact in (True, False):
            found = await store.pages.nearest(
                TENANT, pointing(EAST), parse_filter({"line": "health"}), limit=1, exact=exact
            )
            assert [page.page_id for page in found] == [far.page_id]

    async def test_only_pages_of_the_same_encoder_are_compared(self, store: Store) -> None:
        [mine] = await stored(store, content=b"one", given=[towards(2.0)])
        await stored(store, content=b"two", given=[towards(0.1, encoder=OTHER_ENCODER)])
        found = await store.pages.nearest(TENANT, pointing(EAST), EVERYTHING, limit=5)
        assert [page.page_id for page in found] == [mine.page_id]
        matching = await store.pages.matching(TENANT, EVERYTHING, encoder=OTHER_ENCODER, limit=5)
        assert len(matching) == 1
        assert await store.pages.counts() == {ENCODER: 1, OTHER_ENCODER: 1}

    async def test_deleted_pages_are_never_found(self, store: Store) -> None:
        [gone] = await stored(store, claim_id="C-1", content=b"one", given=[towards(0.1)])
        [kept] = await stored(store, claim_id="C-2", content=b"two", given=[towards(2.0)])
        await store.claims.delete(TENANT, "C-1")
        found = await store.pages.nearest(TENANT, pointing(EAST), EVERYTHING, limit=5)
        assert [page.page_id for page in found] == [kept.page_id]
        both = [gone.page_id, kept.page_id]
        assert await store.pages.passing(TENANT, both, EVERYTHING, encoder=ENCODER) == {kept.page_id}
        assert await store.pages.vectors(TENANT, [gone.page_id]) == {}
        for call in (store.pages.get, store.pages.picture):
            with pytest.raises(NotFound):
                await call(TENANT, gone.page_id)

    async def test_empty_store_has_no_hits(self, store: Store) -> None:
        assert await store.pages.nearest(TENANT, pointing(EAST), EVERYTHING, limit=5) == []
        assert await store.pages.matching(TENANT, EVERYTHING, encoder=ENCODER, limit=5) == []

    async def test_limit_of_nothing_gives_nothing(self, store: Store) -> None:
        await stored(store)
        assert await store.pages.nearest(TENANT, pointing(EAST), EVERYTHING, limit=0) == []
        assert await store.pages.matching(TENANT, EVERYTHING, encoder=ENCODER, limit=0) == []

    async def test_matching_is_cut_in_order_of_page_id(self, store: Store) -> None:
        pages = sorted(page.page_id for page in await stored(store, pages=5))
        found = await store.pages.matching(TENANT, EVERYTHING, encoder=ENCODER, limit=3)
        assert [page_id for page_id, _ in found] == pages[:3]

    async def test_stored_pages_are_searchable(self, store: Store) -> None:
        pages = [page.page_id for page in await stored(store, pages=3)]
        assert await store.pages.searchable(TENANT, pages)
        assert await store.pages.searchable(TENANT, [])
        assert not await store.pages.searchable(TENANT, [*pages, "absent-1"])


class TestListing:
    async def test_by_file_as_uploaded_then_by_number(self, store: Store) -> None:
        later, earlier = await stored(store, content=b"first", pages=2), await stored(store, content=b"second", pages=1)
        expected = [page.page_id for page in (*later, *earlier)]
        whole = await store.pages.list(TENANT, claim_id="C-1")
        assert [page.page_id for page in whole.items] == expected
        assert whole.next_cursor is None
        seen, cursor = list[str](), None
        while True:
            part = await store.pages.list(TENANT, claim_id="C-1", cursor=cursor, limit=1)
            seen += [page.page_id for page in part.items]
            if (cursor := part.next_cursor) is None:
                break
        assert seen == expected
        one = await store.pages.list(TENANT, claim_id="C-1", asset_id=later[0].asset_id)
        assert [page.number for page in one.items] == [1, 2]

    async def test_foreign_cursor_is_refused(self, store: Store) -> None:
        await stored(store, pages=2)
        cursor = (await store.pages.list(TENANT, claim_id="C-1", limit=1)).next_cursor
        assert cursor is not None
        for claim_id, used in (("C-2", cursor), ("C-1", cursor + "x"), ("C-1", "?")):
            with pytest.raises(InvalidInput) as refused:
                await store.pages.list(TENANT, claim_id=claim_id, cursor=used)
            assert refused.value.code == "bad_cursor"


class TestReindexing:
    async def test_pages_move_to_another_encoder_one_by_one(self, store: Store) -> None:
        pages = [page.page_id for page in await stored(store, pages=2)]
        longer = DIMS * 2
        await store.ensure_index(dims=longer, wait_s=30.0)
        first = min(pages)
        moved = vectors(9, dims=longer, encoder=OTHER_ENCODER)
        stale = await store.pages.stale(encoder=OTHER_ENCODER, limit=10)
        assert [(tenant, page.page_id) for tenant, page in stale] == [(TENANT, page_id) for page_id in sorted(pages)]
        await store.pages.replace_vectors(TENANT, first, moved, usage={"image_pixels": 7})

        assert await store.pages.counts(TENANT) == {ENCODER: 1, OTHER_ENCODER: 1}
        assert [page.page_id for _, page in await store.pages.stale(encoder=OTHER_ENCODER, limit=10)] == [max(pages)]
        found = await store.pages.nearest(TENANT, vectors(9, dims=longer, encoder=OTHER_ENCODER), EVERYTHING, limit=5)
        assert [(page.page_id, round(page.score, 5)) for page in found] == [(first, 1.0)]
        old = await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5)
        assert [page.page_id for page in old] == [max(pages)]
        page = await store.pages.get(TENANT, first)
        assert (page.encoder, page.usage) == (OTHER_ENCODER, {"image_pixels": 7})
        assert same((await store.pages.vectors(TENANT, [first]))[first], moved)
        assert await store.pages.searchable(TENANT, pages)

    async def test_facts_stay_with_a_page_that_moves(self, store: Store) -> None:
        [page] = await stored(store)
        await store.claims.put(TENANT, claim("C-1", line="travel"))
        await store.pages.replace_vectors(TENANT, page.page_id, vectors(3, encoder=OTHER_ENCODER), usage={})
        filter = parse_filter({"line": "travel"})
        found = await store.pages.nearest(TENANT, vectors(3, encoder=OTHER_ENCODER), filter, limit=5)
        assert [hit.page_id for hit in found] == [page.page_id]

    @pytest.mark.parametrize("fault", list(bad_vectors()))
    async def test_bad_vectors_leave_the_page_as_it_was(self, store: Store, fault: str) -> None:
        [page] = await stored(store)
        with pytest.raises(InvalidInput):
            await store.pages.replace_vectors(TENANT, page.page_id, bad_vectors()[fault], usage={})
        assert await store.pages.get(TENANT, page.page_id) == page

    async def test_page_that_is_gone_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.pages.replace_vectors(TENANT, "absent-1", vectors(1), usage={})

    async def test_stale_pages_come_from_all_tenants(self, store: Store) -> None:
        await stored(store, "acme", claim_id="C-1")
        await stored(store, "rival", claim_id="C-1")
        stale = await store.pages.stale(encoder=OTHER_ENCODER, limit=10)
        assert {tenant for tenant, _ in stale} == {"acme", "rival"}
        assert len(await store.pages.stale(encoder=OTHER_ENCODER, limit=1)) == 1
        assert await store.pages.stale(encoder=ENCODER, limit=10) == []


async def test_pages_done_counts_what_is_stored(store: Store) -> None:
    lease = await leased(store, content=FILE)
    await store.jobs.progress(lease, pages_total=3)
    for number in (1, 2):
        await store.pages.put(lease, [new_page(lease, number)])
        [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
        assert (entry.pages_done, entry.pages_total) == (number, 3)
    await store.pages.put(lease, [new_page(lease, 2)])
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert entry.pages_done == 2


async def test_index_status_counts_what_is_stored_and_found(store: Store) -> None:
    await stored(store, "acme", pages=2)
    await stored(store, "rival", pages=1)
    status = await store.index_status()
    assert (status.state, status.pages, status.indexed) == ("ready", 3, 3)


async def test_length_of_vectors_must_be_positive(store: Store) -> None:
    with pytest.raises(ClaimsightError) as refused:
        await store.ensure_index(dims=0)
    assert refused.value.field == "dims"
