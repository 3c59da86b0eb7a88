"""What vector search accepts, refuses and silently skips: definitions, filters, vectors. No network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from bson import Binary, ObjectId
from numpy.typing import NDArray

Predicate = Callable[[Mapping[str, Any]], bool]

STAGE_FIELDS = {"index", "path", "queryVector", "numCandidates", "limit", "exact", "filter"}
LONGEST_KEYWORD = 8191  # a longer text is cut when it is indexed, so the whole never equals it
MOST_CANDIDATES = 10_000
SEARCH_FAILED = 8


class SearchError(Exception):
    """What the client is told. by_search: the search process said it, so mongod puts its prefix before the text."""

    def __init__(self, text: str, code: int = SEARCH_FAILED, name: str = "UnknownError") -> None:
        super().__init__(text)
        self.code = code
        self.name = name
        self.by_search = code == SEARCH_FAILED


def standin_error(text: str) -> SearchError:
    return SearchError(f"STAND-IN: {text}", 1, "InternalError")


# Index definitions


@dataclass(frozen=True)
class Definition:
    source: Mapping[str, Any]
    vectors: Mapping[str, int]  # path to number of dimensions
    filters: frozenset[str]


def read_definition(source: Mapping[str, Any], where: str) -> Definition:
    _only(source, {"fields", "numPartitions", "storedSource"}, where)
    if not isinstance(source.get("fields"), list):
        raise SearchError(f'"{where}.fields" is required')
    vectors: dict[str, int] = {}
    filters: set[str] = set()
    for place, given in enumerate(source["fields"]):
        spot = f"{where}.fields[{place}]"
        kind, path = given.get("type"), given.get("path")
        if not isinstance(path, str) or not path:
            raise SearchError(f'"{spot}.path" is required')
        if path in vectors or path in filters:
            raise SearchError(f'"{where}.fields" Vector and filter fields should have distinct paths')
        if kind == "filter":
            _only(given, {"type", "path"}, spot)
            filters.add(path)
        elif kind == "vector":
            vectors[path] = _vector_field(given, spot)
        else:
            raise SearchError(f'"{spot}.type" must be one of [filter, vector]')
    if not vectors:
        raise SearchError(f'"{where}.fields" must contain at least one vector field')
    return Definition(source, vectors, frozenset(filters))


def _vector_field(given: Mapping[str, Any], spot: str) -> int:
    _only(given, {"type", "path", "numDimensions", "similarity", "quantization", "indexingMethod"}, spot)
    dims = given.get("numDimensions")
    if not isinstance(dims, int) or not 1 <= dims <= 8192:
        raise SearchError(f'"{spot}.numDimensions" must be within bounds [1..8192]')
    if given.get("similarity") not in ("cosine", "dotProduct", "euclidean"):
        raise SearchError(f'"{spot}.similarity" must be one of [cosine, dotProduct, euclidean]')
    if given["similarity"] != "cosine" or given.get("quantization", "none") != "none":
        raise standin_error("only cosine without quantization is known here")
    return dims


def _only(given: Mapping[str, Any], allowed: set[str], where: str) -> None:
    for name in given:
        if name not in allowed:
            raise SearchError(f'"{where}" unrecognized field "{name}"')


# Filters


@dataclass(frozen=True)
class CompiledFilter:
    """bound: paths that every passing document is tied to by $eq, with the value."""

    passes: Predicate
    bound: Mapping[str, Any] = field(default_factory=dict)


def compile_filter(source: Any, filters: frozenset[str], where: str = "filter") -> CompiledFilter:
    if not isinstance(source, Mapping):
        raise SearchError(f'"{where}" filter must be a document')
    parts: list[CompiledFilter] = []
    for key, value in source.items():
        if key in ("$and", "$or", "$nor"):
            parts.append(_branch(key, value, filters, where))
        elif key.startswith("$"):
            raise SearchError(f"unknown top level operator: {key}.", 2, "BadValue")
        else:
            parts.append(_leaf(key, value, filters, f"{where}.{key}"))
    return _all(parts)


def _all(parts: Sequence[CompiledFilter]) -> CompiledFilter:
    bound = {path: value for part in parts for path, value in part.bound.items()}
    return CompiledFilter(lambda document: all(part.passes(document) for part in parts), bound)


def _branch(key: str, value: Any, filters: frozenset[str], where: str) -> CompiledFilter:
    if not isinstance(value, list) or not value:
        raise SearchError(f'"{where}" cannot be empty')
    parts = [compile_filter(part, filters, f"{where}[{place}]") for place, part in enumerate(value)]
    if key == "$and":
        return _all(parts)
    wanted = key == "$or"
    return CompiledFilter(lambda document: any(part.passes(document) for part in parts) is wanted)


def _leaf(path: str, value: Any, filters: frozenset[str], where: str) -> CompiledFilter:
    operators = value if isinstance(value, Mapping) and any(name.startswith("$") for name in value) else {"$eq": value}
    tests: list[Predicate] = []
    for name, operand in operators.items():
        test = _TESTS.get(name)
        if test is None:
            raise SearchError(f'"{where}" unrecognized field "{name}"')
        tests.append(test(path.split("."), operand, f"{where}.{name}"))
    if path not in filters:
        raise SearchError(f"Path '{path}' needs to be indexed as filter")
    bound = {path: operators["$eq"]} if "$eq" in operators else {}
    return CompiledFilter(lambda document: all(test(document) for test in tests), bound)


def _equal(path: list[str], operand: Any, where: str) -> Predicate:
    wanted = _typed(operand, where)
    return lambda document: wanted in _stored(document, path)


def _one_of(path: list[str], operand: Any, where: str) -> Predicate:
    if not isinstance(operand, list) or not operand:
        raise SearchError(f'"{where}" cannot be empty')
    wanted = {_typed(value, where) for value in operand}
    kinds = {kind for kind, _ in wanted}
    if "null" in kinds:
        raise SearchError(f'"{where}" value type cannot be null')
    if len(kinds) > 1:
        raise SearchError(f'"{where}" must have elements of the same type')
    return lambda document: any(value in wanted for value in _stored(document, path))


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[list[str], Any, str], Predicate]:
    def build(path: list[str], operand: Any, where: str) -> Predicate:
        kind, bound = _typed(operand, where)
        if kind == "null":
            raise SearchError(f'"{where}" is required')
        return lambda document: any(found == kind and compare(value, bound) for found, value in _stored(document, path))

    return build


def _exists(path: list[str], operand: Any, where: str) -> Predicate:
    if not isinstance(operand, bool):
        raise SearchError(f'"{where}" must be a boolean')
    return lambda document: _has(document, path) is operand


def _negated(
    build: Callable[[list[str], Any, str], Predicate],
) -> Callable[[list[str], Any, str], Predicate]:
    def negated(path: list[str], operand: Any, where: str) -> Predicate:
        test = build(path, operand, where)
        return lambda document: not test(document)

    return negated


_TESTS: Mapping[str, Callable[[list[str], Any, str], Predicate]] = {
    "$eq": _equal,
    "$ne": _negated(_equal),
    "$in": _one_of,
    "$nin": _negated(_one_of),
    "$gt": _ordered(lambda value, bound: value > bound),
    "$gte": _ordered(lambda value, bound: value >= bound),
    "$lt": _ordered(lambda value, bound: value < bound),
    "$lte": _ordered(lambda value, bound: value <= bound),
    "$exists": _exists,
}


def _typed(value: Any, where: str = "") -> tuple[str, Any]:
    """Kind and value: a number never equals a text or a truth value, int and double compare as numbers."""
    if value is None:
        return "null", None
    for kind, types in (
        ("boolean", bool),
        ("number", (int, float)),
        ("string", str),
        ("objectId", ObjectId),
        ("date", datetime),
    ):
        if isinstance(value, types):
            return kind, value
    if where:
        raise SearchError(f'"{where}" must be a boolean, objectId, number, string, date, uuid, or null')
    return "none", None


def _stored(document: Mapping[str, Any], path: list[str]) -> list[tuple[str, Any]]:
    found = [_typed(value) for value in _values(document, path)]
    return [(kind, value[:LONGEST_KEYWORD] if kind == "string" else value) for kind, value in found]


def _values(node: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _values(item, path)
    elif not path:
        yield node
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _values(node[path[0]], path[1:])


def _has(node: Any, path: list[str]) -> bool:
    if isinstance(node, list):
        return any(_has(item, path) for item in node)
    if not isinstance(node, Mapping) or path[0] not in node:
        return False
    return len(path) == 1 or _has(node[path[0]], path[1:])


# Vectors


def read_vector(value: Any) -> NDArray[np.float32] | None:
    """A list of numbers or a float32 BinData; other kinds match no float query."""
    if isinstance(value, list) and all(_typed(item)[0] == "number" for item in value):
        return np.asarray(value, np.float32)
    if isinstance(value, Binary) and value.subtype == 9 and value[:2] == b"\x27\x00":
        return np.frombuffer(value, "<f4", offset=2)
    return None


def admit(value: Any, dims: int, skipped: Counter[str]) -> NDArray[np.float32] | None:
    """The vector as the index takes it, or None and a reason that the index itself never tells."""
    vector = read_vector(value)
    if vector is None:
        skipped["not a float vector"] += 1
    elif len(vector) != dims:
        skipped["dimensions"] += 1
    elif not np.isfinite(vector).all():
        skipped["not finite"] += 1
    elif not vector.any():
        skipped["zero"] += 1
    else:
        return vector
    return None


@dataclass(frozen=True)
class SearchCall:
    """A checked `$vectorSearch`."""

    index: str
    path: str
    vector: NDArray[np.float32]
    limit: int
    exact: bool
    candidates: int
    filter: Any


def read_stage(stage: Mapping[str, Any]) -> SearchCall:
    """What mongod and mongot check before they look at the index."""
    for name in stage:
        if name not in STAGE_FIELDS:
            raise standin_error(f"MongoDB ignores the unknown field {name!r} of $vectorSearch without a word")
    for name in ("index", "path", "limit", "queryVector"):
        if name not in stage:
            raise SearchError(f'"{name}" is required')
        if stage[name] == "":
            raise SearchError(f'"{name}" cannot be empty')
    limit, exact, candidates = stage["limit"], stage.get("exact", False), stage.get("numCandidates")
    if _typed(limit)[0] != "number":
        raise SearchError("Expected limit field to be a number in $vectorSearch", 8575100, "Location8575100")
    if limit <= 0:
        raise SearchError("Expected limit to be positive", 7912700, "Location7912700")
    if exact and candidates is not None:
        raise SearchError('"numCandidates" must be omitted when "exact" is set to true')
    if not exact:
        if candidates is None:
            raise SearchError("numCandidates is required for approximate vector search")
        if not 1 <= candidates <= MOST_CANDIDATES:
            raise SearchError(f'"numCandidates" must be within bounds [1..{MOST_CANDIDATES}]')
        if limit > candidates:
            raise SearchError("limit should be less than or equal to numCandidates")
    vector = read_vector(stage["queryVector"])
    if vector is None:
        raise standin_error("a query vector that is not float32 finds nothing, without a word")
    bad = np.flatnonzero(~np.isfinite(vector))
    if len(bad):
        raise SearchError(f"'queryVector' contains a non-finite value (Infinity or NaN) at position [{bad[0]}].")
    if not vector.any():
        raise SearchError("Cosine similarity cannot be calculated against a zero vector.")
    return SearchCall(
        stage["index"], stage["path"], vector, int(limit), exact, int(candidates or 0), stage.get("filter", {})
    )
