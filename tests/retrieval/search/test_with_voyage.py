"""The whole path with the Voyage encoder: stored, searched and explained through its local fake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from models.voyage import VoyageEncoder
from retrieval.errors import EncoderTrouble
from retrieval.ports import Store
from retrieval.queries import Query
from retrieval.search import SearchEngine
from tests.conformance.builders import TENANT
from tests.fakes.encoder import FakeEncoder, draw_words
from tests.fakes.voyage import FakeVoyage
from tests.retrieval.search.building import add_pages, add_words, ask


@pytest.fixture
def fake() -> Iterator[FakeVoyage]:
    with FakeVoyage() as running:
        yield running


@pytest.fixture
async def voyage(fake: FakeVoyage) -> AsyncIterator[VoyageEncoder]:
    async def no_pause(_: float) -> None:
        pass

    made = VoyageEncoder(api_key=fake.key, base_url=fake.url, dims=512, pause=no_pause)
    yield made
    await made.aclose()


async def test_a_picture_finds_its_page_and_each_page_is_sent_once(
    store: Store, voyage: VoyageEncoder, fake: FakeVoyage
) -> None:
    await store.ensure_index(dims=512)
    pages = [await add_words(store, voyage, f"C-{number}", f"w{number} common") for number in range(5)]
    sent = len(fake.received)
    result = await SearchEngine(store, voyage).search(TENANT, Query(images=(draw_words(["w3", "common"]),), limit=3))
    assert result.hits[0].page.page_id == pages[3][0]
    assert result.encoder == "voyage/voyage-multimodal-3.5-512"
    assert [hit.rank for hit in result.hits] == [1, 2, 3]
    assert [received.body["input_type"] for received in fake.received[sent:]] == ["query"]


async def test_vectors_of_voyage_and_of_another_encoder_do_not_mix(
    store: Store, voyage: VoyageEncoder, encoder: FakeEncoder
) -> None:
    await store.ensure_index(dims=512)
    await add_words(store, voyage, "VOYAGE", "hail")
    await add_words(store, encoder, "OTHER", "hail")
    for searcher, expected in ((voyage, "VOYAGE"), (encoder, "OTHER")):
        result = await SearchEngine(store, searcher).search(TENANT, ask("hail"))
        assert [hit.claim.claim_id for hit in result.hits] == [expected]


async def test_a_service_that_slows_down_says_so(store: Store, voyage: VoyageEncoder, fake: FakeVoyage) -> None:
    fake.answer_next(429, "Too many requests", headers={"Retry-After": "30"})
    with pytest.raises(EncoderTrouble) as caught:
        await SearchEngine(store, voyage).search(TENANT, ask("hail"))
    assert (caught.value.code, caught.value.retryable, caught.value.retry_after_s) == ("encoder_rate_limited", True, 30)


async def test_it_cannot_say_where_a_page_matched(store: Store, voyage: VoyageEncoder) -> None:
    await store.ensure_index(dims=512)
    [page] = await add_pages(store, voyage, "C-1", [draw_words(["hail"])])
    with pytest.raises(EncoderTrouble) as caught:
        await SearchEngine(store, voyage).explain(TENANT, ask("hail"), page)
    assert caught.value.code == "explain_unsupported"
