"""A claim as the question: which claims are like it, by which pictures, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.encoder import Embedding
from retrieval.documents import Losses, SearchResult
from retrieval.errors import InvalidInput, NotFound
from retrieval.ports import Store
from retrieval.queries import MAX_PAGES, Query
from retrieval.search import SearchEngine
from tests.conformance.builders import OTHER_TENANT, TENANT, claim
from tests.fakes.encoder import FakeEncoder
from tests.retrieval.search.building import add_pages, ask

on_both_engines = pytest.mark.parametrize("store", ["sqlite", "mongodb"], indirect=True)


def claims(result: SearchResult) -> list[str]:
    return [hit.claim.claim_id for hit in result.hits]


def photo(name: str) -> Image.Image:
    """Always the same for the same name, and unlike that of any other."""
    rng = np.random.default_rng(list(name.encode()))
    return Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((320, 320), Image.Resampling.NEAREST)


async def add(store: Store, encoder: FakeEncoder, claim_id: str, *names: str, **facts: object) -> list[str]:
    """A claim with these photos."""
    return await add_pages(store, encoder, claim_id, [photo(name) for name in names], kind="photo", **facts)


def like(claim_id: str, **fields: object) -> Query:
    return ask(claim_id=claim_id, group_by="claim", **fields)


async def _some(store: Store, encoder: FakeEncoder) -> dict[str, list[str]]:
    """Q asks; A shares both of its pictures, B one, C none."""
    return {
        "Q": await add(store, encoder, "Q", "hail bonnet", "glass street", policy_id="P-1", loss_amount=1.0),
        "A": await add(
            store, encoder, "A", "glass street", "hail bonnet", policy_id="P-1", loss_amount=100.0, currency="EUR"
        ),
        "B": await add(
            store, encoder, "B", "hail bonnet", "theft phone", policy_id="P-2", loss_amount=300.0, currency="EUR"
        ),
        "C": await add(store, encoder, "C", "fire kitchen", loss_amount=50.0, currency="USD"),
    }


@on_both_engines
async def test_claims_are_found_by_their_best_pairs(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    pages = await _some(store, encoder)
    result = await engine.search(TENANT, like("Q"))
    assert claims(result) == ["A", "B", "C"]
    assert set(result.asked) == set(pages["Q"])
    best = {result.asked[pair.asked]: pair.page.page_id for pair in result.hits[0].pairs}
    assert best == {pages["Q"][0]: pages["A"][1], pages["Q"][1]: pages["A"][0]}
    assert all(pair.filename for pair in result.hits[0].pairs)
    assert result.hits[0].score > 0.95 > result.hits[1].score > result.hits[2].score
    assert result.total == 3


async def test_the_answer_says_what_the_claims_cost(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    await _some(store, encoder)
    for number, amount in enumerate((500.0, 700.0)):
        await add(store, encoder, f"D-{number}", f"hail {number}", loss_amount=amount, currency="EUR")
    await add(store, encoder, "E", "hail bonnet", loss_amount=None, currency="EUR")
    result = await engine.search(TENANT, like("Q"))
    assert result.losses == (
        Losses("EUR", 4, 100.0, 250.0, 400.0, 550.0, 700.0),
        Losses("USD", 1, 50.0, 50.0, 50.0, 50.0, 50.0),
    )
    assert (await engine.search(TENANT, like("Q", limit=1))).losses[0].count == 1


@on_both_engines
async def test_claims_of_the_same_policy_stay_out_when_asked(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    await _some(store, encoder)
    assert claims(await engine.search(TENANT, like("Q", exclude_same_policy=True))) == ["B", "C"]
    # C has no policy: it is compared with all.
    assert claims(await engine.search(TENANT, like("C", exclude_same_policy=True, limit=9)))[-1] != "C"
    assert len(claims(await engine.search(TENANT, like("C", exclude_same_policy=True)))) == 3


async def test_only_the_pages_chosen_are_compared(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    pages = await _some(store, encoder)
    result = await engine.search(TENANT, like("Q", page_ids=(pages["Q"][1],)))
    assert result.asked == (pages["Q"][1],)
    assert claims(result)[0] == "A"
    assert [len(hit.pairs) for hit in result.hits] == [1, 1, 1]


async def test_pages_of_other_claims_and_none_at_all_are_refused(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    pages = await _some(store, encoder)
    with pytest.raises(InvalidInput) as wrong:
        await engine.search(TENANT, like("Q", page_ids=(pages["A"][0],)))
    assert wrong.value.field == "page_ids"
    with pytest.raises(NotFound):
        await engine.search(TENANT, like("Q", page_ids=("0" * 32 + "-1",)))
    with pytest.raises(NotFound):
        await engine.search(TENANT, like("nobody"))
    with pytest.raises(NotFound):
        await engine.search(OTHER_TENANT, like("Q"))
    with pytest.raises(InvalidInput):
        ask("words", page_ids=("x",))


async def test_a_claim_without_pages_is_like_no_other(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    await _some(store, encoder)
    await store.claims.put(TENANT, claim("empty"))
    result = await engine.search(TENANT, like("empty"))
    assert (result.hits, result.total, result.asked, result.losses) == ((), 0, (), ())


async def test_nothing_comparable_is_an_empty_answer(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    await _some(store, encoder)
    assert claims(await engine.search(TENANT, like("Q", min_score=0.95))) == ["A"]
    assert (await engine.search(TENANT, like("C", min_score=0.95))).hits == ()


async def test_near_copies_among_its_own_photos_ask_once_and_papers_only_where_there_are_none(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    await _some(store, encoder)
    darker = photo("roof").point(lambda value: value * 0.99)
    [letter] = await add_pages(store, encoder, "W", [photo("letter")])
    assert (await engine.search(TENANT, like("W"))).asked == (letter,)
    photos = await add_pages(store, encoder, "W", [photo("roof"), darker, photo("mud")], kind="photo")
    result = await engine.search(TENANT, like("W"))
    assert result.asked == (photos[0], photos[2])
    assert (await engine.search(TENANT, like("W", page_ids=(letter,)))).asked == (letter,)


async def test_a_claim_of_many_pages_asks_with_the_first_of_them(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    await _some(store, encoder)
    await add(store, encoder, "long", *(f"w{number} v{number * 7}" for number in range(MAX_PAGES + 6)))
    assert len((await engine.search(TENANT, like("long"))).asked) <= MAX_PAGES


async def test_several_photos_find_the_claim_that_has_all_of_them(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    await _some(store, encoder)
    photos = (photo("theft phone"), photo("hail bonnet"))
    result = await engine.search(TENANT, Query(images=photos, group_by="claim"))
    assert claims(result)[0] == "B"
    assert sorted(pair.asked for pair in result.hits[0].pairs) == [0, 1]
    assert result.asked == ()


class Sure(FakeEncoder):
    """Says how alike two photos are, and of words nothing."""

    async def same_kind(self, query: Embedding, page: Embedding) -> float | None:
        return float(query.summary @ page.summary) if not query.words else None


async def test_photos_come_with_the_chance_of_the_same_damage_where_the_encoder_can_say(store: Store) -> None:
    encoder = Sure()
    engine = SearchEngine(store, encoder)
    await _some(store, encoder)
    await add_pages(store, encoder, "paper", [photo("hail bonnet")])
    found = {hit.claim.claim_id: hit.probability for hit in (await engine.search(TENANT, like("Q"))).hits}
    assert found["A"] == pytest.approx(1.0, abs=0.01)
    assert found["paper"] is None
    by_photo = await engine.search(TENANT, Query(images=(photo("fire kitchen"),), limit=1))
    assert by_photo.hits[0].probability == pytest.approx(1.0, abs=0.01)
    assert {hit.probability for hit in (await engine.search(TENANT, ask("hail"))).hits} == {None}
    plain = await SearchEngine(store, FakeEncoder()).search(TENANT, like("Q"))
    assert {hit.probability for hit in plain.hits} == {None}
