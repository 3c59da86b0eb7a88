"""Filter trees to MongoDB's query language: for the primary store, and for the filter inside `$vectorSearch`.

Both follow retrieval/filters.py exactly. They differ in one thing: attributes have any name, but `$vectorSearch`
filters declared paths only, so there an attribute is looked up among the page's `attribute_tokens`. A range over an
attribute cannot be said with words; the caller resolves it to claim ids first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from retrieval.filters import CLAIM_FIELDS, SEARCH_FIELDS, AnyOf, Condition, FieldSpec, Filter, Not, field_spec
from retrieval.stores.mongo.link import Document
from retrieval.stores.mongo.records import attribute_token

# Paths of the vector index's filter; attributes come as words.
FILTER_PATHS: tuple[str, ...] = (
    "tenant_id",
    "encoder",
    "indexed_as",
    "claim_id",
    "asset_id",
    "kind",
    "attribute_tokens",
    *(f"facts.{path}" for path in CLAIM_FIELDS if path != "claim_id"),
)

_TOP_LEVEL = frozenset({"claim_id", "asset_id", "kind", "tenant_id"})
_ORDERED = frozenset({"gt", "gte", "lt", "lte"})
# The tenant is on every document, so these say "always" and "never" with a declared path.
_ALWAYS: Document = {"tenant_id": {"$exists": True}}
_NEVER: Document = {"tenant_id": {"$exists": False}}


def stored_path(field: str) -> str:
    """Where a filter field lies in a claim's or page's document."""
    return field if field in _TOP_LEVEL else f"facts.{field}"


def claim_mql(filter: Filter) -> Document:
    """For `claims`. Raises InvalidInput bad_filter for fields of pages."""
    return _compile(filter, _plain, CLAIM_FIELDS)


def page_mql(filter: Filter) -> Document:
    """For `pages`, asked of the primary store."""
    return _compile(filter, _plain, SEARCH_FIELDS)


def attribute_ranges(filter: Filter) -> list[Condition]:
    """Conditions that `$vectorSearch` cannot express; `search_mql` wants the claims that meet each."""
    if isinstance(filter, Condition):
        return [filter] if filter.field.startswith("attributes.") and filter.op in _ORDERED else []
    terms = (filter.term,) if isinstance(filter, Not) else filter.terms
    return [condition for term in terms for condition in attribute_ranges(term)]


def search_mql(filter: Filter, ranges: Mapping[Condition, Sequence[str]]) -> Document:
    """For the filter inside `$vectorSearch`. ranges: claim ids that meet each of `attribute_ranges(filter)`."""

    def leaf(condition: Condition) -> Document:
        if not condition.field.startswith("attributes."):
            return _plain(condition)
        if condition in ranges:
            return {"claim_id": {"$in": list(ranges[condition])}} if ranges[condition] else _NEVER
        return _words(condition)

    return _compile(filter, leaf, SEARCH_FIELDS)


def _compile(filter: Filter, leaf: Callable[[Condition], Document], fields: Mapping[str, FieldSpec]) -> Document:
    if isinstance(filter, Condition):
        field_spec(filter.field, fields)
        return leaf(filter)
    if isinstance(filter, Not):
        return {"$nor": [_compile(filter.term, leaf, fields)]}
    terms = [_compile(term, leaf, fields) for term in filter.terms]
    if isinstance(filter, AnyOf):
        return {"$or": terms} if terms else _NEVER
    return {"$and": terms} if terms else _ALWAYS


def _plain(condition: Condition) -> Document:
    value = list(condition.value) if isinstance(condition.value, tuple) else condition.value
    return {stored_path(condition.field): {f"${condition.op}": value}}


def _words(condition: Condition) -> Document:
    name = condition.field.removeprefix("attributes.")
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if condition.op == "exists":
        return {"attribute_tokens": {"$eq" if condition.value else "$ne": name}}
    if condition.op in ("eq", "ne"):
        return {"attribute_tokens": {f"${condition.op}": attribute_token(name, values[0])}}
    return {"attribute_tokens": {f"${condition.op}": [attribute_token(name, value) for value in values]}}
