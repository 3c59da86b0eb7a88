"""One leased file to searchable pages: type, pictures, vectors, stored in batches. Every step may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from models import Embedding, Encoder, EncoderError, EncodingFailure, Reading, encoder_id
from retrieval.documents import EntryState, FailedPage, Lease, NewPage, Page, PageKind, page_id_of
from retrieval.errors import EncoderMismatch, IndexNotReady, InvalidInput, Refused
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.media import MediaType
from retrieval.ingestion.render import RenderedPage, Renderer, Rendering
from retrieval.ingestion.sniff import HEAD_BYTES, sniff
from retrieval.ingestion.spool import Spool, finishing
from retrieval.ports import EntryOutcome, Store
from retrieval.reuse import ReuseFinder
from retrieval.search.probes import as_stored
from retrieval.watching import Nobody, Watch

_REUSED = "A photo of this file looks like one in another claim. Compare both before you conclude anything."
_BY_LIMIT = frozenset({"timeout", "out_of_memory"})


class Pipeline:
    """Holds nothing between files. Memory follows the encoder's batch, disk the rendered run, whatever the file."""

    def __init__(
        self, store: Store, encoder: Encoder, *, spool: Spool, limits: Limits, watch: Watch | None = None
    ) -> None:
        self._store = store
        self._watch = watch or Nobody()
        self._encoder = encoder
        self._spool = spool
        self._limits = limits
        self._renderer = Renderer(limits)
        self._reuse = ReuseFinder(store)
        # Pictures are decoded by one thread: the allocator keeps what each thread once used for that thread.
        self._decoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoding")

    async def ingest(self, lease: Lease) -> EntryOutcome:
        """Works on one entry to its end and says how to leave it. Cancelling leaves no process and no file behind.

        Raises LeaseLost, NotFound (claim or file are gone), StoreUnavailable, and EncoderError where trying again
        may help.
        """
        folder = self._spool.entry("folder")
        try:
            await finishing(folder.create)
            async with self._store.assets.local_copy(lease.tenant_id, lease.asset_id) as source:
                return await self._ingest(lease, source, folder.path)
        except (Refused, EncoderMismatch, InvalidInput) as error:
            return EntryOutcome(EntryState.failed, code=error.code, detail=error.detail)
        except EncoderError as error:
            if error.retryable:
                raise
            return EntryOutcome(EntryState.failed, code=error.code, detail=error.detail)
        finally:
            await finishing(folder.remove)

    async def _ingest(self, lease: Lease, source: Path, folder: Path) -> EntryOutcome:
        media_type = sniff(await asyncio.to_thread(_head, source))
        done = await self._store.pages.done(
            lease.tenant_id, lease.claim_id, lease.asset_id, encoder=encoder_id(self._encoder)
        )
        progress = _Progress(stored=set(done))
        async with aclosing(self._renderings(source, media_type, folder, done)) as renderings:
            async for rendering in renderings:
                if progress.page_count is None:
                    await self._store.assets.describe(
                        lease,
                        media_type=media_type.value,
                        page_count=rendering.page_count,
                        capture=rendering.capture,
                    )
                if rendering.warnings:
                    await self._store.assets.warn(lease, rendering.warnings)
                progress.page_count = rendering.page_count
                progress.failed.extend(rendering.failed)
                self._watch.count("page", "failed", len(rendering.failed))
                await self._report(lease, progress)
                for batch in _batches(rendering.pages, self._encoder.batch_size):
                    await self._index(lease, batch, progress)
                if progress.killed() >= self._limits.killed_pages:
                    progress.give_up()
                    await self._report(lease, progress)
                    break
        return progress.outcome()

    async def _renderings(
        self, source: Path, media_type: MediaType, folder: Path, done: Collection[int]
    ) -> AsyncGenerator[Rendering, None]:
        """Runs of the pages that are not done, in order; the next one is rendered while this one is used."""
        # A short first run, so that the first pages are searchable soon; where pages are stored, only a count.
        opening = 0 if done else min(self._encoder.batch_size, self._limits.pages_per_render)

        def start(first: int, last: int) -> asyncio.Task[Rendering]:
            return asyncio.create_task(self._renderer.render(source, media_type, first=first, last=last, folder=folder))

        ahead = start(1, opening)
        try:
            rendering = await ahead
            todo = [number for number in range(opening + 1, rendering.page_count + 1) if number not in done]
            for first, last in _runs(todo, self._limits.pages_per_render):
                ahead = start(first, last)
                yield rendering
                rendering = await ahead
            yield rendering
        finally:
            ahead.cancel()
            await asyncio.wait({ahead})

    async def _index(self, lease: Lease, batch: Sequence[RenderedPage], progress: _Progress) -> None:
        # The encoder sees exactly what is stored, so that a reindex gives the same vectors.
        loop = asyncio.get_running_loop()
        loaded = await loop.run_in_executor(self._decoding, lambda: [(*page.load(), page.own_text()) for page in batch])
        with self._watch.stretch("ingest.encode", pages=len(loaded)):
            results = await self._encoder.encode_pages([picture for _, picture, _ in loaded])
        pages: list[NewPage] = []
        for rendered, (encoded, _, text), result in zip(batch, loaded, results, strict=True):
            if isinstance(result, EncodingFailure):
                progress.failed.append(FailedPage(rendered.number, result.code, result.detail))
            else:
                kind = self._kind(rendered, result, progress)
                pages.append(_new_page(lease, rendered, kind, encoded, result, text))
        if pages:
            await self._store.pages.put(lease, pages)
        progress.stored.update(page.page.number for page in pages)
        self._watch.count("page", "succeeded", len(pages))
        self._watch.count("page", "failed", len(batch) - len(pages))
        pictures = {rendered.number: picture for rendered, (_, picture, _) in zip(batch, loaded, strict=True)}
        for page in pages:
            if page.page.kind == "photo":
                await self._look_for_copies(lease, page, pictures[page.page.number], progress)
        if len(pages) < len(batch):
            await self._report(lease, progress)

    def _kind(self, rendered: RenderedPage, embedding: Embedding, progress: _Progress) -> PageKind:
        """A thing on a white ground has the colours of paper, as have half of the parcels and phones among the training
        photos; where the encoder saw a scene and did not read it, a picture alone in its file is a photo. Beside other
        pages it would be a blank one."""
        if rendered.kind == "page" and progress.page_count == 1 and isinstance(self._encoder, Reading):
            return "page" if self._encoder.is_read(embedding) else "photo"
        return rendered.kind

    async def _look_for_copies(self, lease: Lease, page: NewPage, picture: Image.Image, progress: _Progress) -> None:
        """Notes on the file that one of its photos is in another claim too; which one, the claim is asked later."""
        if progress.reused:
            return
        try:
            found = await self._reuse.of_photo(lease.tenant_id, page.page, page.vectors, picture)
        except IndexNotReady:
            return  # a vector index under construction must not hold up the ingest
        if found:
            progress.reused = True
            await self._store.assets.warn(lease, [("photo_reused", _REUSED)])

    async def _report(self, lease: Lease, progress: _Progress) -> None:
        await self._store.jobs.progress(
            lease, pages_total=progress.page_count or 0, failed_pages=tuple(progress.failed)
        )


@dataclass(slots=True)
class _Progress:
    """stored: numbers of pages that have vectors. failed: pages that never will, with the reason. reused: whether a
    photo of the file was found in another claim."""

    stored: set[int]
    failed: list[FailedPage] = field(default_factory=list[FailedPage])
    page_count: int | None = None
    reused: bool = False

    def killed(self) -> int:
        return sum(page.code in _BY_LIMIT for page in self.failed)

    def give_up(self) -> None:
        """Marks what is left as failed: a file of pages that each run into a limit must not hold a worker for days."""
        known = self.stored | {page.number for page in self.failed}
        detail = f"Not tried: {self.killed()} pages of this file ran into the limits before it."
        left = [number for number in range(1, (self.page_count or 0) + 1) if number not in known]
        self.failed.extend(FailedPage(number, "timeout", detail) for number in left)

    def outcome(self) -> EntryOutcome:
        failed = tuple(sorted(self.failed, key=lambda page: page.number))
        if not failed:
            noted = ("photo_reused", _REUSED) if self.reused else (None, None)
            return EntryOutcome(EntryState.succeeded, code=noted[0], detail=noted[1])
        if not self.stored:
            reason = failed[0]
            return EntryOutcome(EntryState.failed, code=reason.code, detail=reason.detail, failed_pages=failed)
        detail = f"{len(failed)} of {self.page_count} pages could not be read."
        return EntryOutcome(EntryState.succeeded, code="pages_failed", detail=detail, failed_pages=failed)


def _new_page(
    lease: Lease, rendered: RenderedPage, kind: PageKind, encoded: bytes, embedding: Embedding, text: str
) -> NewPage:
    page = Page(
        page_id=page_id_of(lease.claim_id, lease.asset_id, rendered.number),
        claim_id=lease.claim_id,
        asset_id=lease.asset_id,
        number=rendered.number,
        kind=kind,
        width=rendered.width,
        height=rendered.height,
        encoder=embedding.encoder,
        usage=embedding.usage,
    )
    return NewPage(page, as_stored(embedding, width=rendered.width, height=rendered.height), encoded, text)


def _head(source: Path) -> bytes:
    with source.open("rb") as file:
        return file.read(HEAD_BYTES)


def _batches(pages: Sequence[RenderedPage], size: int) -> Iterator[Sequence[RenderedPage]]:
    for start in range(0, len(pages), size):
        yield pages[start : start + size]


def _runs(numbers: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """Ascending numbers as (first, last) of neighbours, at most `size` in a run."""
    start = 0
    for place in range(1, len(numbers) + 1):
        ended = place == len(numbers) or numbers[place] != numbers[place - 1] + 1
        if ended or place - start == size:
            yield numbers[start], numbers[place - 1]
            start = place
