"""The stand-in for vector search is as strict as MongoDB, and stricter where MongoDB is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bson.binary import Binary, BinaryVectorDtype
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.operations import SearchIndexModel
from pymongo.read_concern import ReadConcern

from tests.fakes.atlas_standin import AtlasStandin
from tests.fakes.atlas_standin.rules import SearchError, compile_filter, read_definition

PATHS = ("tenant_id", "n", "s", "tags", "flag", "d.x")
FIELDS: list[dict[str, Any]] = [
    {"type": "vector", "path": "v", "numDimensions": 2, "similarity": "cosine"},
    *({"type": "filter", "path": path} for path in PATHS),
]
DOCUMENTS: list[dict[str, Any]] = [
    {"_id": 1, "tenant_id": "a", "v": [1.0, 0.0], "n": 1, "s": "one", "tags": ["x", "y"], "flag": True},
    {"_id": 2, "tenant_id": "a", "v": [0.0, 1.0], "n": 2.5, "s": "1", "tags": [], "d": [{"x": 1}, {"x": 5}]},
    {"_id": 3, "tenant_id": "a", "v": [-1.0, 0.0], "n": None, "flag": 1},
    {"_id": 4, "tenant_id": "b", "v": [1.0, 0.1]},
]


@pytest.fixture
def pages(
    mongo_client: MongoClient[dict[str, Any]], mongo_database: str, atlas: AtlasStandin
) -> Collection[dict[str, Any]]:
    """Four documents and an index `i` that is ready at once."""
    collection = mongo_client[mongo_database]["pages"]
    collection.insert_many(DOCUMENTS)
    collection.create_search_index(SearchIndexModel({"fields": FIELDS}, name="i", type="vectorSearch"))
    while not next(iter(collection.list_search_indexes("i")))["queryable"]:
        pass
    return collection


def stage(**changes: Any) -> dict[str, Any]:
    given = {
        "index": "i",
        "path": "v",
        "queryVector": [1.0, 0.0],
        "limit": 9,
        "exact": True,
        "filter": {"tenant_id": "a"},
        **changes,
    }
    return {"$vectorSearch": {name: value for name, value in given.items() if value is not None}}


def ids(pages: Collection[dict[str, Any]], **changes: Any) -> list[int]:
    return [found["_id"] for found in pages.aggregate([stage(**changes)])]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"filters": {"tenant_id": "a"}}, "STAND-IN: MongoDB ignores the unknown field 'filters'"),
        ({"filter": None}, "STAND-IN: a search that is not bound by tenant_id"),
        ({"filter": {"n": 1}}, "STAND-IN: a search that is not bound by tenant_id"),
        ({"filter": {"$or": [{"tenant_id": "a"}]}}, "STAND-IN: a search that is not bound by tenant_id"),
        ({"queryVector": Binary.from_vector([1, 0], BinaryVectorDtype.INT8)}, "STAND-IN: a query vector that is not"),
        ({"path": None}, '"path" is required'),
        ({"index": ""}, '"index" cannot be empty'),
        ({"limit": 0}, "Expected limit to be positive"),
        ({"numCandidates": 50}, '"numCandidates" must be omitted when "exact" is set to true'),
        ({"exact": None}, "numCandidates is required for approximate vector search"),
        ({"exact": False, "numCandidates": 10_001}, '"numCandidates" must be within bounds [1..10000]'),
        ({"exact": False, "numCandidates": 5}, "limit should be less than or equal to numCandidates"),
        ({"queryVector": [1.0]}, "vector field is indexed with 2 dimensions but queried with 1"),
        ({"queryVector": [0.0, 0.0]}, "Cosine similarity cannot be calculated against a zero vector"),
        ({"queryVector": [float("nan"), 0.0]}, "contains a non-finite value"),
        ({"path": "n"}, "n is not indexed as vector"),
        ({"filter": {"tenant_id": "a", "other": 1}}, "Path 'other' needs to be indexed as filter"),
        ({"filter": {"tenant_id": "a", "_id": 1}}, "Path '_id' needs to be indexed as filter"),
        ({"filter": {"tenant_id": "a", "n": {"$in": []}}}, "cannot be empty"),
        ({"filter": {"tenant_id": "a", "n": {"$in": [1, "1"]}}}, "must have elements of the same type"),
        ({"filter": {"tenant_id": "a", "n": {"$in": [None]}}}, "value type cannot be null"),
        ({"filter": {"tenant_id": "a", "s": {"$regex": "^o"}}}, 'unrecognized field "$regex"'),
        ({"filter": {"tenant_id": "a", "$and": []}}, "cannot be empty"),
        ({"filter": {"tenant_id": "a", "$where": "1"}}, "unknown top level operator: $where"),
    ],
)
def test_faulty_search_is_an_error(pages: Collection[dict[str, Any]], changes: dict[str, Any], text: str) -> None:
    with pytest.raises(OperationFailure) as refused:
        ids(pages, **changes)
    assert text in str(refused.value)


def test_wrong_name_of_an_index_is_no_error_but_nothing(pages: Collection[dict[str, Any]]) -> None:
    assert ids(pages, index="j") == []


def test_hits_come_best_first_with_half_of_one_plus_the_cosine(pages: Collection[dict[str, Any]]) -> None:
    score = {"$project": {"score": {"$meta": "vectorSearchScore"}}}
    assert list(pages.aggregate([stage(), score])) == [
        {"_id": 1, "score": pytest.approx(1.0)},
        {"_id": 2, "score": pytest.approx(0.5)},
        {"_id": 3, "score": pytest.approx(0.0)},
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"n": 1.0}, [1]),
        ({"s": 1}, []),
        ({"n": "1"}, []),
        ({"flag": 1}, [3]),
        ({"flag": True}, [1]),
        ({"n": None}, [3]),
        ({"s": None}, []),
        ({"s": {"$exists": False}}, [3]),
        ({"n": {"$exists": True}}, [1, 2, 3]),
        ({"tags": {"$exists": True}}, [1, 2]),
        ({"s": {"$ne": "one"}}, [2, 3]),
        ({"s": {"$nin": ["one"]}}, [2, 3]),
        ({"n": {"$gt": 1}}, [2]),
        ({"s": {"$gt": ""}}, [1, 2]),
        ({"tags": "y"}, [1]),
        ({"tags": {"$ne": "y"}}, [2, 3]),
        ({"d.x": {"$gt": 4, "$lt": 2}}, [2]),
        ({"$nor": [{"s": "one"}, {"n": 2.5}]}, [3]),
        ({"$or": [{"s": "one"}, {"flag": 1}]}, [1, 3]),
    ],
)
def test_filters_follow_the_rules_of_types_arrays_and_missing_values(
    pages: Collection[dict[str, Any]], condition: dict[str, Any], expected: list[int]
) -> None:
    assert sorted(ids(pages, filter={"tenant_id": "a", **condition})) == expected


def test_text_beyond_what_an_index_keeps_never_matches() -> None:
    document = {"s": "x" * 9000}
    assert not compile_filter({"s": "x" * 9000}, frozenset({"s"})).passes(document)
    assert compile_filter({"s": "x" * 8191}, frozenset({"s"})).passes(document)


@pytest.mark.parametrize(
    ("pipeline", "code"),
    [
        ([{"$match": {}}, stage()], 40602),
        ([{"$facet": {"a": [stage()]}}], 40600),
        ([{"$lookup": {"from": "pages", "pipeline": [stage()], "as": "x"}}], 51047),
    ],
)
def test_stage_has_its_place(pages: Collection[dict[str, Any]], pipeline: list[dict[str, Any]], code: int) -> None:
    with pytest.raises(OperationFailure) as refused:
        pages.aggregate(pipeline)
    assert refused.value.code == code


def test_no_search_in_a_transaction_or_with_majority(
    pages: Collection[dict[str, Any]], mongo_client: MongoClient[dict[str, Any]]
) -> None:
    with mongo_client.start_session() as session:
        session.start_transaction()
        with pytest.raises(OperationFailure) as refused:
            pages.aggregate([stage()], session=session)
        assert refused.value.code == 263
        session.abort_transaction()
    with pytest.raises(OperationFailure) as refused:
        pages.with_options(read_concern=ReadConcern("majority")).aggregate([stage()])
    assert refused.value.code == 72


def test_lag_hides_new_documents_but_never_shows_deleted_ones(
    pages: Collection[dict[str, Any]], mongo_database: str, atlas: AtlasStandin
) -> None:
    atlas.hold(mongo_database)
    pages.insert_one({"_id": 5, "tenant_id": "a", "v": [1.0, 0.0]})
    pages.delete_one({"_id": 2})
    assert sorted(ids(pages)) == [1, 3]
    atlas.flush(mongo_database)
    assert sorted(ids(pages)) == [1, 3, 5]
    pages.insert_one({"_id": 6, "tenant_id": "a", "v": [1.0, 0.0]})
    assert 6 not in ids(pages)
    atlas.resume(mongo_database)
    assert 6 in ids(pages)


def test_vectors_that_do_not_fit_are_left_out_and_counted(
    pages: Collection[dict[str, Any]], mongo_database: str, atlas: AtlasStandin
) -> None:
    bad: list[Any] = [[1.0], [0.0, 0.0], "text", Binary.from_vector([1, 0], BinaryVectorDtype.INT8)]
    pages.insert_many([{"tenant_id": "a", "v": value} for value in bad])
    good = Binary.from_vector(np.array([0.5, 0.5], np.float32), BinaryVectorDtype.FLOAT32)
    pages.insert_one({"_id": 9, "tenant_id": "a", "v": good})
    assert sorted(ids(pages)) == [1, 2, 3, 9]
    assert atlas.skipped(f"{mongo_database}.pages", "i") == {"dimensions": 1, "zero": 1, "not a float vector": 2}


def create(**changes: Any) -> Callable[[Collection[dict[str, Any]]], Any]:
    given: dict[str, Any] = {"definition": {"fields": FIELDS}, "name": "i", "type": "vectorSearch", **changes}
    return lambda pages: pages.create_search_index(SearchIndexModel(**given))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (create(definition={"fields": FIELDS[:-1]}), "already exists with a different definition"),
        (create(name="j", type="search"), 'mappings" is required'),
        (lambda pages: pages.update_search_index("j", {"fields": FIELDS}), "No index with name j exists"),
        (lambda pages: pages.drop_search_index("j"), "No index with name j exists"),
        (lambda pages: create()(pages.database["absent"]), "does not exist"),
    ],
)
def test_faulty_index_command_is_an_error(
    pages: Collection[dict[str, Any]], command: Callable[[Any], Any], text: str
) -> None:
    with pytest.raises(OperationFailure) as refused:
        command(pages)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        FIELDS[1:],
        [FIELDS[0], FIELDS[0]],
        [{**FIELDS[0], "compression": "none"}],
        [{**FIELDS[0], "numDimensions": 8193}],
        [{**FIELDS[0], "similarity": "cosin"}],
        [{**FIELDS[0], "type": "vectors"}],
    ],
)
def test_faulty_definition_is_an_error(fields: list[dict[str, Any]]) -> None:
    with pytest.raises(SearchError):
        read_definition({"fields": fields}, "userCommand.indexes[0]")


def test_index_goes_with_its_collection(pages: Collection[dict[str, Any]]) -> None:
    pages.drop()
    assert list(pages.list_search_indexes()) == []
