"""The filter grammar: JSON-like objects to a typed tree, checked against the claim schema.

    {"line": "auto", "loss_amount": {"gte": 1000, "lt": 5000}, "damage_types": {"in": ["windshield"]},
     "attributes.fleet": true, "or": [{...}, {...}], "not": {...}}

Keys of one object join by AND. Operators: eq ne in nin gt gte lt lte exists. On list fields (damage_types) a
condition holds when any element meets it (ne, nin: when none equals). A missing value meets ne, nin and
{"exists": false} only. Strings compare exactly. Dates are ISO "YYYY-MM-DD".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, cast

from retrieval.documents import LINES, STATUSES
from retrieval.errors import InvalidInput

FieldType = Literal["string", "number", "date", "bool", "attribute"]
Operator = Literal["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists"]
Scalar = str | float | bool

MAX_CONDITIONS = 100
MAX_DEPTH = 10
MAX_LIST = 1000
MAX_STRING = 1000

ATTRIBUTE_NAME = re.compile(r"[a-z0-9_]{1,64}")
_ORDERED = frozenset({"gt", "gte", "lt", "lte"})
_LISTS = frozenset({"in", "nin"})
_OPERATORS = frozenset({"eq", "ne", "exists"}) | _ORDERED | _LISTS


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A filterable field. choices: the only values it takes. is_list: holds several values."""

    path: str
    type: FieldType
    choices: tuple[str, ...] = ()
    is_list: bool = False


CLAIM_FIELDS: Mapping[str, FieldSpec] = {
    spec.path: spec
    for spec in (
        FieldSpec("claim_id", "string"),
        FieldSpec("line", "string", choices=LINES),
        FieldSpec("status", "string", choices=STATUSES),
        FieldSpec("policy_id", "string"),
        FieldSpec("loss_date", "date"),
        FieldSpec("reported_date", "date"),
        FieldSpec("loss_amount", "number"),
        FieldSpec("currency", "string"),
        FieldSpec("damage_types", "string", is_list=True),
        FieldSpec("location.city", "string"),
        FieldSpec("location.region", "string"),
        FieldSpec("location.country", "string"),
        FieldSpec("vehicle.make", "string"),
        FieldSpec("vehicle.model", "string"),
        FieldSpec("vehicle.year", "number"),
    )
}
PAGE_FIELDS: Mapping[str, FieldSpec] = {
    spec.path: spec
    for spec in (
        FieldSpec("kind", "string", choices=("page", "photo")),
        FieldSpec("asset_id", "string"),
    )
}
SEARCH_FIELDS: Mapping[str, FieldSpec] = {**CLAIM_FIELDS, **PAGE_FIELDS}


@dataclass(frozen=True, slots=True)
class Condition:
    """field op value. value: a scalar; a tuple of scalars of one type for in and nin; a bool for exists.
    Numbers are float, dates stay ISO text "YYYY-MM-DD" (they order as text)."""

    field: str
    op: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when all terms are; with no terms, always true."""

    terms: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when one term is; never empty."""

    terms: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    term: Filter


Filter = Condition | AllOf | AnyOf | Not
EVERYTHING = AllOf(())


def parse_filter(source: object, *, fields: Mapping[str, FieldSpec] = SEARCH_FIELDS) -> Filter:
    """A decoded JSON value to a filter tree; None and {} mean everything.

    Raises InvalidInput (code bad_filter) with `field` set to the path of what is wrong.
    """
    if source is None:
        return EVERYTHING
    budget = _Budget()
    return _parse_object(source, "filter", fields, budget, depth=0)


class _Budget:
    def __init__(self) -> None:
        self.conditions = 0

    def spend(self, where: str) -> None:
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise _bad(where, f"A filter may hold at most {MAX_CONDITIONS} conditions.")


def _bad(where: str, detail: str) -> InvalidInput:
    return InvalidInput(detail, code="bad_filter", field=where)


def _parse_object(
    source: object, where: str, fields: Mapping[str, FieldSpec], budget: _Budget, *, depth: int
) -> Filter:
    if depth > MAX_DEPTH:
        raise _bad(where, f"A filter may nest at most {MAX_DEPTH} deep.")
    if not isinstance(source, Mapping):
        raise _bad(where, f"{where} must be an object, not {_kind(source)}.")
    terms: list[Filter] = []
    for key, value in cast("Mapping[object, object]", source).items():
        if not isinstance(key, str):
            raise _bad(where, "Names in a filter must be text.")
        if key == "not":
            terms.append(Not(_parse_object(value, f"{where}.not", fields, budget, depth=depth + 1)))
        elif key in ("or", "and"):
            terms.append(_parse_branch(key, value, f"{where}.{key}", fields, budget, depth=depth))
        else:
            terms.extend(_parse_field(key, value, fields, budget))
    return terms[0] if len(terms) == 1 else AllOf(tuple(terms))


def _parse_branch(
    key: str, value: object, where: str, fields: Mapping[str, FieldSpec], budget: _Budget, *, depth: int
) -> Filter:
    if not isinstance(value, list) or not value:
        raise _bad(where, f"{where} must be a list of at least one object.")
    items = cast("list[object]", value)
    terms = tuple(
        _parse_object(item, f"{where}[{place}]", fields, budget, depth=depth + 1) for place, item in enumerate(items)
    )
    return AnyOf(terms) if key == "or" else AllOf(terms)


def field_spec(path: str, fields: Mapping[str, FieldSpec] = SEARCH_FIELDS) -> FieldSpec:
    """The field called `path`; `attributes.NAME` always exists. Raises InvalidInput for an unknown one."""
    if path in fields:
        return fields[path]
    name = path.removeprefix("attributes.")
    if name != path and ATTRIBUTE_NAME.fullmatch(name):
        return FieldSpec(path, "attribute")
    raise _bad(path[:100] or "filter", f"There is no filter field {path[:100]!r}. GET /v1/schema lists them.")


def _parse_field(path: str, value: object, fields: Mapping[str, FieldSpec], budget: _Budget) -> list[Filter]:
    spec = field_spec(path, fields)
    if not isinstance(value, Mapping):
        budget.spend(path)
        return [Condition(path, "eq", _scalar(value, spec))]
    pairs = list(cast("Mapping[object, object]", value).items())
    if not pairs:
        raise _bad(path, f'{path} needs an operator, for example {{"eq": ...}}.')
    terms: list[Filter] = []
    for op, operand in pairs:
        if op not in _OPERATORS:
            raise _bad(path, f"{path} has an unknown operator {str(op)[:40]!r}: use {', '.join(sorted(_OPERATORS))}.")
        budget.spend(path)
        terms.append(_parse_condition(spec, cast("Operator", op), operand))
    return terms


def _parse_condition(spec: FieldSpec, op: Operator, operand: object) -> Condition:
    if op == "exists":
        if not isinstance(operand, bool):
            raise _bad(spec.path, f"{spec.path}: exists takes true or false, not {_kind(operand)}.")
        return Condition(spec.path, op, operand)
    if op in _LISTS:
        if not isinstance(operand, list) or not operand:
            raise _bad(spec.path, f"{spec.path}: {op} takes a list of at least one value.")
        items = cast("list[object]", operand)
        if len(items) > MAX_LIST:
            raise _bad(spec.path, f"{spec.path}: {op} takes at most {MAX_LIST} values.")
        values = tuple(_scalar(item, spec) for item in items)
        if len({type(value) for value in values}) > 1:
            raise _bad(spec.path, f"{spec.path}: all values of {op} must be of one type.")
        return Condition(spec.path, op, values)
    value = _scalar(operand, spec)
    if op in _ORDERED and isinstance(value, bool):
        raise _bad(spec.path, f"{spec.path}: {op} cannot order true and false.")
    return Condition(spec.path, op, value)


def _scalar(value: object, spec: FieldSpec) -> Scalar:
    if isinstance(value, bool):
        if spec.type in ("bool", "attribute"):
            return value
    elif isinstance(value, int | float):
        if spec.type in ("number", "attribute"):
            return _finite(value, spec.path)
    elif isinstance(value, str):
        if spec.type == "date":
            return _iso_date(value, spec.path)
        if spec.type in ("string", "attribute"):
            return _text(value, spec)
    raise _bad(spec.path, f"{spec.path} takes {_wanted(spec)}, not {_kind(value)}.")


def _finite(value: float, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if number != number or number in (float("inf"), float("-inf")):
        raise _bad(where, f"{where} takes a finite number.")
    return number


def _iso_date(value: str, where: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        try:
            return datetime.fromisoformat(value).date().isoformat()
        except ValueError:
            raise _bad(where, f'{where} takes a date like "2026-03-31".') from None


def _text(value: str, spec: FieldSpec) -> str:
    if len(value) > MAX_STRING or "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
        raise _bad(spec.path, f"{spec.path} takes text of at most {MAX_STRING} characters.")
    if spec.choices and value not in spec.choices:
        raise _bad(spec.path, f"{spec.path} is one of {', '.join(spec.choices)}, not {value[:40]!r}.")
    return value


def _wanted(spec: FieldSpec) -> str:
    return {
        "string": "text",
        "number": "a number",
        "date": 'a date like "2026-03-31"',
        "bool": "true or false",
        "attribute": "text, a number, true or false",
    }[spec.type]


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
