"""Which pages a search compares: all that pass the filter while they are few, else the nearest by summary."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from models.encoder import Embedding, Encoder, encoder_id
from retrieval.documents import PageVectors
from retrieval.filters import Filter
from retrieval.ports import PageIndex
from retrieval.search.cache import ANY_REVISION, VectorCache
from retrieval.search.shelf import Selection


async def find_candidates(
    pages: PageIndex,
    cache: VectorCache,
    encoder: Encoder,
    tenant: str,
    probes: Sequence[Embedding],
    filter: Filter,
    *,
    exact_limit: int,
    nearest_limit: int,
    named: Collection[str] = (),
) -> Selection | None:
    """Pages that pass the filter, in the order of their ids, with their vectors; None when there is none.

    At most `exact_limit` pages: all of them. More: the `nearest_limit` nearest of each probe, checked against the
    store, because a vector index may lag behind it. The filter is applied before either cut. named: ids of pages that
    are candidates however near they are.
    """
    version = encoder_id(encoder)
    wanted = await pages.matching(tenant, filter, encoder=version, limit=exact_limit + 1)
    if len(wanted) > exact_limit:
        near = set(named)
        for probe in probes:
            vector = PageVectors(summary=probe.summary, encoder=version)
            near.update(page.page_id for page in await pages.nearest(tenant, vector, filter, limit=nearest_limit))
        passing = await pages.passing(tenant, sorted(near), filter, encoder=version)
        wanted = [(page_id, ANY_REVISION) for page_id in sorted(passing)]
    return await cache.select(tenant, wanted) if wanted else None
