"""The own text of pages, apart from `pages` so that those documents stay small, and the pages that hold exact
strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pymongo import ReplaceOne

from retrieval.exact import MOST_READ, holds, lookup_words, words_of
from retrieval.filters import Filter
from retrieval.stores.mongo.filter_mql import page_mql
from retrieval.stores.mongo.link import Document, Link, Session
from retrieval.stores.mongo.records import record_id

_PAGES_A_STEP = 500


async def write_texts(link: Link, tenant: str, texts: Mapping[str, str], session: Session) -> None:
    """texts: by page_id, in the place of what was kept; nothing is kept of an empty one."""
    empty = [record_id(tenant, page_id) for page_id, text in texts.items() if not text]
    if empty:
        await link.texts.delete_many({"_id": {"$in": empty}}, session=session)
    writes = [
        ReplaceOne({"_id": record_id(tenant, page_id)}, _document(tenant, page_id, text), upsert=True)
        for page_id, text in texts.items()
        if text
    ]
    if writes:
        await link.texts.bulk_write(writes, session=session)


async def pages_holding(
    link: Link, tenant: str, strings: Sequence[str], filter: Filter, *, encoder: str, limit: int
) -> frozenset[str]:
    """As PageIndex.containing. Pages are looked up by their words; only texts of pages that pass are read."""
    words = lookup_words(strings)
    if not words:
        return frozenset()
    found: set[str] = set()
    left = MOST_READ
    having = link.texts.find({"tenant_id": tenant, "words": {"$all": words}}, {"_id": 1})
    while left and len(found) < limit and (step := await having.to_list(_PAGES_A_STEP)):
        ids = {"_id": {"$in": [page["_id"] for page in step]}}
        passes = {"$and": [ids, {"tenant_id": tenant, "encoder": encoder}, page_mql(filter)]}
        passing = [page["_id"] async for page in link.pages.find(passes, {"_id": 1}).limit(left)]
        left -= len(passing)
        async for page in link.texts.find({"_id": {"$in": passing}}, {"page_id": 1, "text": 1}):
            if all(holds(page["text"], string) for string in strings):
                found.add(page["page_id"])
    return frozenset(sorted(found)[:limit])


async def texts_of(link: Link, tenant: str, page_ids: Sequence[str]) -> dict[str, str]:
    ids = [record_id(tenant, page_id) for page_id in page_ids]
    found = link.texts.find({"_id": {"$in": ids}}, {"page_id": 1, "text": 1})
    return {document["page_id"]: document["text"] async for document in found}


def _document(tenant: str, page_id: str, text: str) -> Document:
    return {
        "_id": record_id(tenant, page_id),
        "tenant_id": tenant,
        "page_id": page_id,
        "text": text,
        "words": words_of(text),
    }
