"""A few pages among ten thousand others: the filter is applied before the cut, on both ways to candidates."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.documents import EntryState, NewPage, Page, page_id_of
from retrieval.ports import EntryOutcome, Store
from retrieval.search import SearchEngine
from tests.conformance.builders import TENANT, TTL, claim, submit, vectors
from tests.fakes.encoder import FakeEncoder
from tests.retrieval.search.building import add_words, ask

OTHERS = 10_000


async def add_others(store: Store, encoder: FakeEncoder) -> None:
    """Pages of one claim that a search for hail likes better than any other."""
    await store.claims.put(TENANT, claim("OTHERS", line="property"))
    await submit(store, TENANT, "OTHERS", [b"others"])
    lease = await store.jobs.lease("worker-1", ttl=TTL)
    assert lease is not None
    [query] = await encoder.encode_queries(["hail"])
    like = vectors(1, dims=encoder.dims, tokens=0, encoder="fake/1")
    random = np.random.default_rng(1)
    for start in range(0, OTHERS, 1000):
        pages = []
        for number in range(start + 1, start + 1001):
            summary = query.summary + 0.01 * random.standard_normal(encoder.dims).astype(np.float32)
            stored = type(like)(summary=summary / np.linalg.norm(summary), encoder="fake/1")
            page_id = page_id_of("OTHERS", lease.asset_id, number)
            page = Page(page_id, "OTHERS", lease.asset_id, number, "page", 10, 10, "fake/1")
            pages.append(NewPage(page, stored, b"picture"))
        await store.pages.put(lease, pages)
    await store.jobs.finish(lease, EntryOutcome(EntryState.succeeded))


@pytest.mark.slow
async def test_a_filter_still_finds_enough_among_ten_thousand_other_pages(
    store: Store, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # nothing here is about power cuts, and ten thousand take minutes
    plain = FakeEncoder(tokens=False)
    await add_others(store, plain)
    wanted = []
    for number in range(12):
        wanted += await add_words(store, plain, f"C-{number}", f"w{number}", line="auto")
    for engine in (SearchEngine(store, plain), SearchEngine(store, plain, exact_limit=5, nearest_limit=10)):
        result = await engine.search(TENANT, ask("hail", where={"line": "auto"}, limit=10))
        assert len(result.hits) == 10
        assert {hit.page.page_id for hit in result.hits} <= set(wanted)
        unfiltered = await engine.search(TENANT, ask("hail", limit=10))
        assert {hit.claim.claim_id for hit in unfiltered.hits} == {"OTHERS"}
