"""The filter grammar: what is read as what, and what is refused naming the field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import InvalidInput
from retrieval.filters import (
    CLAIM_FIELDS,
    EVERYTHING,
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_LIST,
    MAX_STRING,
    PAGE_FIELDS,
    SEARCH_FIELDS,
    AllOf,
    AnyOf,
    Condition,
    Filter,
    Not,
    field_spec,
    parse_filter,
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (None, EVERYTHING),
        ({}, EVERYTHING),
        ({"line": "auto"}, Condition("line", "eq", "auto")),
        ({"line": {"eq": "auto"}}, Condition("line", "eq", "auto")),
        ({"loss_amount": 5}, Condition("loss_amount", "eq", 5.0)),
        ({"loss_amount": {"in": [1, 2.5]}}, Condition("loss_amount", "in", (1.0, 2.5))),
        ({"loss_date": "2026-03-31"}, Condition("loss_date", "eq", "2026-03-31")),
        ({"loss_date": "2026-03-31T23:30:00Z"}, Condition("loss_date", "eq", "2026-03-31")),
        ({"loss_date": {"gte": "20260331"}}, Condition("loss_date", "gte", "2026-03-31")),
        ({"damage_types": {"nin": ["hail"]}}, Condition("damage_types", "nin", ("hail",))),
        ({"policy_id": {"exists": False}}, Condition("policy_id", "exists", False)),
        ({"attributes.fleet": True}, Condition("attributes.fleet", "eq", True)),
        ({"attributes.km": 7}, Condition("attributes.km", "eq", 7.0)),
        ({"attributes.note": {"lt": "b"}}, Condition("attributes.note", "lt", "b")),
        ({"kind": "photo"}, Condition("kind", "eq", "photo")),
        ({"not": {"line": "auto"}}, Not(Condition("line", "eq", "auto"))),
        ({"not": {}}, Not(EVERYTHING)),
        (
            {"loss_amount": {"gte": 1, "lt": 5}},
            AllOf((Condition("loss_amount", "gte", 1.0), Condition("loss_amount", "lt", 5.0))),
        ),
        (
            {"line": "auto", "or": [{"status": "open"}, {"status": "paid", "currency": "EUR"}]},
            AllOf(
                (
                    Condition("line", "eq", "auto"),
                    AnyOf(
                        (
                            Condition("status", "eq", "open"),
                            AllOf((Condition("status", "eq", "paid"), Condition("currency", "eq", "EUR"))),
                        )
                    ),
                )
            ),
        ),
        ({"and": [{}, {"line": "auto"}]}, AllOf((EVERYTHING, Condition("line", "eq", "auto")))),
        ({"policy_id": ""}, Condition("policy_id", "eq", "")),
        ({"policy_id": "$where"}, Condition("policy_id", "eq", "$where")),
    ],
)
def test_reads(source: object, expected: Filter) -> None:
    assert parse_filter(source) == expected


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ([], "filter"),
        ("line=auto", "filter"),
        (0, "filter"),
        (False, "filter"),
        ({1: 2}, "filter"),
        ({"colour": "red"}, "colour"),
        ({"vehicle": {"make": "Toyota"}}, "vehicle"),
        ({"vehicle.colour": "red"}, "vehicle.colour"),
        ({"$where": "1"}, "$where"),
        ({"attributes.": 1}, "attributes."),
        ({"attributes.No": 1}, "attributes.No"),
        ({"attributes.a.b": 1}, "attributes.a.b"),
        ({"attributes." + "x" * 65: 1}, "attributes." + "x" * 65),
        ({"line": "boat"}, "line"),
        ({"line": 5}, "line"),
        ({"line": None}, "line"),
        ({"line": ["auto"]}, "line"),
        ({"line": {}}, "line"),
        ({"line": {"like": "a%"}}, "line"),
        ({"line": {"$ne": "auto"}}, "line"),
        ({"line": {"eq": {"eq": "auto"}}}, "line"),
        ({"loss_amount": "5"}, "loss_amount"),
        ({"loss_amount": True}, "loss_amount"),
        ({"loss_amount": float("nan")}, "loss_amount"),
        ({"loss_amount": float("inf")}, "loss_amount"),
        ({"loss_amount": 10**400}, "loss_amount"),
        ({"vehicle.year": "2020"}, "vehicle.year"),
        ({"loss_date": "31.03.2026"}, "loss_date"),
        ({"loss_date": "2026-02-30"}, "loss_date"),
        ({"loss_date": 20260331}, "loss_date"),
        ({"policy_id": {"exists": "yes"}}, "policy_id"),
        ({"policy_id": {"exists": 1}}, "policy_id"),
        ({"policy_id": {"in": []}}, "policy_id"),
        ({"policy_id": {"in": "abc"}}, "policy_id"),
        ({"policy_id": {"nin": ["a", 1]}}, "policy_id"),
        ({"policy_id": {"in": ["a", None]}}, "policy_id"),
        ({"policy_id": {"in": ["a"] * (MAX_LIST + 1)}}, "policy_id"),
        ({"policy_id": "x" * (MAX_STRING + 1)}, "policy_id"),
        ({"policy_id": "a\0b"}, "policy_id"),
        ({"policy_id": "\ud800"}, "policy_id"),
        ({"attributes.x": {"in": ["a", 1]}}, "attributes.x"),
        ({"attributes.x": {"in": [True, 1]}}, "attributes.x"),
        ({"attributes.x": {"gt": True}}, "attributes.x"),
        ({"attributes.x": None}, "attributes.x"),
        ({"or": []}, "filter.or"),
        ({"or": {}}, "filter.or"),
        ({"and": [1]}, "filter.and[0]"),
        ({"or": [{}, {"not": []}]}, "filter.or[1].not"),
        ({"not": None}, "filter.not"),
    ],
)
def test_refuses(source: object, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_filter(source)
    assert (refused.value.code, refused.value.field) == ("bad_filter", field[:100])
    assert refused.value.detail


def test_conditions_are_counted_over_the_whole_filter() -> None:
    def of(count: int) -> dict[str, Any]:
        return {"or": [{"loss_amount": {"gt": number}} for number in range(count)]}

    parse_filter(of(MAX_CONDITIONS))
    with pytest.raises(InvalidInput, match=str(MAX_CONDITIONS)):
        parse_filter(of(MAX_CONDITIONS + 1))


def test_depth_is_limited() -> None:
    def of(depth: int) -> dict[str, Any]:
        source: dict[str, Any] = {"line": "auto"}
        for _ in range(depth):
            source = {"not": source}
        return source

    parse_filter(of(MAX_DEPTH))
    with pytest.raises(InvalidInput, match="nest"):
        parse_filter(of(MAX_DEPTH + 1))
    with pytest.raises(InvalidInput, match="nest"):
        parse_filter(of(500))


def test_fields_of_pages_are_no_fields_of_claims() -> None:
    for path in PAGE_FIELDS:
        with pytest.raises(InvalidInput) as refused:
            field_spec(path, CLAIM_FIELDS)
        assert refused.value.field == path


def test_a_field_without_a_name_is_told_as_part_of_the_filter() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_filter({"": "x"})
    assert refused.value.field == "filter"


def test_long_names_are_cut_in_the_answer() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_filter({"x" * 100_000: 1})
    assert len(refused.value.detail) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*SEARCH_FIELDS, "attributes.a", "attributes.A", "or", "and", "not", "eq", "in", "gt", "exists"]
            )
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


def read_or_refused(source: object) -> Filter | InvalidInput:
    try:
        return parse_filter(source)
    except InvalidInput as refused:
        return refused


@settings(max_examples=300, derandomize=True)
@given(JSON)
def test_any_json_is_read_or_refused(source: object) -> None:
    outcome = read_or_refused(source)
    if isinstance(outcome, InvalidInput):
        assert outcome.code == "bad_filter"
        assert outcome.field is not None
    else:
        check_tree(outcome)


def check_tree(filter: Filter) -> None:
    """Every value has the type that its field and operator ask for."""
    if isinstance(filter, Condition):
        spec = field_spec(filter.field)
        if filter.op == "exists":
            assert isinstance(filter.value, bool)
            return
        values = filter.value if isinstance(filter.value, tuple) else (filter.value,)
        assert isinstance(filter.value, tuple) == (filter.op in ("in", "nin"))
        assert len({type(value) for value in values}) == 1
        allowed = {
            "string": (str,),
            "date": (str,),
            "number": (float,),
            "bool": (bool,),
            "attribute": (str, float, bool),
        }
        assert isinstance(values[0], allowed[spec.type])
        assert not (isinstance(values[0], bool) and filter.op in ("gt", "gte", "lt", "lte"))
    elif isinstance(filter, Not):
        check_tree(filter.term)
    else:
        assert not (isinstance(filter, AnyOf) and not filter.terms)
        for term in filter.terms:
            check_tree(term)
