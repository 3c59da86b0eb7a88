"""What the API and the command line work with: one store, one encoder that loads in the background, intake, engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog
from prometheus_client import CollectorRegistry

from app.auditing import QueryMarks
from app.door import Door
from app.gate import Gate
from app.metrics import Metrics
from app.observing import Observer
from app.oidc import Tokens
from app.rates import RateLimiter
from app.tracing import Tracing
from models import Encoder
from models.encoder import EncoderError
from retrieval.errors import ClaimsightError, EncoderTrouble, StoreUnavailable
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import Limits
from retrieval.journal import AuditJournal
from retrieval.ports import Store
from retrieval.search import SearchEngine

_QUERY_RENDERERS = 2
_PROBE = "ready"
_PROBE_EVERY_S = 10.0
_PROBE_LIMIT_S = 5.0
# Faults of a question or of an encoder that never explains: they say nothing about the next question.
_FAULTS_OF_THE_QUESTION = frozenset({"query_refused", "explain_unsupported"})

_log = structlog.get_logger("claimsight.services")


@dataclass(frozen=True, slots=True)
class WorkersAlive:
    """Ingest processes under this server: how many live, how many should."""

    alive: int
    wanted: int


class WorkerWatch(Protocol):
    def workers(self) -> WorkersAlive: ...


EncoderState = Literal["waiting", "loading", "ready", "failing", "failed"]


class Services:
    """Everything that a request or a command needs. Built by app.wiring; closed once.

    tenant: of the server itself: commands and requests without keys work on its data. api_key, tokens: keys that
    are not in the store. rate_per_minute, rate_burst: requests of one key; 0 for no limit. journal: takes the audit of
    reads. marks: what the audit keeps of questions. max_files: of one upload. max_requests, max_searches: worked on at
    once. max_queued: files that wait for their ingest before uploads are turned away. encoder_state "failing": it is
    there, and the last question failed at it. stopping: set when the server begins to stop, so that endless answers
    end.
    """

    def __init__(
        self,
        *,
        store: Store,
        load_encoder: Callable[[], Awaitable[Encoder]],
        intake: Intake,
        limits: Limits,
        tenant: str,
        api_key: str | None = None,
        tokens: Tokens | None = None,
        rate_per_minute: int = 0,
        rate_burst: int = 100,
        max_files: int = 100,
        max_requests: int = 500,
        max_searches: int = 16,
        max_queued: int = 10_000,
        journal: AuditJournal,
        marks: QueryMarks,
        cache_bytes: int = 256 * 1024 * 1024,
        sketch_bytes: int = 256 * 1024 * 1024,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.store = store
        self.intake = intake
        self.limits = limits
        self.tenant = tenant
        self.door = Door(store.keys, tenant=tenant, api_key=api_key, tokens=tokens)
        self.rates = RateLimiter(per_minute=rate_per_minute, burst=rate_burst)
        self.max_files = max_files
        self.max_requests = max_requests
        self.max_queued = max_queued
        self.journal = journal
        self.marks = marks
        self.metrics = metrics or Metrics(CollectorRegistry())
        self.observer = Observer(self.metrics, tracing)
        self._tracing = tracing
        self.stopping = asyncio.Event()
        self.supervisor: WorkerWatch | None = None
        self.query_renderers = asyncio.Semaphore(_QUERY_RENDERERS)
        self.encoder_state: EncoderState = "waiting"
        self.encoder_detail = ""
        self._searches = Gate(max_searches)
        self._probed_at = -_PROBE_EVERY_S
        self._load_encoder = load_encoder
        self._cache_bytes = cache_bytes
        self._sketch_bytes = sketch_bytes
        self._loading: asyncio.Task[SearchEngine] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._encoder: Encoder | None = None
        self._close_lock = asyncio.Lock()

    def warm_up(self) -> None:
        """Begins to load the encoder, then to read what first searches want from the store; returns at once. Readiness
        does not wait for the second, which stands still while somebody searches."""
        loading = self._ensure_loading()
        if self._warming is None:
            self._warming = asyncio.create_task(self._warm(loading), name="warm-up")

    async def engine(self) -> SearchEngine:
        """The search, once the encoder is there. A failed load is tried again by the next call.

        Raises EncoderTrouble, StoreUnavailable.
        """
        # Shielded: a client that goes away must not stop the load that others wait for.
        return await asyncio.shield(self._ensure_loading())

    async def encoder(self) -> Encoder:
        """Raises EncoderTrouble, StoreUnavailable."""
        await self.engine()
        if self._encoder is None:
            raise EncoderTrouble("The encoder is closed.", code="encoder_unavailable", retryable=True)
        return self._encoder

    @asynccontextmanager
    async def searching(self) -> AsyncGenerator[SearchEngine]:
        """The search, for one question in its turn. Raises StoreUnavailable busy and what `engine` raises."""
        engine = await self.engine()
        async with self._searches.turn():
            try:
                yield engine
            except EncoderTrouble as error:
                if error.code not in _FAULTS_OF_THE_QUESTION:
                    self.encoder_state, self.encoder_detail = "failing", error.detail
                raise

    async def probe_encoder(self) -> None:
        """Where the last question failed at the encoder: whether it answers again, asked now and then. Raises
        nothing; `encoder_state` tells."""
        now = time.monotonic()
        if self.encoder_state != "failing" or self._encoder is None or now - self._probed_at < _PROBE_EVERY_S:
            return
        self._probed_at = now
        try:
            async with asyncio.timeout(_PROBE_LIMIT_S):
                await self._encoder.encode_queries([_PROBE])
        except EncoderError as error:
            self.encoder_detail = error.detail
        except TimeoutError:
            self.encoder_detail = "The encoder does not answer."
        else:
            self.encoder_state, self.encoder_detail = "ready", ""

    async def require_room(self) -> None:
        """Raises StoreUnavailable queue_full when so many files wait that more would only wait longer."""
        depth = await self.store.jobs.depth()
        if depth.queued >= self.max_queued:
            raise StoreUnavailable(f"{depth.queued} files wait for their ingest; send more later.", code="queue_full")

    @property
    def loaded_encoder(self) -> Encoder | None:
        """The encoder when it is there already."""
        return self._encoder

    @property
    def sketched_pages(self) -> int:
        engine = self._loaded_engine()
        return 0 if engine is None else engine.sketched

    async def close(self) -> None:
        """Ends the load if one is under way, then closes encoder and store."""
        self.stopping.set()
        async with self._close_lock:
            if self._warming is not None:
                self._warming.cancel()
                await asyncio.wait({self._warming})
            if self._loading is not None:
                self._loading.cancel()
                await asyncio.wait({self._loading})
                if (engine := self._loaded_engine()) is not None:
                    await engine.aclose()
                self._loading = None
            if self._encoder is not None:
                encoder, self._encoder = self._encoder, None
                await encoder.aclose()
            await self.journal.close()
            await self.door.close()
            await self.store.close()
            if self._tracing is not None:
                await self._tracing.close()

    def _loaded_engine(self) -> SearchEngine | None:
        task = self._loading
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def _warm(self, loading: asyncio.Task[SearchEngine]) -> None:
        try:
            engine = await asyncio.shield(loading)
            began = time.perf_counter()
            await engine.warm(first=self.tenant, turn=self._searches.quiet)
            _log.info("warmed", took_s=round(time.perf_counter() - began, 1), sketched_pages=engine.sketched)
        except ClaimsightError as error:
            _log.warning("not_warmed", code=error.code)
            self._warming = None  # The next look at readiness tries again.

    def _ensure_loading(self) -> asyncio.Task[SearchEngine]:
        if self._loading is None or (self._loading.done() and self.encoder_state == "failed"):
            self.encoder_state = "loading"
            self._loading = asyncio.create_task(self._load(), name="load-encoder")
            # Nobody may be waiting; the state and the log say what went wrong.
            self._loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._loading

    async def _load(self) -> SearchEngine:
        try:
            if self._encoder is None:
                self._encoder = self.observer.encoder(await self._load_encoder())
            await self.store.ensure_index(dims=self._encoder.dims)
        except EncoderError as error:
            self._failed(error.code, error.detail)
            raise EncoderTrouble(
                error.detail, code=error.code, retryable=error.retryable, retry_after_s=error.retry_after_s
            ) from error
        except ClaimsightError as error:
            self._failed(error.code, error.detail)
            raise
        except Exception as error:
            # Weights that do not load, a missing package: any type, told by its name only.
            self._failed("encoder_unavailable", f"The encoder could not be loaded ({type(error).__name__}).")
            raise EncoderTrouble(self.encoder_detail, code="encoder_unavailable", retryable=False) from error
        self.encoder_state, self.encoder_detail = "ready", ""
        return SearchEngine(
            self.store,
            self._encoder,
            cache_bytes=self._cache_bytes,
            sketch_bytes=self._sketch_bytes,
            watch=self.observer,
        )

    def _failed(self, code: str, detail: str) -> None:
        self.encoder_state, self.encoder_detail = "failed", detail
        _log.error("encoder_not_ready", code=code, detail=detail)
