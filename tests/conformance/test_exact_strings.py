"""Pages are found by strings of their own text, exactly those that hold them, on both engines."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from retrieval.exact import MOST_HOLDING, holds, lookup_words, page_text
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.ports import Store
from retrieval.stores.mongo import page_texts as mongo_texts
from retrieval.stores.sqlite import page_texts as sqlite_texts
from tests.conformance.builders import ENCODER, OTHER_TENANT, TENANT, claim, leased, new_page, vectors
from tests.conformance.test_forgetting import holding

PIECES = ("inv-2024-0012", "inv-2024", "0012", "1,840.50", "840", "total", "maria huber", "huber", "-", "2024 0012")


async def put_texts(store: Store, claim_id: str, *texts: str, tenant: str = TENANT, **facts: object) -> list[str]:
    """A file whose pages have these texts of their own; the ids of its pages."""
    await store.claims.put(tenant, claim(claim_id, **facts))
    lease = await leased(store, tenant, claim_id, f"%PDF {claim_id} {texts}".encode())
    pages = [replace(new_page(lease, place), text=page_text(text)) for place, text in enumerate(texts, 1)]
    await store.pages.put(lease, pages)
    return [page.page.page_id for page in pages]


async def found(store: Store, *strings: str, where: object = None, tenant: str = TENANT, limit: int = 100) -> list[str]:
    ids = await store.pages.containing(tenant, strings, parse_filter(where), encoder=ENCODER, limit=limit)
    return sorted(ids)


async def test_it_finds_just_what_a_plain_look_finds(store: Store) -> None:
    """Against a look through every text, under filters."""
    chance = random.Random(7)
    texts: dict[str, str] = {}
    lines: dict[str, str] = {}
    for number in range(6):
        said = [" ".join(chance.choices(PIECES, k=chance.randint(0, 4))) for _ in range(8)]
        line = "auto" if number % 2 else "property"
        for page_id, text in zip(await put_texts(store, f"C-{number}", *said, line=line), said, strict=True):
            texts[page_id], lines[page_id] = page_text(text), line
    await put_texts(store, "C-1", *PIECES, tenant=OTHER_TENANT)
    for _ in range(40):
        string = page_text(" ".join(chance.choices(PIECES, k=chance.randint(1, 2))))
        if not lookup_words([string]):
            continue
        for where in (None, {"line": "auto"}):
            wanted = [one for one, text in texts.items() if holds(text, string) and (not where or lines[one] == "auto")]
            assert await found(store, string, where=where) == sorted(wanted), (string, where)


async def test_all_strings_must_stand_on_the_page(store: Store) -> None:
    both, one = await put_texts(store, "C-1", "Maria Huber, POL-77", "POL-77")
    assert await found(store, "pol-77") == sorted([both, one])
    assert await found(store, "maria huber", "pol-77") == [both]
    assert await found(store, "pol-78") == []


async def test_the_filter_comes_before_the_cut(store: Store) -> None:
    for number in range(5):
        await put_texts(store, f"C-{number}", "total 12", line="auto" if number == 4 else "travel")
    [page_id] = await found(store, "total 12", where={"line": "auto"}, limit=1)
    assert (await store.pages.get(TENANT, page_id)).claim_id == "C-4"
    assert len(await found(store, "total 12", limit=3)) == 3
    assert MOST_HOLDING > 5


async def test_a_look_up_reads_no_more_texts_than_it_may(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await put_texts(store, "C-1", *["total 12"] * 5)
    for pages in (sqlite_texts, mongo_texts):
        monkeypatch.setattr(pages, "MOST_READ", 3)
    assert len(await found(store, "total 12")) == 3
    await put_texts(store, "C-2", "total 12", "total 12", line="travel")
    assert len(await found(store, "total 12", where={"line": "travel"})) == 2  # what does not pass is not read


async def test_text_goes_with_its_page_and_follows_the_facts_of_its_claim(store: Store, tmp_path: object) -> None:
    [page_id] = await put_texts(store, "C-1", "Zq7unmistakable 12", line="auto")
    assert await store.pages.texts(TENANT, [page_id, "none"]) == {page_id: "zq7unmistakable 12"}
    await store.claims.put(TENANT, claim("C-1", line="travel"))
    assert await found(store, "zq7unmistakable", where={"line": "auto"}) == []
    assert await found(store, "zq7unmistakable", where={"line": "travel"}) == [page_id]
    assert await store.pages.texts(OTHER_TENANT, [page_id]) == {}
    await store.claims.delete(TENANT, "C-1")
    assert await found(store, "zq7unmistakable") == []
    assert await store.pages.texts(TENANT, [page_id]) == {}
    assert await holding(store, tmp_path, "zq7unmistakable") == set()  # type: ignore[arg-type]


async def test_a_page_that_is_stored_again_has_its_new_text(store: Store) -> None:
    lease = await leased(store)
    for text in ("first 1", "second 2", ""):
        await store.pages.put(lease, [replace(new_page(lease), text=text)])
        assert await found(store, "first 1") == ([] if text != "first 1" else [new_page(lease).page.page_id])
    assert await store.pages.texts(TENANT, [new_page(lease).page.page_id]) == {}


async def test_a_page_of_another_encoder_is_not_found_until_it_is_moved(store: Store) -> None:
    [page_id] = await put_texts(store, "C-1", "POL-77")
    await store.pages.replace_vectors(TENANT, page_id, vectors(1, encoder="other/1"), usage={})
    assert await found(store, "pol-77") == []
    assert await store.pages.containing(TENANT, ["pol-77"], EVERYTHING, encoder="other/1", limit=9) == {page_id}
