"""An evaluation as a user would meet the system: files uploaded, ingested by a worker, searched by the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from models.encoder import Encoder, encoder_id
from retrieval.documents import SearchResult
from retrieval.errors import EncoderTrouble
from retrieval.evaluation.datasets import Dataset, LabelledQuery, load_dataset
from retrieval.evaluation.indexing import chunks_of, index_pictures
from retrieval.evaluation.metrics import MRR_DEPTH, page_figures, photo_figures
from retrieval.evaluation.report import QueryRun, Report
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import Limits
from retrieval.ports import Store
from retrieval.queries import MAX_LIMIT, Query
from retrieval.reindex import reindex
from retrieval.search import SearchEngine
from retrieval.stores.sqlite import SqliteStore

TENANT = "evaluation"
Progress = Callable[[str, int, int], None]

_FIRST_HITS = 10
_TRIES = 5
_WAIT_S = 2.0


def _no_progress(stage: str, done: int, total: int) -> None:
    """For callers who do not watch."""


async def evaluate(folder: Path, encoder: Encoder, *, store_folder: Path, progress: Progress = _no_progress) -> Report:
    """Indexes the data set in `folder` into an embedded store below `store_folder` and asks all its queries.

    A store_folder that was used for the same set before is taken up where it was left, so an interrupted evaluation
    goes on. progress: called with ("index" or "search", done, total).
    Raises InvalidInput bad_dataset, EncoderTrouble.
    """
    started = time.perf_counter()
    dataset = await asyncio.to_thread(load_dataset, folder)
    # One claim a picture, so that a query leaves a picture out as it leaves a claim out.
    claims = {name: f"E{place:06d}" for place, name in enumerate(dataset.pictures)}
    store = await SqliteStore.open(store_folder / "store")
    try:
        await store.ensure_index(dims=encoder.dims)
        intake = Intake(store, store_folder / "work", Limits())
        failed = await index_pictures(
            store,
            encoder,
            intake,
            TENANT,
            {claims[name]: path for name, path in dataset.pictures.items()},
            work_dir=store_folder / "work",
            progress=lambda done, total: progress("index", done, total),
        )
        # Where the folder was used with another encoder before, its pages are there, with that one's vectors.
        await reindex(store, encoder)
        asker = _Asker(SearchEngine(store, encoder), store, intake, dataset, claims)
        runs: list[QueryRun] = []
        for query in dataset.queries:
            runs.append(await asker.ask(query))
            progress("search", len(runs), len(dataset.queries))
        pages = (await store.pages.counts(TENANT)).get(encoder_id(encoder), 0)
    finally:
        await store.close()
    names = {claim_id: name for name, claim_id in claims.items()}
    return Report(
        kind=dataset.kind,
        encoder=encoder_id(encoder),
        pages=pages,
        seconds=time.perf_counter() - started,
        runs=tuple(runs),
        failed={names[claim_id]: reason for claim_id, reason in failed.items()},
    )


class _Asker:
    """Asks the labelled queries of a set, and keeps as much of each answer as its figures need."""

    def __init__(
        self, engine: SearchEngine, store: Store, intake: Intake, dataset: Dataset, claims: Mapping[str, str]
    ) -> None:
        self._engine = engine
        self._intake = intake
        self._store = store
        self._dataset = dataset
        self._claims = claims
        self._names = {claim_id: name for name, claim_id in claims.items()}

    async def ask(self, labelled: LabelledQuery) -> QueryRun:
        started = time.perf_counter()
        wanted = len(self._claims) if self._dataset.kind == "photos" else MRR_DEPTH
        found: list[tuple[str, float]] = []
        took_ms = 0.0
        while len(found) < wanted:
            # The first hits as an adjuster gets them; more only while the figures depend on them.
            limit = _FIRST_HITS if not found else MAX_LIMIT
            result = await self._search(labelled, offset=len(found), limit=limit)
            if result is None:
                break
            if not found:
                took_ms = (time.perf_counter() - started) * 1000
            found += [(self._names[hit.claim.claim_id], hit.score) for hit in result.hits]
            settled = self._dataset.kind == "pages" and any(name in labelled.relevant for name, _ in found)
            if result.next_offset is None or settled:
                break
        return self._run(labelled, found, took_ms)

    def _run(self, labelled: LabelledQuery, found: list[tuple[str, float]], took_ms: float) -> QueryRun:
        if self._dataset.kind == "pages":
            figures = page_figures(labelled.relevant, [name for name, _ in found])
        else:
            gallery = [name for name in self._claims if name != labelled.leave_out]
            figures = photo_figures(labelled.relevant, dict(found), gallery)
        return QueryRun(labelled.qid, labelled.kind, figures, tuple(found), took_ms)

    async def _search(self, labelled: LabelledQuery, *, offset: int, limit: int) -> SearchResult | None:
        """None where the query is a picture that could not be indexed."""
        hidden = (self._claims[labelled.leave_out],) if labelled.leave_out is not None else ()
        page_id = None
        if labelled.page is not None:
            page_id = await self._page_id(labelled.page)
            if page_id is None:
                return None
        images = (await self._intake.read_picture(chunks_of(labelled.image)),) if labelled.image is not None else ()
        query = Query(
            text=labelled.text, images=images, page_id=page_id, exclude_claim_ids=hidden, offset=offset, limit=limit
        )
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._engine.search(TENANT, query)
            except EncoderTrouble as error:
                if not error.retryable or attempt == _TRIES:
                    raise
                await asyncio.sleep(error.retry_after_s or _WAIT_S * attempt)
        return None

    async def _page_id(self, name: str) -> str | None:
        listing = await self._store.pages.list(TENANT, claim_id=self._claims[name], limit=1)
        return listing.items[0].page_id if listing.items else None
