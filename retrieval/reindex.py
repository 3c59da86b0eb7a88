"""Moves a collection to another encoder, page by page, while it is searched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from models.encoder import Embedding, Encoder, EncoderError, EncodingFailure, encoder_id
from retrieval.documents import Page
from retrieval.errors import NotFound
from retrieval.ports import Store
from retrieval.search.probes import as_stored, encoder_errors, open_picture

_LONGEST_WAIT_S = 60.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FailedReindex:
    """A page that keeps its old vectors, and why."""

    tenant_id: str
    page_id: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """done: pages that now have vectors of the encoder. finished: False when it was stopped before the end."""

    done: int
    failed: tuple[FailedReindex, ...]
    finished: bool


def stale_pages(stored: Mapping[str, int], encoder: str) -> int:
    """Pages that a search with `encoder` does not find. stored: pages by encoder, as a store counts them."""
    return sum(count for name, count in stored.items() if name != encoder)


async def reindex(
    store: Store,
    encoder: Encoder,
    *,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
) -> ReindexReport:
    """Gives every page of all tenants vectors of `encoder`; may be stopped and started again at any time.

    Each page changes in one step: a search with the old encoder finds it until then, one with the new encoder from
    then on. progress: called with (pages done or failed, pages to do). A passing fault of the encoder is waited out.
    Raises EncoderTrouble when trying again cannot help, and what the store raises.
    """
    version = encoder_id(encoder)
    await store.ensure_index(dims=encoder.dims)
    todo = stale_pages(await store.pages.counts(), version)
    stop = stop or asyncio.Event()
    done = 0
    failed: dict[tuple[str, str], FailedReindex] = {}
    while not stop.is_set():
        stale = await store.pages.stale(encoder=version, limit=encoder.batch_size + len(failed))
        batch = [(tenant, page) for tenant, page in stale if (tenant, page.page_id) not in failed][: encoder.batch_size]
        if not batch:
            return ReindexReport(done, tuple(failed.values()), finished=True)
        results = await _encode(store, encoder, batch, stop)
        if results is None:
            break
        for (tenant, page), result in zip(batch, results, strict=True):
            if isinstance(result, EncodingFailure):
                failure = FailedReindex(tenant, page.page_id, result.code, result.detail)
                failed[tenant, page.page_id] = failure
            elif result is not None and await _replace(store, tenant, page, result):
                done += 1
            if progress is not None:
                progress(done + len(failed), todo)
    return ReindexReport(done, tuple(failed.values()), finished=False)


async def _encode(
    store: Store, encoder: Encoder, batch: Sequence[tuple[str, Page]], stop: asyncio.Event
) -> list[Embedding | EncodingFailure | None] | None:
    """One result a page, None for a page that is gone; None in all when stopped while waiting for the encoder."""
    pictures = [await _picture(store, tenant, page) for tenant, page in batch]
    images = await asyncio.to_thread(lambda: [open_picture(picture) for picture in pictures if picture is not None])
    wait_s = 1.0
    while True:
        try:
            encoded = iter(await encoder.encode_pages(images) if images else [])
            return [None if picture is None else next(encoded) for picture in pictures]
        except EncoderError as error:
            if not error.retryable:
                with encoder_errors():
                    raise
            if await _stopped_within(stop, error.retry_after_s or wait_s):
                return None
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


async def _stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _picture(store: Store, tenant: str, page: Page) -> bytes | None:
    try:
        return await store.pages.picture(tenant, page.page_id)
    except NotFound:
        return None


async def _replace(store: Store, tenant: str, page: Page, embedding: Embedding) -> bool:
    stored = as_stored(embedding, width=page.width, height=page.height)
    try:
        await store.pages.replace_vectors(tenant, page.page_id, stored, usage=embedding.usage)
    except NotFound:
        return False
    return True
