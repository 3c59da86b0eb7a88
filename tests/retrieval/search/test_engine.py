"""What a search promises: the right page, inside the filter, of the right tenant, at this moment."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrieval.documents import SearchResult
from retrieval.errors import EncoderTrouble, NotFound
from retrieval.ports import Store
from retrieval.queries import Query
from retrieval.search import SearchEngine
from tests.conformance.builders import OTHER_TENANT, TENANT, claim
from tests.fakes.encoder import FakeEncoder
from tests.retrieval.search.building import add_pages, add_words, ask

on_both_engines = pytest.mark.parametrize("store", ["sqlite", "mongodb"], indirect=True)


def ids(result: SearchResult) -> list[str]:
    return [hit.page.page_id for hit in result.hits]


def claims(result: SearchResult) -> list[str]:
    return [hit.claim.claim_id for hit in result.hits]


def photo(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((320, 240), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image) -> Image.Image:
    target = io.BytesIO()
    image.crop((20, 15, 300, 225)).save(target, "JPEG", quality=40)
    return Image.open(target).convert("RGB")


@on_both_engines
async def test_words_find_the_page_that_shows_them(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    first = await add_words(store, encoder, "C-1", "hail windshield", "invoice total")
    await add_words(store, encoder, "C-2", "theft phone", "water kitchen")
    result = await engine.search(TENANT, ask("windshield hail"))
    assert ids(result)[0] == first[0]
    assert result.hits[0].claim.claim_id == "C-1"
    assert result.hits[0].asset.asset_id == result.hits[0].page.asset_id
    assert [hit.rank for hit in result.hits] == [1, 2, 3, 4]
    assert result.total == 4
    assert result.encoder == "fake/1"
    assert result.stages_ms.keys() == {"encode", "candidates", "rerank", "fetch"}


async def test_a_hit_names_the_words_it_answers_best_first(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    await add_words(store, encoder, "C-1", "hail")
    [hit] = (await engine.search(TENANT, ask("unicorn hail"))).hits
    assert [match.word for match in hit.why] == ["hail", "unicorn"]
    assert hit.why[0].score > 0.95 > hit.why[1].score


@on_both_engines
async def test_a_photo_is_found_by_its_cropped_copy(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    stored = [await add_pages(store, encoder, f"C-{seed}", [photo(seed)]) for seed in range(8)]
    result = await engine.search(TENANT, Query(images=(recompressed(photo(5)),)))
    assert ids(result)[0] == stored[5][0]
    assert result.hits[0].why == ()


async def test_a_page_scores_by_its_best_match_among_several_pictures(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    for seed in range(6):
        await add_pages(store, encoder, f"C-{seed}", [photo(seed)])
    result = await engine.search(TENANT, Query(images=(photo(1), photo(4)), limit=2))
    assert set(claims(result)) == {"C-1", "C-4"}
    single = await engine.search(TENANT, Query(images=(photo(4),), limit=1))
    assert result.hits[claims(result).index("C-4")].score == pytest.approx(single.hits[0].score)


@on_both_engines
async def test_more_like_this_leaves_out_the_claim_of_the_page(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    own = await add_pages(store, encoder, "C-1", [photo(1), photo(2)])
    await add_pages(store, encoder, "C-2", [recompressed(photo(1))])
    await add_pages(store, encoder, "C-3", [photo(3)])
    result = await engine.search(TENANT, Query(page_id=own[0]))
    assert claims(result) == ["C-2", "C-3"]


async def test_more_like_a_page_that_is_not_there_is_an_error(engine: SearchEngine) -> None:
    with pytest.raises(NotFound) as caught:
        await engine.search(TENANT, Query(page_id="nothing-1"))
    assert caught.value.code == "page_not_found"


async def test_excluded_claims_never_show(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    for number in range(4):
        await add_words(store, encoder, f"C-{number}", f"hail w{number}")
    result = await engine.search(TENANT, ask("hail", exclude_claim_ids=("C-0", "C-3"), limit=2))
    assert sorted(claims(result)) == ["C-1", "C-2"]


@on_both_engines
async def test_two_filter_fields_join_with_and(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    await add_words(store, encoder, "BOTH", "hail", line="auto", status="open")
    await add_words(store, encoder, "LINE", "hail", line="auto", status="paid")
    await add_words(store, encoder, "STATUS", "hail", line="travel", status="open")
    result = await engine.search(TENANT, ask("hail", where={"line": "auto", "status": "open"}))
    assert claims(result) == ["BOTH"]


@on_both_engines
async def test_another_tenants_pages_are_not_found(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    [theirs] = await add_words(store, encoder, "C-1", "hail", tenant=OTHER_TENANT)
    assert ids(await engine.search(OTHER_TENANT, ask("hail"))) == [theirs]
    assert (await engine.search(TENANT, ask("hail"))).hits == ()
    with pytest.raises(NotFound):
        await engine.search(TENANT, Query(page_id=theirs))


@on_both_engines
async def test_pages_of_another_encoder_are_not_compared(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    await add_words(store, FakeEncoder(version="0"), "OLD", "hail")
    await add_words(store, encoder, "NEW", "hail")
    assert claims(await engine.search(TENANT, ask("hail"))) == ["NEW"]


async def test_more_like_a_page_of_another_encoder_looks_at_its_picture(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    [old] = await add_pages(store, FakeEncoder(version="0"), "OLD", [photo(1)])
    for seed in (1, 2, 3):
        await add_pages(store, encoder, f"C-{seed}", [photo(seed)])
    assert claims(await engine.search(TENANT, Query(page_id=old)))[0] == "C-1"


@on_both_engines
async def test_a_changed_fact_shows_in_the_next_search(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    await add_words(store, encoder, "C-1", "hail", status="open")
    query = ask("hail", where={"status": "paid"})
    assert (await engine.search(TENANT, query)).hits == ()
    await store.claims.put(TENANT, claim("C-1", status="paid"))
    assert claims(await engine.search(TENANT, query)) == ["C-1"]


@on_both_engines
async def test_a_deleted_claim_is_gone_from_the_next_search(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    await add_words(store, encoder, "C-1", "hail")
    await add_words(store, encoder, "C-2", "hail")
    assert len((await engine.search(TENANT, ask("hail"))).hits) == 2
    await store.claims.delete(TENANT, "C-1")
    assert claims(await engine.search(TENANT, ask("hail"))) == ["C-2"]


class DeletesOnce:
    """A page index that deletes claims while a search is between ranking and answering."""

    def __init__(self, store: Store, victims: list[str], *, at: str) -> None:
        self._store = store
        self._victims = victims
        self._at = at

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store.pages, name)

        async def called(*args: Any, **kwargs: Any) -> Any:
            if name == self._at:
                while self._victims:
                    await self._store.claims.delete(TENANT, self._victims.pop())
            return await real(*args, **kwargs)

        return called


class StoreWith:
    def __init__(self, store: Store, pages: Any) -> None:
        self._store = store
        self.pages = pages

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("at", ["passing", "get_many"])
async def test_a_page_deleted_during_a_search_makes_room_for_the_next(
    store: Store, encoder: FakeEncoder, engine: SearchEngine, at: str
) -> None:
    for number in range(6):
        await add_words(store, encoder, f"C-{number}", f"hail w{number}")
    before = claims(await engine.search(TENANT, ask("hail")))
    racing: Any = StoreWith(store, DeletesOnce(store, before[:2], at=at))
    racing_engine = SearchEngine(racing, encoder)
    result = await racing_engine.search(TENANT, ask("hail", limit=3))
    assert claims(result) == before[2:5]
    assert [hit.rank for hit in result.hits] == [1, 2, 3]


@on_both_engines
async def test_pages_of_the_answer_follow_each_other(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    for number in range(7):
        await add_words(store, encoder, f"C-{number}", "hail", "hail")
    whole = await engine.search(TENANT, ask("hail", limit=50))
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        part = await engine.search(TENANT, ask("hail", limit=4, offset=offset))
        assert [hit.rank for hit in part.hits] == list(range(offset + 1, offset + 1 + len(part.hits)))
        seen += ids(part)
        offset = part.next_offset
    assert seen == ids(whole)
    assert len(set(seen)) == 14


@on_both_engines
async def test_grouped_by_claim_the_best_page_leads(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    pages = await add_words(store, encoder, "C-1", "water", "hail", "fire")
    await add_words(store, encoder, "C-2", "theft", "phone")
    result = await engine.search(TENANT, ask("hail", group_by="claim"))
    assert claims(result) == ["C-1", "C-2"]
    best = result.hits[0]
    assert best.page.page_id == pages[1]
    assert {page.page_id for page, _ in best.pages} == {pages[0], pages[2]}
    assert result.total == 2


async def test_nothing_below_the_least_score_is_shown(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    await add_words(store, encoder, "C-1", "hail")
    await add_words(store, encoder, "C-2", "theft")
    result = await engine.search(TENANT, ask("hail", min_score=0.9))
    assert claims(result) == ["C-1"]
    assert result.total == 1


async def test_twenty_photo_queries_at_once_do_not_mix(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    for seed in range(20):
        await add_pages(store, encoder, f"C-{seed}", [photo(seed)])
    results = await asyncio.gather(
        *(engine.search(TENANT, Query(images=(photo(seed),), limit=1)) for seed in range(20))
    )
    assert [claims(result) for result in results] == [[f"C-{seed}"] for seed in range(20)]


@on_both_engines
@pytest.mark.parametrize("limits", [{"exact_limit": 3, "nearest_limit": 4}, {"cache_bytes": 1}])
async def test_answers_stay_right_past_the_limits(
    store: Store, encoder: FakeEncoder, engine: SearchEngine, limits: dict[str, int]
) -> None:
    for seed in range(12):
        await add_pages(store, encoder, f"C-{seed}", [photo(seed)], line="auto" if seed % 2 else "travel")
    limited = SearchEngine(store, encoder, **limits)
    for seed in range(12):
        for where in (None, {"line": "auto" if seed % 2 else "travel"}):
            query = ask(where=where, images=(photo(seed),), limit=1)
            assert claims(await limited.search(TENANT, query)) == [f"C-{seed}"]


@on_both_engines
async def test_past_the_exact_limit_the_list_ends_with_the_candidates(store: Store, encoder: FakeEncoder) -> None:
    await add_words(store, encoder, "C-1", *[f"hail w{number}" for number in range(9)])
    limited = SearchEngine(store, encoder, exact_limit=3, nearest_limit=4)
    result = await limited.search(TENANT, ask("hail", limit=2))
    assert (len(result.hits), result.total, result.next_offset) == (2, 4, 2)
    last = await limited.search(TENANT, ask("hail", limit=50, offset=2))
    assert (len(last.hits), last.next_offset) == (2, None)
    assert (await limited.search(TENANT, ask("hail", offset=10**9))).hits == ()


@on_both_engines
async def test_new_vectors_of_a_page_replace_those_in_memory(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    [page_id] = await add_words(store, encoder, "C-1", "hail")
    assert (await engine.search(TENANT, ask("hail"))).hits[0].score > 0.95
    [other] = await add_words(store, encoder, "C-2", "theft")
    vectors = (await store.pages.vectors(TENANT, [other]))[other]
    await store.pages.replace_vectors(TENANT, page_id, vectors, usage={})
    assert (await engine.search(TENANT, ask("theft", exclude_claim_ids=("C-2",)))).hits[0].score > 0.95


async def test_an_encoder_without_tokens_searches_by_summary(store: Store) -> None:
    plain = FakeEncoder(name="plain", tokens=False)
    for seed in range(6):
        await add_pages(store, plain, f"C-{seed}", [photo(seed)])
    engine = SearchEngine(store, plain)
    assert claims(await engine.search(TENANT, Query(images=(photo(2),), limit=1))) == ["C-2"]
    [hit] = (await engine.search(TENANT, ask("hail", limit=1))).hits
    assert hit.why == ()


@pytest.mark.parametrize("retryable", [True, False])
async def test_a_failing_encoder_is_trouble_with_its_code(
    store: Store, encoder: FakeEncoder, engine: SearchEngine, retryable: bool
) -> None:
    await add_words(store, encoder, "C-1", "hail")
    encoder.fail_next(code="encoder_rate_limited", retryable=retryable, retry_after_s=3.0)
    with pytest.raises(EncoderTrouble) as caught:
        await engine.search(TENANT, ask("hail"))
    assert (caught.value.code, caught.value.retryable) == ("encoder_rate_limited", retryable)
    assert caught.value.retry_after_s == 3.0


async def test_an_empty_store_answers_with_nothing(engine: SearchEngine) -> None:
    result = await engine.search(TENANT, ask("hail"))
    assert (result.hits, result.total, result.next_offset) == ((), 0, None)
