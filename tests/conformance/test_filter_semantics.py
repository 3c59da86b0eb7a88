"""Both engines answer every valid filter as a plain reading of retrieval/filters.py does."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.documents import LINES, STATUSES, Claim, Location, NewPage, Sort, Vehicle
from retrieval.errors import InvalidInput
from retrieval.filters import CLAIM_FIELDS, PAGE_FIELDS, AllOf, Condition, Filter, Not, parse_filter
from retrieval.ports import Store
from tests.conformance.builders import ENCODER, TENANT, asset_id_of, leased, new_page, vectors

CLAIMS = 24
ALL = 1000

# Small pools, so that random filters meet random claims: near misses in type, case, sign and time are in them.
TEXTS = ["", "P-1", "p-1", "P-10", "É", "a=b", "true", "1", "$x", "a.b", "👍"]
NUMBERS = [0.0, -0.0, 1.0, 2019, 2020, 999.99, 1000, -5, 1e12, 0.1]
DATES = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 3, 31), date(987, 1, 1)]
WORDS = ["hail", "windshield", "dent", "Dent"]
NAMES = ["fleet", "km", "mixed", "note", "absent"]
CONTENTS = [f"file {place}".encode() for place in range(CLAIMS)]
CLAIM_IDS = [f"C-{place}" for place in range(CLAIMS)]


def random_claim(chance: random.Random, claim_id: str) -> Claim:
    def maybe(values: list[Any]) -> Any:
        return chance.choice([None, *values])

    attributes = {
        "fleet": maybe([True, False]),
        "km": maybe(NUMBERS),
        "mixed": maybe([True, 1, "1", 1.0, "true", False, 0, ""]),
        "note": maybe(TEXTS),
    }
    return Claim(
        claim_id=claim_id,
        line=chance.choice(LINES),
        status=chance.choice(STATUSES),
        policy_id=maybe(TEXTS),
        loss_date=maybe(DATES),
        reported_date=maybe(DATES),
        loss_amount=maybe([0.0, 999.99, 1000.0, 1e12, 0.1]),
        currency=maybe(["EUR", "USD"]),
        damage_types=tuple(chance.sample(WORDS, chance.randrange(4))),
        location=Location(city=maybe(TEXTS), region=maybe(TEXTS), country=maybe(["DE", "FR"])),
        vehicle=Vehicle(make=maybe(TEXTS), model=maybe(TEXTS), year=maybe([2019, 2020])),
        attributes={name: value for name, value in attributes.items() if value is not None},
    )


def values_of(claim: Claim) -> dict[str, list[Any]]:
    """Field to values, none when missing."""
    single = {
        "claim_id": claim.claim_id,
        "line": claim.line,
        "status": claim.status,
        "policy_id": claim.policy_id,
        "loss_date": claim.loss_date and claim.loss_date.isoformat(),
        "reported_date": claim.reported_date and claim.reported_date.isoformat(),
        "loss_amount": claim.loss_amount,
        "currency": claim.currency,
        "location.city": claim.location.city,
        "location.region": claim.location.region,
        "location.country": claim.location.country,
        "vehicle.make": claim.vehicle.make,
        "vehicle.model": claim.vehicle.model,
        "vehicle.year": claim.vehicle.year,
        **{f"attributes.{name}": value for name, value in claim.attributes.items()},
    }
    present = {field: [value] for field, value in single.items() if value is not None}
    return {**present, "damage_types": list(claim.damage_types)}


def kind_of(value: Any) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float


def holds(filter: Filter, facts: Mapping[str, list[Any]]) -> bool:
    """The grammar's docstring, read aloud."""
    if isinstance(filter, Condition):
        return meets(filter, facts.get(filter.field, []))
    if isinstance(filter, Not):
        return not holds(filter.term, facts)
    results = [holds(term, facts) for term in filter.terms]
    return all(results) if isinstance(filter, AllOf) else any(results)


def meets(condition: Condition, values: list[Any]) -> bool:
    wanted: Any = condition.value

    def equal(one: Any, other: Any) -> bool:
        return kind_of(one) is kind_of(other) and one == other

    match condition.op:
        case "exists":
            return bool(values) is wanted
        case "eq":
            return any(equal(value, wanted) for value in values)
        case "ne":
            return not any(equal(value, wanted) for value in values)
        case "in":
            return any(equal(value, one) for value in values for one in wanted)
        case "nin":
            return not any(equal(value, one) for value in values for one in wanted)
    same = [value for value in values if kind_of(value) is kind_of(wanted)]
    match condition.op:
        case "gt":
            return any(value > wanted for value in same)
        case "gte":
            return any(value >= wanted for value in same)
        case "lt":
            return any(value < wanted for value in same)
        case _:
            return any(value <= wanted for value in same)


def operands_of(field: str) -> list[st.SearchStrategy[Any]]:
    """Strategies of values of one type each."""
    if field.startswith("attributes."):
        return [st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.booleans()]
    spec = CLAIM_FIELDS.get(field) or PAGE_FIELDS[field]
    if spec.choices:
        return [st.sampled_from(spec.choices)]
    pools: dict[str, list[Any]] = {
        "claim_id": [*CLAIM_IDS, "C-", "C-999"],
        "asset_id": [*map(asset_id_of, CONTENTS), "f" * 64],
        "currency": ["EUR", "USD", "eur"],
        "damage_types": [*WORDS, "fire"],
        "location.country": ["DE", "FR", "XX"],
    }
    by_type: dict[str, list[Any]] = {
        "string": TEXTS,
        "number": NUMBERS,
        "date": [*(day.isoformat() for day in DATES), "2026-02-01"],
    }
    return [st.sampled_from(pools.get(field, by_type[spec.type]))]


def condition_sources(fields: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    def of_field(field: str) -> st.SearchStrategy[dict[str, Any]]:
        def of_values(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
            lists = st.lists(values, min_size=1, max_size=4)
            operations: dict[str, st.SearchStrategy[Any]] = {
                **dict.fromkeys(("eq", "ne"), values),
                **dict.fromkeys(("in", "nin"), lists),
                **dict.fromkeys(("gt", "gte", "lt", "lte"), values.filter(lambda value: not isinstance(value, bool))),
                "exists": st.booleans(),
            }
            one = st.sampled_from(list(operations)).flatmap(
                lambda name: operations[name].map(lambda operand: {name: operand})
            )
            two = st.tuples(one, one).map(lambda pair: {**pair[0], **pair[1]})
            return st.one_of(values, one, two)

        kinds = operands_of(field)
        if field.startswith("attributes."):  # truth values have no order
            kinds = kinds[:2]
            truth = st.booleans().map(lambda value: {field: value})
            return st.one_of(truth, *(of_values(kind).map(lambda value: {field: value}) for kind in kinds))
        return of_values(kinds[0]).map(lambda value: {field: value})

    return st.sampled_from(fields).flatmap(of_field)


def filter_sources(fields: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    def wider(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        several = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            several.map(lambda terms: {"or": terms}),
            several.map(lambda terms: {"and": terms}),
            inner.map(lambda term: {"not": term}),
            st.tuples(inner, inner).map(lambda pair: {**pair[0], **pair[1]}),
        )

    leaf = st.one_of(condition_sources(fields), st.just({}))
    return st.recursive(leaf, wider, max_leaves=6)


CLAIM_PATHS = [*CLAIM_FIELDS, *(f"attributes.{name}" for name in NAMES)]
SEARCH_PATHS = [*CLAIM_PATHS, *PAGE_FIELDS, *(f"attributes.{name}" for name in NAMES)]
RUN = settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def corpus(store: Store) -> dict[str, dict[str, list[Any]]]:
    """Claims with a page or two each, stored; page_id to its facts."""
    chance = random.Random(20260331)
    pages: dict[str, dict[str, list[Any]]] = {}
    for place, claim_id in enumerate(CLAIM_IDS):
        claim = random_claim(chance, claim_id)
        await store.claims.put(TENANT, claim)
        lease = await leased(store, TENANT, claim_id, CONTENTS[place])
        made: list[NewPage] = []
        for number in range(1, 1 + chance.randrange(1, 3)):
            kind = chance.choice(["page", "photo"])
            made.append(new_page(lease, number, vectors(place * 10 + number, tokens=0), kind=kind))
            pages[made[-1].page.page_id] = {
                **values_of(claim),
                "kind": [kind],
                "asset_id": [lease.asset_id],
            }
        await store.pages.put(lease, made)
    return pages


class TestRandomFilters:
    @RUN
    @given(source=filter_sources(CLAIM_PATHS))
    async def test_claim_list_gives_what_the_grammar_says(
        self, store: Store, corpus: dict[str, dict[str, list[Any]]], source: dict[str, Any]
    ) -> None:
        filter = parse_filter(source, fields=CLAIM_FIELDS)
        expected = {facts["claim_id"][0] for facts in corpus.values() if holds(filter, facts)}
        listing = await store.claims.list(TENANT, filter, sort=Sort("claim_id", descending=False), limit=ALL)
        assert [claim.claim_id for claim in listing.items] == sorted(expected)

    @RUN
    @given(source=filter_sources(SEARCH_PATHS))
    async def test_page_searches_give_what_the_grammar_says(
        self, store: Store, corpus: dict[str, dict[str, list[Any]]], source: dict[str, Any]
    ) -> None:
        filter = parse_filter(source)
        expected = sorted(page_id for page_id, facts in corpus.items() if holds(filter, facts))
        matching = await store.pages.matching(TENANT, filter, encoder=ENCODER, limit=ALL)
        assert [page_id for page_id, _ in matching] == expected
        assert await store.pages.passing(TENANT, list(corpus), filter, encoder=ENCODER) == frozenset(expected)
        query = vectors(4711, tokens=0)
        for exact in (True, False):
            found = await store.pages.nearest(TENANT, query, filter, limit=ALL, exact=exact)
            assert sorted(page.page_id for page in found) == expected
            assert found == sorted(found, key=lambda page: (-page.score, page.page_id))


async def test_nearest_orders_by_the_exact_cosine(store: Store, corpus: dict[str, dict[str, list[Any]]]) -> None:
    query = vectors(4711, tokens=0)
    found = await store.pages.nearest(TENANT, query, parse_filter({}), limit=ALL)
    stored = await store.pages.vectors(TENANT, list(corpus))
    cosines = {page_id: float(np.dot(one.summary, query.summary)) for page_id, one in stored.items()}
    assert [page.page_id for page in found] == sorted(cosines, key=lambda page_id: -cosines[page_id])
    assert [page.score for page in found] == pytest.approx(sorted(cosines.values(), reverse=True), abs=1e-6)


async def test_filters_follow_a_claim_that_changes(store: Store, corpus: dict[str, dict[str, list[Any]]]) -> None:
    def hurry(claim: Claim) -> Claim:
        return replace(claim, status="open", attributes={"urgent": True}, damage_types=("flood",), policy_id=None)

    await store.claims.update(TENANT, "C-3", hurry)
    pages = sorted(page_id for page_id, facts in corpus.items() if facts["claim_id"] == ["C-3"])
    for source in (
        {"attributes.urgent": True},
        {"damage_types": "flood"},
        {"claim_id": "C-3", "policy_id": {"exists": False}, "attributes.km": {"exists": False}},
    ):
        filter = parse_filter(source)
        found = await store.pages.nearest(TENANT, vectors(1), filter, limit=ALL)
        assert sorted(page.page_id for page in found) == pages
        listed = await store.claims.list(TENANT, filter, sort=Sort())
        assert [claim.claim_id for claim in listed.items] == ["C-3"]


@pytest.mark.parametrize("field", list(PAGE_FIELDS))
async def test_claim_list_refuses_fields_of_pages(store: Store, field: str) -> None:
    filter = parse_filter({field: "page"})
    with pytest.raises(InvalidInput) as refused:
        await store.claims.list(TENANT, filter, sort=Sort())
    assert (refused.value.code, refused.value.field) == ("bad_filter", field)


@pytest.mark.parametrize(
    "text", ["$ne", '{"$gt": ""}', "$where: sleep(1000)", "' OR 1=1 --", '"; DROP TABLE claims; --']
)
async def test_text_that_looks_like_an_operator_is_text(store: Store, text: str) -> None:
    await store.claims.put(TENANT, Claim("C-1", policy_id=text, damage_types=(text,), attributes={"note": text}))
    await store.claims.put(TENANT, Claim("C-2", policy_id="other", damage_types=("other",), attributes={"note": "x"}))
    for field in ("policy_id", "damage_types", "attributes.note"):
        for condition in ({field: text}, {field: {"in": [text]}}, {"not": {field: {"ne": text}}}):
            listed = await store.claims.list(TENANT, parse_filter(condition), sort=Sort())
            assert [claim.claim_id for claim in listed.items] == ["C-1"], condition
    assert await store.claims.count(TENANT) == 2
