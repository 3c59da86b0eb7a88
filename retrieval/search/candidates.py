"""Which pages a search compares: all that pass the filter while they are few, else the nearest by summary or sketch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from models.encoder import Embedding, Encoder, encoder_id
from retrieval.documents import PageVectors
from retrieval.filters import EVERYTHING, Filter
from retrieval.ports import PageIndex
from retrieval.search.cache import ANY_REVISION, VectorCache
from retrieval.search.selection import Selection
from retrieval.search.sketches import SketchCache

_WARM_BATCH = 256


async def find_candidates(
    pages: PageIndex,
    cache: VectorCache,
    sketches: SketchCache | None,
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

    At most `exact_limit` pages: all of them. More: `nearest_limit` a probe, the nearest by summary and, of a single
    probe, in equal parts the best by sketch. They are checked against the store, because a vector index may lag behind
    it. The filter is applied before either cut. named: ids of pages that are candidates however near they are.
    """
    version = encoder_id(encoder)
    most = _most_listed(sketches, exact_limit)
    wanted = await pages.matching(tenant, filter, encoder=version, limit=most + 1)
    if len(wanted) > exact_limit:
        found, by_sketch = set(named), list[str]()
        if sketches is not None and len(wanted) <= most and len(probes) == 1:
            complete = filter == EVERYTHING
            by_sketch = await sketches.best(tenant, probes[0], wanted, limit=nearest_limit // 2, complete=complete)
            found.update(by_sketch)
        near = nearest_limit - len(by_sketch)
        for probe in probes:
            vector = PageVectors(summary=probe.summary, encoder=version)
            found.update(page.page_id for page in await pages.nearest(tenant, vector, filter, limit=near))
        if len(wanted) <= most:
            wanted = [page for page in wanted if page[0] in found]
        else:
            passing = await pages.passing(tenant, sorted(found), filter, encoder=version)
            wanted = [(page_id, ANY_REVISION) for page_id in sorted(passing)]
        return await cache.pick(tenant, wanted) if wanted else None
    return await cache.select(tenant, wanted) if wanted else None


async def warm_candidates(
    pages: PageIndex,
    cache: VectorCache,
    sketches: SketchCache | None,
    encoder: Encoder,
    tenant: str,
    *,
    exact_limit: int,
    turn: Callable[[], Awaitable[object]],
) -> bool:
    """Reads what the tenant's first search without a filter would read in `find_candidates`, whatever it asks for.
    False where memory had no room for all of it. turn: awaited before each batch."""
    most = _most_listed(sketches, exact_limit)
    # Where pages are listed from memory, this fills it.
    wanted = await pages.matching(tenant, EVERYTHING, encoder=encoder_id(encoder), limit=most + 1)
    if len(wanted) > most:
        return True
    filled = cache if sketches is None or len(wanted) <= exact_limit else sketches
    for start in range(0, len(wanted), _WARM_BATCH):
        await turn()
        if not await filled.warm(tenant, wanted[start : start + _WARM_BATCH]):
            return False
    return True


def _most_listed(sketches: SketchCache | None, exact_limit: int) -> int:
    """The most pages that a search has a list of: beyond, only the vector index knows what is near."""
    return exact_limit if sketches is None else max(exact_limit, sketches.most_pages)
