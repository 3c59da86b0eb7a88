"""What ports.ClaimStore.facets promises, on both engines: values with their counts, and bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from retrieval.documents import Facet, FacetValue, Vehicle
from retrieval.errors import InvalidInput
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.ports import Store
from tests.conformance.builders import (
    TENANT,
    claim,
)


@pytest.fixture
async def varied_store(store: Store) -> Store:
    await store.claims.put(TENANT, claim("C-1", line="auto", loss_amount=10.0, damage_types=("hail", "dent")))
    await store.claims.put(TENANT, claim("C-2", line="auto", loss_amount=30.0, damage_types=("hail",)))
    await store.claims.put(TENANT, claim("C-3", line="travel", loss_date=date(2026, 2, 1)))
    await store.claims.put(TENANT, claim("C-4", line="auto", loss_date=date(2025, 2, 1), vehicle=Vehicle(year=2020)))
    await store.claims.update(TENANT, "C-1", lambda old: replace(old, attributes={"fleet": True, "km": 5.0}))
    await store.claims.update(TENANT, "C-2", lambda old: replace(old, attributes={"fleet": False, "km": 7.5}))
    await store.claims.update(TENANT, "C-3", lambda old: replace(old, attributes={"fleet": "yes", "km": 5.0}))
    return store


def values(facet: Facet) -> list[tuple[object, int]]:
    return [(found.value, found.count) for found in facet.values]


async def test_facets_count_claims_in_the_order_asked(varied_store: Store) -> None:
    facets = await varied_store.claims.facets(TENANT, EVERYTHING, ["damage_types", "line", "policy_id"])
    assert [facet.field for facet in facets] == ["damage_types", "line", "policy_id"]
    assert values(facets[0]) == [("hail", 2), ("dent", 1)]
    assert values(facets[1]) == [("auto", 3), ("travel", 1)]
    assert facets[2] == Facet("policy_id")


async def test_facets_follow_the_filter(varied_store: Store) -> None:
    [damage] = await varied_store.claims.facets(TENANT, parse_filter({"loss_amount": {"lt": 20}}), ["damage_types"])
    assert damage.values == (FacetValue("dent", 1), FacetValue("hail", 1))


async def test_facets_of_numbers_and_dates_have_bounds(varied_store: Store) -> None:
    amount, day, year = await varied_store.claims.facets(
        TENANT, EVERYTHING, ["loss_amount", "loss_date", "vehicle.year"]
    )
    assert (amount.minimum, amount.maximum) == (10.0, 30.0)
    assert (day.minimum, day.maximum) == ("2025-02-01", "2026-02-01")
    assert (year.minimum, year.maximum, values(year)) == (2020, 2020, [(2020, 1)])


async def test_facets_of_attributes_keep_types_apart(varied_store: Store) -> None:
    fleet, km = await varied_store.claims.facets(TENANT, EVERYTHING, ["attributes.fleet", "attributes.km"])
    assert sorted((type(value).__name__, value, count) for value, count in values(fleet)) == [
        ("bool", False, 1),
        ("bool", True, 1),
        ("str", "yes", 1),
    ]
    assert (fleet.minimum, fleet.maximum) == (None, None)
    assert values(km) == [(5.0, 2), (7.5, 1)]
    assert (km.minimum, km.maximum) == (5.0, 7.5)


async def test_facets_show_the_fifty_most_frequent(store: Store) -> None:
    words = [f"w{number:02}" for number in range(60)]
    await store.claims.put(TENANT, claim("C-1", damage_types=tuple(words)))
    await store.claims.put(TENANT, claim("C-2", damage_types=("w59",)))
    [damage] = await store.claims.facets(TENANT, EVERYTHING, ["damage_types"])
    assert len(damage.values) == 50
    assert damage.values[0] == FacetValue("w59", 2)


@pytest.mark.parametrize("field", ["kind", "colour", "attributes.No", "vehicle"])
async def test_facets_of_an_unknown_field(store: Store, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await store.claims.facets(TENANT, EVERYTHING, [field])
    assert refused.value.code == "bad_filter"
