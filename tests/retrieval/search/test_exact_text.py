"""A page whose own text holds what was typed to the letter comes before those that do not; other questions change by
nothing."""

from __future__ import annotations

import pytest

from retrieval.documents import SearchResult
from retrieval.ports import Store
from retrieval.search import SearchEngine, engine
from tests.conformance.builders import TENANT
from tests.fakes.encoder import FakeEncoder, draw_words
from tests.retrieval.search.building import add_pages, ask

NUMBER = "INV-2024-0012"


@pytest.fixture
async def held(store: Store, encoder: FakeEncoder) -> list[str]:
    """Pages that hold NUMBER, in C-1 and C-2, look like nothing that is typed; those of C-3 and C-4 show it."""
    pages = [draw_words([word]) for word in ("sand", "loam")]
    found = await add_pages(store, encoder, "C-1", pages, texts=[f"Invoice {NUMBER}", "Total 7"], line="auto")
    found += await add_pages(store, encoder, "C-2", pages[:1], texts=[f"Your ref. {NUMBER}."], line="travel")
    await add_pages(store, encoder, "C-3", [draw_words(NUMBER.split("-"))], line="auto")
    await add_pages(store, encoder, "C-4", [draw_words(["inv", "2024"])], line="auto", texts=["INV-2024-0013"])
    return [found[0], found[2]]


def ids(result: SearchResult) -> list[str]:
    return [hit.page.page_id for hit in result.hits]


def exact(result: SearchResult) -> list[str]:
    return [hit.page.page_id for hit in result.hits if hit.exact_text]


async def test_pages_that_hold_the_string_come_first_and_say_so(
    store: Store, encoder: FakeEncoder, held: list[str]
) -> None:
    search = SearchEngine(store, encoder).search
    result = await search(TENANT, ask(NUMBER))
    assert set(ids(result)[:2]) == set(held)
    assert exact(result) == ids(result)[:2]
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert result.hits[2].claim.claim_id == "C-3"
    without = await search(TENANT, ask(NUMBER, exact_text=False))
    assert without.hits[0].claim.claim_id == "C-3"
    assert exact(without) == []
    assert result.total == without.total == 5
    [first] = exact(await search(TENANT, ask(NUMBER, where={"line": "travel"})))
    assert first == held[1]


async def test_pages_and_claims_keep_their_place_from_part_to_part(
    store: Store, encoder: FakeEncoder, held: list[str]
) -> None:
    search = SearchEngine(store, encoder).search
    for group_by in ("page", "claim"):
        whole = await search(TENANT, ask(NUMBER, group_by=group_by))
        parts = [await search(TENANT, ask(NUMBER, group_by=group_by, limit=1, offset=at)) for at in range(whole.total)]
        assert [ids(part)[0] for part in parts] == ids(whole)
        assert [part.hits[0].exact_text for part in parts] == [True, True, *[False] * (whole.total - 2)]
        least = whole.hits[2].score
        assert ids(await search(TENANT, ask(NUMBER, group_by=group_by, min_score=least)))[:3] == ids(whole)[:3]
    claims = await search(TENANT, ask(NUMBER, group_by="claim", diversity=0.5))
    assert {hit.claim.claim_id for hit in claims.hits if hit.exact_text} == {"C-1", "C-2"}


async def test_words_alone_are_left_to_the_visual_search_unless_in_quotes(
    store: Store, encoder: FakeEncoder, held: list[str]
) -> None:
    search = SearchEngine(store, encoder).search
    assert await exact_of(search, "invoice") == []
    assert await exact_of(search, 'sand "your ref."') == [held[1]]
    assert ids(await search(TENANT, ask("invoice"))) == ids(await search(TENANT, ask("invoice", exact_text=False)))


async def exact_of(search: object, text: str) -> list[str]:
    return exact(await search(TENANT, ask(text)))  # type: ignore[operator]


async def test_a_page_that_holds_it_is_a_candidate_however_far_it_is(
    store: Store, encoder: FakeEncoder, held: list[str]
) -> None:
    narrow = SearchEngine(store, encoder, exact_limit=1, nearest_limit=1)
    assert set(exact(await narrow.search(TENANT, ask(NUMBER)))) == set(held)


async def test_a_string_that_too_many_pages_hold_picks_nothing_out(
    store: Store, encoder: FakeEncoder, held: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_HOLDING", 1)
    assert exact(await SearchEngine(store, encoder).search(TENANT, ask(NUMBER))) == []
