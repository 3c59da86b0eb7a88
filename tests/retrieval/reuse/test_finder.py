"""Which photos of a claim are in other claims too: those that exist now, of the same tenant, photos only."""

from __future__ import annotations

import pytest
from PIL import Image, ImageOps

from retrieval.documents import Reuse
from retrieval.errors import NotFound
from retrieval.ports import Store
from retrieval.reuse import ReuseFinder
from tests.conformance.builders import OTHER_TENANT, TENANT, claim
from tests.fakes.encoder import FakeEncoder
from tests.retrieval.reuse.test_prints import photo
from tests.retrieval.search.building import add_pages

on_both_engines = pytest.mark.parametrize("store", ["sqlite", "mongodb"], indirect=True)


async def add(store: Store, encoder: FakeEncoder, claim_id: str, *photos: Image.Image, **options: str) -> list[str]:
    return await add_pages(store, encoder, claim_id, photos, kind="photo", **options)  # type: ignore[arg-type]


def pairs(found: list[Reuse]) -> list[tuple[str, str]]:
    return [(reuse.page.page_id, reuse.other.page_id) for reuse in found]


@on_both_engines
async def test_a_copy_in_another_claim_is_found_from_both_sides(store: Store, encoder: FakeEncoder) -> None:
    [mine, _] = await add(store, encoder, "A", photo(1), photo(2))
    [other] = await add(store, encoder, "B", photo(1).crop((16, 12, 310, 235)).resize((200, 152)))
    await add(store, encoder, "C", photo(7))
    finder = ReuseFinder(store)
    found = await finder.of_claim(TENANT, "A")
    assert pairs(found) == [(mine, other)]
    assert found[0].likeness > 0.8
    assert not found[0].same_file
    assert pairs(await finder.of_claim(TENANT, "B")) == [(other, mine)]
    assert await finder.of_claim(TENANT, "C") == []


@on_both_engines
async def test_the_same_file_is_told_from_a_copy(store: Store, encoder: FakeEncoder) -> None:
    await add(store, encoder, "A", photo(1))
    await add(store, encoder, "B", photo(1))
    await add(store, encoder, "C", ImageOps.mirror(photo(1)))
    [same, mirrored] = await ReuseFinder(store).of_claim(TENANT, "A")
    assert (same.other.claim_id, same.likeness, same.same_file) == ("B", 1.0, True)
    assert (mirrored.other.claim_id, mirrored.mirrored, mirrored.same_file) == ("C", True, False)


@on_both_engines
async def test_copies_within_the_claim_and_of_other_tenants_are_nobodys_business(
    store: Store, encoder: FakeEncoder
) -> None:
    await add(store, encoder, "A", photo(1), photo(1).resize((160, 120)))
    await add(store, encoder, "B", photo(1), tenant=OTHER_TENANT)
    assert await ReuseFinder(store).of_claim(TENANT, "A") == []


@on_both_engines
async def test_a_deleted_copy_is_no_copy_any_more(store: Store, encoder: FakeEncoder) -> None:
    await add(store, encoder, "A", photo(1))
    await add(store, encoder, "B", photo(1))
    await store.claims.delete(TENANT, "B")
    assert await ReuseFinder(store).of_claim(TENANT, "A") == []


async def test_printed_pages_are_not_looked_up(store: Store, encoder: FakeEncoder) -> None:
    await add_pages(store, encoder, "A", [photo(1)])
    await add_pages(store, encoder, "B", [photo(1)])
    assert await ReuseFinder(store).of_claim(TENANT, "A") == []


async def test_a_claim_without_photos_has_none_and_an_unknown_one_is_an_error(store: Store) -> None:
    await store.claims.put(TENANT, claim("empty"))
    assert await ReuseFinder(store).of_claim(TENANT, "empty") == []
    with pytest.raises(NotFound):
        await ReuseFinder(store).of_claim(TENANT, "nobody")
