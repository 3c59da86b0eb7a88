"""Collections and indexes: what the code wants, whether MongoDB has it, and how to get there.

`$vectorSearch` over an index that is missing, of another name or of another definition answers with nothing and no
error. So a search is preceded by a look at the index (remembered for a while when all was well), and an empty answer
by a second look.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pymongo import IndexModel
from pymongo.errors import CollectionInvalid, OperationFailure
from pymongo.operations import SearchIndexModel

from retrieval.errors import EncoderMismatch, IndexNotReady, InvalidInput
from retrieval.ports import IndexStatus
from retrieval.stores.mongo.filter_mql import FILTER_PATHS
from retrieval.stores.mongo.link import Document, Link
from retrieval.stores.mongo.page_search import count_indexed
from retrieval.stores.mongo.records import summary_path
from retrieval.stores.mongo.search_stage import index_name

IndexState = Literal["ready", "building", "missing", "outdated", "failed"]

COLLECTIONS: Mapping[str, Sequence[IndexModel]] = {
    "claims": [
        IndexModel([("tenant_id", 1), ("created_at", -1), ("claim_id", 1)]),
        IndexModel([("tenant_id", 1), ("claim_id", 1)]),
        IndexModel([("tenant_id", 1), ("facts.line", 1), ("facts.loss_date", 1)]),
    ],
    "assets": [
        IndexModel([("tenant_id", 1), ("claim_id", 1), ("order", 1)]),
        IndexModel([("tenant_id", 1), ("asset_id", 1)]),
        IndexModel([("tenant_id", 1), ("asset_id", 1), ("size_bytes", 1)]),
    ],
    "blobs": [],
    "loose_files": [IndexModel([("since", 1)])],
    "pages": [
        IndexModel([("tenant_id", 1), ("claim_id", 1), ("asset_order", 1), ("number", 1)]),
        IndexModel([("tenant_id", 1), ("asset_id", 1)]),
        IndexModel([("tenant_id", 1), ("encoder", 1), ("page_id", 1)]),
        IndexModel([("encoder", 1), ("page_id", 1)]),
        IndexModel([("dims", 1)]),
    ],
    "vectors": [],
    "texts": [IndexModel([("tenant_id", 1), ("words", 1)])],
    "jobs": [IndexModel([("tenant_id", 1), ("created_at", -1), ("job_id", -1)])],
    "entries": [
        IndexModel([("state", 1), ("place", 1)]),
        IndexModel([("tenant_id", 1), ("job_id", 1)]),
        IndexModel([("tenant_id", 1), ("claim_id", 1)]),
    ],
    "job_keys": [IndexModel([("tenant_id", 1), ("claim_id", 1)])],
    "audit": [
        IndexModel([("tenant_id", 1), ("at", -1), ("_id", -1)]),
        IndexModel([("tenant_id", 1), ("number", -1)]),
    ],
    "audit_heads": [],
    "audit_waiting": [],
    "keys": [],
    "meta": [],
    "asset_files.files": [],
    "asset_files.chunks": [IndexModel([("files_id", 1), ("n", 1)], unique=True)],
    "pictures.files": [],
    "pictures.chunks": [IndexModel([("files_id", 1), ("n", 1)], unique=True)],
}

_READY_FOR_S = 30.0
_FIRST_POLL_S = 0.02
_LONGEST_POLL_S = 2.0
_WANTED_ID = "vector_index"
_NAMESPACE_EXISTS = 48

_DETAILS: Mapping[IndexState, str] = {
    "ready": "",
    "building": "The vector index is being built; search works when it is ready.",
    "missing": "There is no vector index: run `claimsight index ensure`.",
    "outdated": "The vector index is of another definition than this version wants: run `claimsight index ensure`.",
    "failed": "Building the vector index failed: run `claimsight index drop`, then `claimsight index ensure`.",
}


def definition_of(dims: int) -> Document:
    """The vector index over the pages of all tenants whose summary has `dims` numbers."""
    vector: Document = {
        "type": "vector",
        "path": summary_path(dims),
        "numDimensions": dims,
        "similarity": "cosine",
    }
    return {"fields": [vector, *({"type": "filter", "path": path} for path in FILTER_PATHS)]}


class Indexes:
    def __init__(self, link: Link) -> None:
        self.link = link
        self._ready_until: dict[int, float] = {}
        self._known_dims: tuple[int, ...] = ()

    async def ensure(self, dims: int, wait_s: float) -> IndexStatus:
        """Makes collections, indexes and the vector index; waits up to `wait_s` seconds for the last."""
        if dims < 1:
            raise InvalidInput("dims is a positive number.", field="dims")
        await self._make_collections()
        await self._want(dims)
        await self._request(dims)
        deadline, pause_s = time.monotonic() + wait_s, _FIRST_POLL_S
        while (state := await self._look(dims)) in ("building", "missing"):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 2, _LONGEST_POLL_S)
        return await self._status(dims, state)

    async def status(self) -> IndexStatus:
        """Of the index that was ensured last, by any process."""
        wanted = await self._wanted()
        if not wanted:
            pages = await self.link.pages.count_documents({})
            return IndexStatus(name="pages", state="missing", pages=pages, indexed=0, detail=_DETAILS["missing"])
        return await self._status(wanted[-1], await self._look(wanted[-1]))

    async def drop(self) -> None:
        """Drops every vector index of ours, and forgets that one was wanted."""
        for listed in await self._list():
            if str(listed["name"]).startswith(index_name(0)[:-1]):
                await self.link.pages.drop_search_index(listed["name"])
        await self.link.meta.delete_one({"_id": _WANTED_ID})
        self._known_dims = ()
        self._ready_until.clear()

    async def require_ready(self, dims: int) -> None:
        """Raises IndexNotReady unless a search over vectors of that length can be trusted."""
        if time.monotonic() < self._ready_until.get(dims, 0.0):
            return
        await self.recheck(dims)

    async def recheck(self, dims: int) -> None:
        """As `require_ready`, without trusting an earlier look."""
        state = await self._look(dims)
        if state != "ready":
            raise IndexNotReady(_DETAILS[state], code=f"index_{state}")

    async def require_dims(self, dims: int) -> None:
        """Raises EncoderMismatch when indexes were ensured, but none for vectors of that length."""
        if dims not in self._known_dims:
            self._known_dims = await self._wanted()
        if self._known_dims and dims not in self._known_dims:
            have = ", ".join(map(str, self._known_dims))
            raise EncoderMismatch(f"The index is for vectors of length {have}, not {dims}.")

    async def _make_collections(self) -> None:
        present = set(await self.link.db.list_collection_names())
        await asyncio.gather(
            *(self._make_collection(name, models, name in present) for name, models in COLLECTIONS.items())
        )

    async def _make_collection(self, name: str, models: Sequence[IndexModel], present: bool) -> None:
        if not present:
            try:
                await self.link.db.create_collection(name)
            except CollectionInvalid:
                pass  # another process made it a moment ago
            except OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:
                    raise
        if models:
            await self.link.db[name].create_indexes(list(models))

    async def _want(self, dims: int) -> None:
        """Keeps the lengths in use, the latest last."""
        others = [known for known in await self._wanted() if known != dims]
        await self.link.meta.update_one({"_id": _WANTED_ID}, {"$set": {"dims": [*others, dims]}}, upsert=True)
        self._known_dims = (*others, dims)

    async def _wanted(self) -> tuple[int, ...]:
        kept = await self.link.meta.find_one({"_id": _WANTED_ID})
        return tuple(cast("list[int]", kept["dims"])) if kept else ()

    async def _request(self, dims: int) -> None:
        listed = await self._find(dims)
        if listed is None:
            model = SearchIndexModel(definition=definition_of(dims), name=index_name(dims), type="vectorSearch")
            await self.link.pages.create_search_index(model)
        elif not _defined_as_wanted(listed, dims):
            await self.link.pages.update_search_index(index_name(dims), definition_of(dims))

    async def _look(self, dims: int) -> IndexState:
        self._ready_until.pop(dims, None)
        state = _state_of(await self._find(dims), dims)
        if state == "ready":
            self._ready_until[dims] = time.monotonic() + _READY_FOR_S
        return state

    async def _find(self, dims: int) -> Mapping[str, Any] | None:
        return next((listed for listed in await self._list(index_name(dims))), None)

    async def _list(self, name: str | None = None) -> list[Mapping[str, Any]]:
        cursor = await self.link.pages.list_search_indexes(name)
        return list(await cursor.to_list())

    async def _status(self, dims: int, state: IndexState) -> IndexStatus:
        pages = await self.link.pages.count_documents({"dims": dims})
        indexed = await count_indexed(self.link, dims) if state == "ready" else 0
        detail = _DETAILS[state]
        if state == "ready" and indexed < pages:
            detail = f"{pages - indexed} pages are not in the vector index yet."
        return IndexStatus(name=index_name(dims), state=state, pages=pages, indexed=indexed, detail=detail)


def _state_of(listed: Mapping[str, Any] | None, dims: int) -> IndexState:
    if listed is None or listed["status"] in ("DELETING", "DOES_NOT_EXIST"):
        return "missing"
    if listed["status"] == "FAILED":
        return "failed"
    if not _defined_as_wanted(listed, dims):
        return "outdated"
    return "ready" if listed["status"] in ("READY", "STALE") and listed["queryable"] else "building"


def _defined_as_wanted(listed: Mapping[str, Any], dims: int) -> bool:
    """MongoDB may list defaults that we did not write, and somebody may have added filters: both are fine."""
    given: Any = listed.get("latestDefinition", {}).get("fields", [])
    fields = {(field.get("type"), field.get("path")): field for field in given}
    for wanted in definition_of(dims)["fields"]:
        found = fields.get((wanted["type"], wanted["path"]))
        if found is None or any(found.get(key) != value for key, value in wanted.items()):
            return False
    return True
