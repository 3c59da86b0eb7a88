"""Searches over pages: by vector through `$vectorSearch`, by filter from the primary store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.documents import PageVectors, ScoredPage
from retrieval.errors import EncoderMismatch, IndexNotReady
from retrieval.filters import Condition, Filter
from retrieval.stores.mongo.filter_mql import attribute_ranges, claim_mql, page_mql, search_mql
from retrieval.stores.mongo.link import Document, Link
from retrieval.stores.mongo.records import float32_of, record_id, summary_path
from retrieval.stores.mongo.search_stage import MAX_RESULTS, cosine_of, search_stage

if TYPE_CHECKING:
    from retrieval.stores.mongo.indexes import Indexes

# Below this many pages an exact search is quick, and the approximate one may miss some behind a narrow filter.
EXACT_BELOW = 10_000
# Claim ids that a range over an attribute may bring into the filter of a search; beyond, pages are scanned.
MAX_RANGE_CLAIMS = 10_000
_SCAN_BATCH = 1_000
_CHECK_BATCH = 1_000
_CHECK_AT_ONCE = 4
_NEWEST_CHECKED = 10_000


async def nearest(
    link: Link, indexes: Indexes, tenant: str, vector: PageVectors, filter: Filter, *, limit: int, exact: bool
) -> list[ScoredPage]:
    """As PageIndex.nearest; limit is cut to MAX_RESULTS."""
    dims = len(vector.summary)
    await require_same_dims(link, vector.encoder, dims)
    await indexes.require_ready(dims)
    if limit < 1:
        return []
    passes: Document = {"$and": [{"tenant_id": tenant, "encoder": vector.encoder}, page_mql(filter)]}
    ranges = await _claims_in_ranges(link, tenant, filter)
    if ranges is None:
        return await _scan(link, passes, vector.summary, limit)
    few = exact or await link.pages.count_documents(passes, limit=EXACT_BELOW + 1) <= EXACT_BELOW
    stage = search_stage(
        tenant,
        encoder=vector.encoder,
        vector=vector.summary,
        where=search_mql(filter, ranges),
        limit=min(limit, MAX_RESULTS),
        exact=few,
    )
    # The index lags behind; the documents that come back do not, so what no longer passes is dropped here.
    fields: Document = {"page_id": 1, "score": {"$meta": "vectorSearchScore"}}
    cursor = await link.pages.aggregate([stage, {"$match": passes}, {"$project": fields}])
    found = [ScoredPage(hit["page_id"], cosine_of(hit["score"])) for hit in await cursor.to_list()]
    if not found:
        await indexes.recheck(dims)
    return _best(found, limit)


async def matching(link: Link, tenant: str, filter: Filter, *, encoder: str, limit: int) -> list[tuple[str, int]]:
    passes = {"$and": [{"tenant_id": tenant, "encoder": encoder}, page_mql(filter)]}
    found = link.pages.find(passes, {"_id": 0, "page_id": 1, "revision": 1}).sort("page_id", 1).limit(limit)
    return [(page["page_id"], page["revision"]) for page in await found.to_list()] if limit > 0 else []


async def searchable(link: Link, indexes: Indexes, tenant: str, page_ids: Sequence[str]) -> bool:
    """Looks each page up in the vector index by the word that names its present vectors."""
    wanted = list(dict.fromkeys(page_ids))
    for start in range(0, len(wanted), _CHECK_BATCH):
        batch = wanted[start : start + _CHECK_BATCH]
        chosen = {"_id": {"$in": [record_id(tenant, page_id) for page_id in batch]}}
        pages = await link.pages.find(chosen, {"encoder": 1, "dims": 1, "indexed_as": 1}).to_list()
        if len(pages) < len(batch):
            return False
        kinds = {(page["encoder"], page["dims"]) for page in pages}
        for encoder, dims in kinds:
            try:
                await indexes.require_ready(dims)
            except IndexNotReady:
                return False
            group = [page for page in pages if (page["encoder"], page["dims"]) == (encoder, dims)]
            if await _indexed_among(link, tenant, group) < len(group):
                return False
    return True


async def count_indexed(link: Link, dims: int) -> int:
    """Pages of vectors of that length that a search finds, over all tenants. Up to 10,000 pages of a tenant and
    encoder are all looked up; beyond, its newest 10,000 are, and older ones count as indexed."""
    grouped = await link.pages.aggregate(
        [
            {"$match": {"dims": dims}},
            {"$group": {"_id": {"tenant": "$tenant_id", "encoder": "$encoder"}, "pages": {"$sum": 1}}},
        ]
    )
    groups = await grouped.to_list()
    gate = asyncio.Semaphore(_CHECK_AT_ONCE)

    async def count(group: Document) -> int:
        tenant, encoder = group["_id"]["tenant"], group["_id"]["encoder"]
        of_group: Document = {"tenant_id": tenant, "encoder": encoder, "dims": dims}
        fields = {"encoder": 1, "dims": 1, "indexed_as": 1}
        async with gate:
            missing, batch = 0, list[Document]()
            newest = link.pages.find(of_group, fields).sort("created_at", -1).limit(_NEWEST_CHECKED)
            async for page in newest:
                batch.append(page)
                if len(batch) == _CHECK_BATCH:
                    missing += len(batch) - await _indexed_among(link, tenant, batch)
                    batch = []
            missing += len(batch) - await _indexed_among(link, tenant, batch)
            return group["pages"] - missing

    return sum(await asyncio.gather(*(count(group) for group in groups)))


async def require_same_dims(link: Link, encoder: str, dims: int) -> None:
    """Raises EncoderMismatch when stored vectors of that encoder have another length."""
    known = await link.pages.find_one({"encoder": encoder}, {"dims": 1})
    if known is not None and known["dims"] != dims:
        raise EncoderMismatch(f"Stored vectors of {encoder[:80]} have length {known['dims']}, not {dims}.")


async def _indexed_among(link: Link, tenant: str, pages: Sequence[Document]) -> int:
    """How many of the pages, all of one encoder and length, the vector index holds in their present form."""
    if not pages:
        return 0
    anywhere = np.zeros(pages[0]["dims"], np.float32)  # all pages are asked for by name, so any vector will do
    anywhere[0] = 1.0
    stage = search_stage(
        tenant,
        encoder=pages[0]["encoder"],
        vector=anywhere,
        where={"indexed_as": {"$in": [page["indexed_as"] for page in pages]}},
        limit=len(pages),
        exact=True,
    )
    cursor = await link.pages.aggregate([stage, {"$count": "found"}])
    counted = await cursor.to_list()
    return counted[0]["found"] if counted else 0


async def _claims_in_ranges(link: Link, tenant: str, filter: Filter) -> dict[Condition, list[str]] | None:
    """The claims that meet each range over an attribute; None when they are too many for a search's filter."""
    found: dict[Condition, list[str]] = {}
    for condition in set(attribute_ranges(filter)):
        query: Document = {"$and": [{"tenant_id": tenant}, claim_mql(condition)]}
        claims = link.claims.find(query, {"claim_id": 1}).limit(MAX_RANGE_CLAIMS + 1)
        found[condition] = [claim["claim_id"] async for claim in claims]
        if sum(map(len, found.values())) > MAX_RANGE_CLAIMS:
            return None
    return found


async def _scan(link: Link, passes: Document, query: NDArray[np.float32], limit: int) -> list[ScoredPage]:
    """Exact and slow: reads the vector of every page that passes. For filters that `$vectorSearch` cannot hold."""
    path = summary_path(len(query))
    pages = link.pages.find({"$and": [passes, {"dims": len(query)}]}, {"page_id": 1, path: 1})
    best: list[ScoredPage] = []
    batch: list[Document] = []
    async for page in pages.batch_size(_SCAN_BATCH):
        batch.append(page)
        if len(batch) == _SCAN_BATCH:
            best = _best([*best, *_scored(batch, path, query)], limit)
            batch = []
    return _best([*best, *_scored(batch, path, query)], limit)


def _scored(batch: list[dict[str, Any]], path: str, query: NDArray[np.float32]) -> list[ScoredPage]:
    if not batch:
        return []
    matrix = np.stack([float32_of(page[path]) for page in batch]).astype(np.float64)
    cosines = matrix @ query.astype(np.float64) / (np.linalg.norm(matrix, axis=1) * np.linalg.norm(query))
    return [ScoredPage(page["page_id"], float(cosine)) for page, cosine in zip(batch, cosines, strict=True)]


def _best(found: list[ScoredPage], limit: int) -> list[ScoredPage]:
    return sorted(found, key=lambda page: (-page.score, page.page_id))[:limit]
