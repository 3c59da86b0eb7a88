"""Filter trees to SQL conditions over `claims c` and `pages p`.

Every condition is two-valued (never NULL), so NOT is the exact complement. Values travel as bound parameters only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from retrieval.documents import FactValue
from retrieval.errors import InvalidInput
from retrieval.filters import (
    CLAIM_FIELDS,
    PAGE_FIELDS,
    SEARCH_FIELDS,
    AllOf,
    Condition,
    FieldSpec,
    Filter,
    Not,
    Scalar,
    field_spec,
)

SqlValue = str | float | None

# SQLite is built with room for 32,766 parameters at least; the rest of a statement needs a few.
MAX_PARAMETERS = 32_000

_COLUMNS: Mapping[str, str] = {
    **{path: f"c.{path.rpartition('.')[2]}" for path in CLAIM_FIELDS},
    "kind": "p.kind",
}
_ALWAYS_THERE = frozenset({"claim_id", "line", "status", "kind"})
_SIGNS = {"eq": "=", "ne": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TRUE = "1"
_FALSE = "0"


@dataclass(frozen=True, slots=True)
class Sql:
    """A condition with its parameters, in order. on_pages: it asks something of `p`, not of `c` alone."""

    text: str
    values: tuple[SqlValue, ...] = ()
    on_pages: bool = False

    @property
    def is_always(self) -> bool:
        return self.text == _TRUE


def claim_sql(tenant: str, filter: Filter) -> Sql:
    """Over `c`. Raises InvalidInput bad_filter for fields of pages and for more values than SQLite takes."""
    return _checked(_Compiler(tenant, CLAIM_FIELDS).compile(filter))


def search_sql(tenant: str, filter: Filter) -> Sql:
    """Over `c` and `p`. Raises InvalidInput bad_filter for more values than SQLite takes."""
    return _checked(_Compiler(tenant, SEARCH_FIELDS).compile(filter))


def column_of(path: str) -> str:
    """The column of `c` or `p` that holds a field with one value; not for damage_types and attributes."""
    return _COLUMNS[path]


def kind_of(value: FactValue) -> str:
    """As claim_attributes tells them apart."""
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "number"


def json_list(values: Iterable[str]) -> str:
    """Texts as one parameter, for `IN (SELECT value FROM json_each(?))`."""
    return json.dumps([value for value in values if "\0" not in value])


def _checked(sql: Sql) -> Sql:
    if len(sql.values) > MAX_PARAMETERS:
        raise InvalidInput(f"A filter may compare at most {MAX_PARAMETERS} numbers.", code="bad_filter", field="filter")
    return sql


@dataclass(frozen=True, slots=True)
class _Compiler:
    tenant: str
    fields: Mapping[str, FieldSpec]

    def compile(self, filter: Filter) -> Sql:
        if isinstance(filter, Condition):
            return self._condition(filter, field_spec(filter.field, self.fields))
        if isinstance(filter, Not):
            return _negated(self.compile(filter.term))
        terms = [self.compile(term) for term in filter.terms]
        if isinstance(filter, AllOf):
            return _joined(terms, " AND ", unit=_TRUE, zero=_FALSE)
        return _joined(terms, " OR ", unit=_FALSE, zero=_TRUE)

    def _condition(self, condition: Condition, spec: FieldSpec) -> Sql:
        """ne and nin are the complement of eq and in, which is just what they mean for missing values."""
        if condition.field == "asset_id":
            sql = self._of_asset(condition)
        elif spec.is_list or spec.type == "attribute":
            sql = self._lookup(condition, spec)
        else:
            sql = _plain(condition)
        negative = condition.op in ("ne", "nin") or (condition.op == "exists" and condition.value is False)
        return _negated(sql) if negative else sql

    def _of_asset(self, condition: Condition) -> Sql:
        """Every page has one; pages know it by its row."""
        if condition.op == "exists":
            return Sql(_TRUE)
        test = _test(condition, "a.asset_id")
        select = f"SELECT a.id FROM assets a WHERE a.tenant_id = ? AND {test.text}"
        return Sql(f"(p.asset IN ({select}))", (self.tenant, *test.values), on_pages=True)

    def _lookup(self, condition: Condition, spec: FieldSpec) -> Sql:
        """A field whose values are rows of their own: true when any row meets the test."""
        table, where = "claim_damage", "v.tenant_id = ?"
        values: tuple[SqlValue, ...] = (self.tenant,)
        if spec.type == "attribute":
            table = "claim_attributes"
            where += " AND v.name = ?"
            values += (spec.path.partition(".")[2],)
        if condition.op != "exists":
            test = _test(condition, "v.value")
            if spec.type == "attribute":
                where += " AND v.kind = ?"
                values += (kind_of(_first(condition.value)),)
            where += f" AND {test.text}"
            values += test.values
        return Sql(f"(c.id IN (SELECT v.claim FROM {table} v WHERE {where}))", values)


def _negated(sql: Sql) -> Sql:
    if sql.text in (_TRUE, _FALSE):
        return Sql(_FALSE if sql.text == _TRUE else _TRUE)
    return Sql(f"NOT {sql.text}", sql.values, sql.on_pages)


def _joined(terms: list[Sql], word: str, *, unit: str, zero: str) -> Sql:
    """Constants are folded: thousands of empty objects cost a filter nothing, and SQLite limits how deep it reads."""
    kept = [term for term in terms if term.text != unit]
    if not kept or any(term.text == zero for term in kept):
        return Sql(zero if kept else unit)
    if len(kept) == 1:
        return kept[0]
    values = tuple(value for term in kept for value in term.values)
    return Sql(f"({word.join(term.text for term in kept)})", values, any(term.on_pages for term in kept))


def _plain(condition: Condition) -> Sql:
    """A field that is one column."""
    column = _COLUMNS[condition.field]
    on_pages = condition.field in PAGE_FIELDS
    if condition.op == "exists":
        return Sql(f"({column} IS NOT NULL)", (), on_pages)
    test = _test(condition, column)
    guarded = test.text if condition.field in _ALWAYS_THERE else f"({column} IS NOT NULL AND {test.text})"
    return Sql(guarded, test.values, on_pages)


def _test(condition: Condition, column: str) -> Sql:
    if isinstance(condition.value, tuple):
        return _membership(condition.value, column)
    sign = _SIGNS[condition.op]
    return Sql(f"({column} {sign} ?)", (_parameter(condition.value),))


def _membership(wanted: tuple[Scalar, ...], column: str) -> Sql:
    distinct = tuple(dict.fromkeys(wanted))
    if isinstance(distinct[0], str):
        return Sql(f"({column} IN (SELECT value FROM json_each(?)))", (json_list(cast("tuple[str, ...]", distinct)),))
    # Numbers go one by one: as JSON text, SQLite would read some of them a last digit off.
    marks = ", ".join("?" * len(distinct))
    return Sql(f"({column} IN ({marks}))", tuple(_parameter(value) for value in distinct))


def _parameter(value: Scalar) -> SqlValue:
    return int(value) if isinstance(value, bool) else value


def _first(value: Scalar | tuple[Scalar, ...]) -> Scalar:
    return value[0] if isinstance(value, tuple) else value
