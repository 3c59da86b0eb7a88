"""What ports.ClaimStore.list promises, on both engines: order, filters, cursors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from retrieval.documents import Sort
from retrieval.errors import InvalidInput
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.ports import Store
from tests.conformance.builders import (
    OTHER_TENANT,
    TENANT,
    FakeClock,
    claim,
)


async def listed(store: Store, sort: Sort, *, filter: object = None, limit: int) -> list[str]:
    """All claim ids of a list, fetched `limit` at a time."""
    ids: list[str] = []
    cursor = None
    while True:
        part = await store.claims.list(TENANT, parse_filter(filter), sort=sort, cursor=cursor, limit=limit)
        ids += [kept.claim_id for kept in part.items]
        if part.next_cursor is None:
            return ids
        assert len(part.items) == limit
        cursor = part.next_cursor


@pytest.fixture
async def sorted_store(store: Store, clock: FakeClock) -> Store:
    facts: Sequence[dict[str, Any]] = (
        {"loss_amount": 20.0, "loss_date": date(2026, 1, 2)},
        {"loss_amount": None, "loss_date": date(2025, 1, 2)},
        {"loss_amount": 3.5, "loss_date": None},
        {"loss_amount": 20.0, "loss_date": date(2026, 1, 2)},
        {"loss_amount": None, "loss_date": None},
    )
    for number, given in enumerate(facts):
        await store.claims.put(TENANT, claim(f"C-{number}", **given))
        clock.advance(timedelta(microseconds=1))
    return store


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (Sort(), "43210"),
        (Sort("created_at", descending=False), "01234"),
        (Sort("updated_at"), "43210"),
        (Sort("loss_amount"), "03214"),
        (Sort("loss_amount", descending=False), "20314"),
        (Sort("loss_date"), "03124"),
        (Sort("loss_date", descending=False), "10324"),
        (Sort("claim_id"), "43210"),
        (Sort("claim_id", descending=False), "01234"),
    ],
)
async def test_list_orders_with_missing_values_last_and_ties_by_id(
    sorted_store: Store, sort: Sort, expected: str
) -> None:
    whole = [f"C-{number}" for number in expected]
    for limit in (1, 2, 5, 50):
        assert await listed(sorted_store, sort, limit=limit) == whole


async def test_list_keeps_its_filter_from_page_to_page(sorted_store: Store) -> None:
    sort = Sort("loss_amount")
    assert await listed(sorted_store, sort, filter={"loss_amount": {"gte": 1}}, limit=1) == ["C-0", "C-3", "C-2"]


async def test_list_goes_on_where_it_was_when_claims_come_and_go(sorted_store: Store) -> None:
    sort = Sort("claim_id", descending=False)
    first = await sorted_store.claims.list(TENANT, EVERYTHING, sort=sort, limit=2)
    await sorted_store.claims.delete(TENANT, "C-1")
    await sorted_store.claims.put(TENANT, claim("C-00"))
    rest = await sorted_store.claims.list(TENANT, EVERYTHING, sort=sort, cursor=first.next_cursor)
    assert [kept.claim_id for kept in rest.items] == ["C-2", "C-3", "C-4"]


async def test_a_cursor_of_another_list_is_refused(sorted_store: Store) -> None:
    claims = sorted_store.claims
    first = await claims.list(TENANT, EVERYTHING, sort=Sort(), limit=2)
    assert first.next_cursor is not None
    others = [
        claims.list(TENANT, EVERYTHING, sort=Sort(descending=False), cursor=first.next_cursor),
        claims.list(TENANT, parse_filter({"line": "auto"}), sort=Sort(), cursor=first.next_cursor),
        claims.list(OTHER_TENANT, EVERYTHING, sort=Sort(), cursor=first.next_cursor),
    ]
    for other in others:
        with pytest.raises(InvalidInput) as refused:
            await other
        assert (refused.value.code, refused.value.field) == ("bad_cursor", "cursor")


@pytest.mark.parametrize("made_up", ["", "x", "no base64!", "W10", "bnVsbA", "é", "A" * 5000, "\0"])
async def test_a_made_up_cursor_is_refused(store: Store, made_up: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await store.claims.list(TENANT, EVERYTHING, sort=Sort(), cursor=made_up)
    assert (refused.value.code, refused.value.field) == ("bad_cursor", "cursor")


async def test_an_edited_cursor_is_refused(sorted_store: Store) -> None:
    first = await sorted_store.claims.list(TENANT, EVERYTHING, sort=Sort(), limit=2)
    assert first.next_cursor is not None
    for place in range(0, len(first.next_cursor), 3):
        sign = "A" if first.next_cursor[place] != "A" else "Q"
        edited = first.next_cursor[:place] + sign + first.next_cursor[place + 1 :]
        with pytest.raises(InvalidInput) as refused:
            await sorted_store.claims.list(TENANT, EVERYTHING, sort=Sort(), cursor=edited)
        assert refused.value.code == "bad_cursor"


async def test_list_refuses_a_filter_on_pages(store: Store) -> None:
    with pytest.raises(InvalidInput) as refused:
        await store.claims.list(TENANT, parse_filter({"kind": "photo"}), sort=Sort())
    assert (refused.value.code, refused.value.field) == ("bad_filter", "kind")
