"""The one path of a query: the API, the command line, the dashboard and the evaluation all take it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from PIL import Image

from models.encoder import Encoder, Regional, Sketching, encoder_id
from retrieval.documents import Hit, SearchResult
from retrieval.errors import EncoderMismatch, EncoderTrouble, NotFound
from retrieval.exact import MOST_HOLDING, strings_of
from retrieval.filters import AllOf, Condition, Filter
from retrieval.ports import Store
from retrieval.queries import Query
from retrieval.search.answers import fetch_records, losses
from retrieval.search.cache import DEFAULT_CACHE_BYTES, VectorCache
from retrieval.search.candidates import find_candidates, warm_candidates
from retrieval.search.explain import Explanation, draw_explanation, similarity
from retrieval.search.grouping import Ranking, Wanted, group, rank
from retrieval.search.matches import Matches, drawn, like_parts, matched
from retrieval.search.probes import Probes, as_embedding, embed_query, encoder_errors, open_picture
from retrieval.search.rerank import score_candidates
from retrieval.search.sketches import DEFAULT_SKETCH_BYTES, SketchCache
from retrieval.watching import Nobody, Stretch, Watch

EXACT_LIMIT = 40_000
NEAREST_LIMIT = 2_000
_ROUNDS = 8


class SearchEngine:
    """Searches one store with one encoder. Safe to share between requests; holds no connection of its own.

    cache_bytes: memory for vectors, sketch_bytes: for sketches. exact_limit: while at most so many pages pass the
    filter, all of them are compared exactly; above, nearest_limit are, those that are nearest by summary and, from an
    encoder that is Sketching, best by sketch. The list of answers ends with them.
    """

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        sketch_bytes: int = DEFAULT_SKETCH_BYTES,
        exact_limit: int = EXACT_LIMIT,
        nearest_limit: int = NEAREST_LIMIT,
        watch: Watch | None = None,
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._version = encoder_id(encoder)
        self._cache = VectorCache(store.pages, encoder, limit_bytes=cache_bytes)
        self._sketches = (
            SketchCache(store.pages, encoder, self._version, limit_bytes=sketch_bytes)
            if isinstance(encoder, Sketching)
            else None
        )
        self._watch = watch or Nobody()
        self._exact_limit = exact_limit
        self._nearest_limit = nearest_limit

    async def search(self, tenant: str, query: Query) -> SearchResult:
        """Raises NotFound (query.page_id, page_ids, claim_id), InvalidInput bad_query for a page of another claim,
        EncoderTrouble, IndexNotReady, StoreUnavailable. A claim without pages has no like: no hits."""
        clock = _Clock(self._watch)
        with clock.stage("encode"):
            filter = await self._whole_filter(tenant, query)
            probes = await embed_query(self._store.pages, self._encoder, tenant, query)
        with clock.stage("candidates"):
            exact = await self._holding(tenant, query, filter)
            selection = await find_candidates(
                self._store.pages,
                self._cache,
                self._sketches,
                self._encoder,
                tenant,
                probes.embeddings,
                filter,
                exact_limit=self._exact_limit,
                nearest_limit=self._nearest_limit,
                named=exact,
            )
        if selection is None or not probes.embeddings:
            return SearchResult((), 0, None, self._version, clock.stages_ms, asked=probes.page_ids)
        with clock.stage("rerank"):
            scores = await score_candidates(self._encoder, probes.embeddings, selection)
            ranking = await asyncio.to_thread(
                rank,
                selection.page_ids,
                scores,
                selection.claims,
                selection.places(),
                selection.packed.summaries,
                exact,
            )
        with clock.stage("fetch"):
            hits, total = await self._answer(tenant, query, filter, probes, ranking)
        end = query.offset + len(hits)
        return SearchResult(
            hits=tuple(hits),
            total=total,
            next_offset=end if hits and end < total else None,
            encoder=self._version,
            stages_ms=clock.stages_ms,
            asked=probes.page_ids,
            losses=losses(hits),
        )

    async def explain(self, tenant: str, query: Query, page_id: str, *, overlay: bool = True) -> Explanation:
        """Which parts of the page answer the query; its filter and limits play no part.

        A photo that was found by a picture is looked at part by part, where the encoder can. Raises NotFound
        page_not_found, EncoderMismatch for a page of another encoder, EncoderTrouble (explain_unsupported for an
        encoder without tokens).
        """
        pages = self._store.pages
        page = await pages.get(tenant, page_id)
        stored = (await pages.vectors(tenant, [page_id])).get(page_id)
        if stored is None:
            raise NotFound.of("page", page_id)
        if stored.encoder != self._version:
            raise EncoderMismatch(f"This page was indexed with {stored.encoder}; the search uses {self._version}.")
        looked_at = page.kind == "photo" and query.text is None and isinstance(self._encoder, Regional)
        picture = await pages.picture(tenant, page_id) if overlay or looked_at else None
        if looked_at and picture is not None and isinstance(self._encoder, Regional):
            asked = list(query.images)
            if query.page_id is not None:
                asked.append(await self._opened(tenant, query.page_id))
            similar = await like_parts(self._encoder, asked, await asyncio.to_thread(open_picture, picture))
        else:
            probes = await embed_query(pages, self._encoder, tenant, query)
            similar = await similarity(self._encoder, probes.embeddings, as_embedding(stored))
        return await asyncio.to_thread(draw_explanation, page, similar, picture if overlay else None)

    async def matches(self, tenant: str, page_id: str, other_id: str, *, overlay: bool = True) -> Matches:
        """Which parts of two stored pictures look alike; both are looked at anew, whatever encoder made their vectors.

        Raises NotFound page_not_found, EncoderTrouble (explain_unsupported for an encoder that sees no parts).
        """
        encoder = self._encoder
        if not isinstance(encoder, Regional):
            raise EncoderTrouble(
                "This encoder does not look at pictures part by part.", code="explain_unsupported", retryable=False
            )
        first, second = await self._opened(tenant, page_id), await self._opened(tenant, other_id)
        with encoder_errors():
            regions = matched(await encoder.regions(first), await encoder.regions(second))
        image = await asyncio.to_thread(drawn, first, second, regions) if overlay else None
        return Matches(page_id, other_id, regions, image)

    async def warm(self, *, first: str, turn: Callable[[], Awaitable[object]]) -> None:
        """Reads into memory what a tenant's first search would wait for: of the tenant `first`, then of the others,
        while there is room. turn: awaited before each batch, so that what is more urgent comes first. Raises
        StoreUnavailable, EncoderMismatch."""
        others = [tenant for tenant in await self._store.tenants() if tenant != first]
        for tenant in (first, *others):
            room = await warm_candidates(
                self._store.pages,
                self._cache,
                self._sketches,
                self._encoder,
                tenant,
                exact_limit=self._exact_limit,
                turn=turn,
            )
            if not room:
                return

    @property
    def sketched(self) -> int:
        """Pages whose sketches are in memory."""
        return 0 if self._sketches is None else len(self._sketches)

    async def aclose(self) -> None:
        """Stops what runs in the background. The store and the encoder stay open."""
        await self._cache.settle()
        if self._sketches is not None:
            await self._sketches.aclose()

    async def _opened(self, tenant: str, page_id: str) -> Image.Image:
        """The stored picture. Raises NotFound page_not_found."""
        return await asyncio.to_thread(open_picture, await self._store.pages.picture(tenant, page_id))

    async def _holding(self, tenant: str, query: Query, filter: Filter) -> frozenset[str]:
        """Ids of the pages whose own text holds what is asked for exactly. None where more than MOST_HOLDING do: such a
        string picks nothing out."""
        strings = strings_of(query.text) if query.exact_text and query.text is not None else ()
        if not strings:
            return frozenset()
        found = await self._store.pages.containing(
            tenant, strings, filter, encoder=self._version, limit=MOST_HOLDING + 1
        )
        return found if len(found) <= MOST_HOLDING else frozenset()

    async def _whole_filter(self, tenant: str, query: Query) -> Filter:
        """The filter with the claims that must not show, so that they are left out before any cut."""
        hidden = set(query.exclude_claim_ids)
        terms = [query.filter]
        if query.claim_id is not None:
            hidden.add(query.claim_id)
            claim = await self._store.claims.get(tenant, query.claim_id)
            if query.exclude_same_policy and claim.policy_id is not None:
                terms.append(Condition("policy_id", "ne", claim.policy_id))
        if query.page_id is not None:
            hidden.add((await self._store.pages.get(tenant, query.page_id)).claim_id)
        if hidden:
            terms.append(Condition("claim_id", "nin", tuple(sorted(hidden))))
        return query.filter if len(terms) == 1 else AllOf(tuple(terms))

    async def _answer(
        self, tenant: str, query: Query, filter: Filter, probes: Probes, ranking: Ranking
    ) -> tuple[list[Hit], int]:
        """Hits that exist and pass the filter at this moment; the next best take the place of those that do not."""
        rounds = 0
        wanted = Wanted(query.group_by, query.offset, query.limit, query.min_score, query.diversity)
        while True:
            groups, total = await asyncio.to_thread(group, ranking, wanted)
            shown = [page_id for found in groups for page_id, _ in found.pages]
            if not shown:
                return [], total
            records = await fetch_records(self._store, self._encoder, tenant, groups, probes.embeddings)
            passing = await self._store.pages.passing(tenant, shown, filter, encoder=self._version)
            gone = set(shown) - (passing & records.complete(groups))
            rounds += 1
            if gone and rounds < _ROUNDS:
                ranking = await asyncio.to_thread(ranking.without, gone)
                continue
            # After the last round pages vanish as fast as they are read: what is left is shown, not filled up.
            kept = [found for found in groups if gone.isdisjoint(page_id for page_id, _ in found.pages)]
            ranked = enumerate(kept, query.offset + 1)
            return [records.hit(place, found, exact=found.page_id in ranking.exact) for place, found in ranked], total


_STAGES: dict[str, Stretch] = {
    "encode": "search.encode",
    "candidates": "search.candidates",
    "rerank": "search.rerank",
    "fetch": "search.fetch",
}


class _Clock:
    def __init__(self, watch: Watch) -> None:
        self.stages_ms: dict[str, float] = {}
        self._watch = watch

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        started = time.perf_counter()
        try:
            with self._watch.stretch(_STAGES[name]):
                yield
        finally:
            self.stages_ms[name] = (time.perf_counter() - started) * 1000
