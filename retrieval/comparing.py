"""Whether a claim with all that belongs to it is the same in two stores: records by value, bytes by hash."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from retrieval.documents import Claim, Job, Page, PageVectors, Sort, waiting_again
from retrieval.errors import NotFound
from retrieval.filters import EVERYTHING
from retrieval.ports import Store

_CLAIMS_A_STEP = 100
_PAGES_A_STEP = 16


@dataclass(frozen=True, slots=True)
class Difference:
    """what: "claim", "assets", "bytes", "pages", "vectors", "text", "picture", "jobs", "audit", "key" or "claims".
    where: its id."""

    what: str
    where: str
    detail: str


async def compare(source: Store, target: Store, tenant: str, claim_id: str, counts: dict[str, int]) -> list[Difference]:
    """What differs in one claim of `source`; counts: what the target has of it is added."""
    try:
        here, there = await source.claims.get(tenant, claim_id), await target.claims.get(tenant, claim_id)
    except NotFound:
        return [Difference("claim", claim_id, "It is in one of the two only.")]
    found = [] if here == there else [Difference("claim", claim_id, "Its facts differ.")]
    counts["claims"] += 1
    assets = await target.assets.list(tenant, claim_id)
    if await source.assets.list(tenant, claim_id) != assets:
        found.append(Difference("assets", claim_id, "The records of its files differ."))
    for asset in assets:
        counts["assets"] += 1
        digest = sha256()
        async for chunk in target.assets.open(tenant, asset.asset_id):
            digest.update(chunk)
        if digest.hexdigest() != asset.asset_id:
            found.append(Difference("bytes", asset.asset_id, "The stored bytes are not those of the file."))
    found += await _compare_pages(source, target, tenant, claim_id, counts)
    jobs = await jobs_of(target, tenant, claim_id)
    counts["jobs"] += len(jobs)
    if [waiting_again(job) for job in await jobs_of(source, tenant, claim_id)] != jobs:
        found.append(Difference("jobs", claim_id, "Its jobs differ."))
    return found


async def _compare_pages(
    source: Store, target: Store, tenant: str, claim_id: str, counts: dict[str, int]
) -> list[Difference]:
    pages = [page async for page in all_pages(target, tenant, claim_id)]
    counts["pages"] += len(pages)
    found: list[Difference] = []
    if [page async for page in all_pages(source, tenant, claim_id)] != pages:
        found.append(Difference("pages", claim_id, "The records of its pages differ."))
    for start in range(0, len(pages), _PAGES_A_STEP):
        ids = [page.page_id for page in pages[start : start + _PAGES_A_STEP]]
        here, there = await source.pages.vectors(tenant, ids), await target.pages.vectors(tenant, ids)
        texts = (await source.pages.texts(tenant, ids), await target.pages.texts(tenant, ids))
        for page_id in ids:
            if page_id not in here:
                continue  # told above
            if target.pages.keeps_text and texts[0].get(page_id) != texts[1].get(page_id):
                found.append(Difference("text", page_id, "Its own text differs."))
            if page_id not in there or digest_of(here[page_id]) != digest_of(there[page_id]):
                found.append(Difference("vectors", page_id, "Its vectors differ."))
            if await source.pages.picture(tenant, page_id) != await target.pages.picture(tenant, page_id):
                found.append(Difference("picture", page_id, "Its picture differs."))
    return found


def digest_of(vectors: PageVectors) -> str:
    """sha256 of every number of a page's vectors and of who made them."""
    digest = sha256(vectors.encoder.encode())
    for part in (vectors.summary, vectors.tokens, vectors.scales, vectors.cells):
        digest.update(b"-" if part is None else f"{part.dtype.str}{part.shape}".encode())
        digest.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


async def claims_of(store: Store, tenant: str) -> AsyncIterator[Claim]:
    """All of a tenant, by claim_id."""
    cursor = None
    while True:
        part = await store.claims.list(
            tenant, EVERYTHING, sort=Sort("claim_id", descending=False), cursor=cursor, limit=_CLAIMS_A_STEP
        )
        for claim in part.items:
            yield claim
        if (cursor := part.next_cursor) is None:
            return


async def all_pages(store: Store, tenant: str, claim_id: str, asset_id: str | None = None) -> AsyncIterator[Page]:
    """Of a claim or of one of its files, in the order of the list."""
    cursor = None
    while True:
        part = await store.pages.list(tenant, claim_id=claim_id, asset_id=asset_id, cursor=cursor)
        for page in part.items:
            yield page
        if (cursor := part.next_cursor) is None:
            return


async def jobs_of(store: Store, tenant: str, claim_id: str) -> list[Job]:
    """Of a claim, the oldest first."""
    found: list[Job] = []
    cursor = None
    while True:
        part = await store.jobs.list(tenant, claim_id=claim_id, cursor=cursor)
        found += part.items
        if (cursor := part.next_cursor) is None:
            return sorted(found, key=lambda job: (job.created_at, job.job_id))
