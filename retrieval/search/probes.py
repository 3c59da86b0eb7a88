"""What is asked, as vectors: one probe for words or a stored page, one a picture for pictures, and for a claim one for
each of its pages that is unlike the others."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.encoder import Embedding, Encoder, EncoderError, QueryInput, encoder_id
from models.packing import dequantise_tokens, quantise_tokens
from retrieval.documents import Page, PageVectors
from retrieval.errors import EncoderTrouble, InvalidInput, NotFound
from retrieval.ports import PageIndex
from retrieval.queries import MAX_PAGES, Query
from retrieval.search.grouping import NEAR_COPY

_LOOKED_THROUGH = 1000
"""Pages of a claim from which those to ask with are chosen."""


@dataclass(frozen=True, slots=True)
class Probes:
    """page_ids: of the stored pages that they are; empty for words and pictures."""

    embeddings: list[Embedding]
    page_ids: tuple[str, ...] = ()


@contextmanager
def encoder_errors() -> Generator[None]:
    """Turns EncoderError of the models' door into EncoderTrouble of the domain."""
    try:
        yield
    except EncoderError as error:
        raise EncoderTrouble(
            error.detail, code=error.code, retryable=error.retryable, retry_after_s=error.retry_after_s
        ) from error


async def embed_query(pages: PageIndex, encoder: Encoder, tenant: str, query: Query) -> Probes:
    """Raises EncoderTrouble, NotFound page_not_found, InvalidInput bad_query for page_ids of another claim."""
    if query.page_id is not None:
        return Probes([await _embed_stored(pages, encoder, tenant, query.page_id)], (query.page_id,))
    if query.claim_id is not None:
        chosen = await _chosen_pages(pages, tenant, query.claim_id, query.page_ids)
        return Probes([await _embed_stored(pages, encoder, tenant, page_id) for page_id in chosen], chosen)
    asked: list[QueryInput] = [query.text] if query.text is not None else list(query.images)
    with encoder_errors():
        probes = await encoder.encode_queries(asked)
    if len(probes) != len(asked):
        raise EncoderTrouble(
            f"The encoder gave {len(probes)} vectors for {len(asked)} inputs.",
            code="encoder_unavailable",
            retryable=True,
        )
    return Probes(probes)


async def _chosen_pages(pages: PageIndex, tenant: str, claim_id: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """`wanted`, or the claim's photos without near copies, or its pages where it has no photo; at most MAX_PAGES.

    Papers are left out beside photos because a form is like the same form of every other claim: compared too, they
    brought claims in the same forms and not with the same damage (`scripts/bench_claims.py`)."""
    if wanted:
        known = await pages.get_many(tenant, wanted)
        for page_id in wanted:
            if page_id not in known:
                raise NotFound.of("page", page_id)
            if known[page_id].claim_id != claim_id:
                raise InvalidInput("page_ids names a page of another claim.", code="bad_query", field="page_ids")
        return tuple(dict.fromkeys(wanted))
    listed: list[Page] = []
    cursor: str | None = None
    while len(listed) < _LOOKED_THROUGH:
        listing = await pages.list(tenant, claim_id=claim_id, cursor=cursor, limit=500)
        listed.extend(listing.items)
        cursor = listing.next_cursor
        if cursor is None:
            break
    listed = [page for page in listed if page.kind == "photo"] or listed
    vectors = await pages.vectors(tenant, [page.page_id for page in listed])
    return await asyncio.to_thread(_unlike, [page for page in listed if page.page_id in vectors], vectors)


def _unlike(pages: Sequence[Page], vectors: Mapping[str, PageVectors]) -> tuple[str, ...]:
    """The first MAX_PAGES without photos much like one before them. Printed pages look alike and differ."""
    chosen: list[str] = []
    for page in pages:
        mine = vectors[page.page_id]
        others = (vectors[other] for other in chosen if page.kind == "photo")
        if not any(mine.encoder == theirs.encoder and mine.summary @ theirs.summary >= NEAR_COPY for theirs in others):
            chosen.append(page.page_id)
        if len(chosen) == MAX_PAGES:
            break
    return tuple(chosen)


async def _embed_stored(pages: PageIndex, encoder: Encoder, tenant: str, page_id: str) -> Embedding:
    """The page's own vectors; its picture encoded anew while they are still those of another encoder."""
    stored = (await pages.vectors(tenant, [page_id])).get(page_id)
    if stored is None:
        raise NotFound.of("page", page_id)
    if stored.encoder == encoder_id(encoder):
        return as_embedding(stored)
    picture = await pages.picture(tenant, page_id)
    image = await asyncio.to_thread(open_picture, picture)
    with encoder_errors():
        [probe] = await encoder.encode_queries([image])
    return probe


def as_embedding(stored: PageVectors) -> Embedding:
    """Stored vectors in the form that encoders take."""
    tokens = None
    if stored.tokens is not None and stored.scales is not None and len(stored.tokens):
        tokens = dequantise_tokens(stored.tokens, stored.scales)
    return Embedding(
        summary=stored.summary,
        encoder=stored.encoder,
        tokens=tokens,
        cells=None if tokens is None or stored.cells is None else stored.cells.astype(np.float32),
    )


def as_stored(embedding: Embedding, *, width: int, height: int) -> PageVectors:
    """An encoder's vectors of a picture of that size in the form in which a page keeps them."""
    summary = embedding.summary.astype(np.float32, copy=False)
    if embedding.tokens is None or embedding.cells is None:
        return PageVectors(summary=summary, encoder=embedding.encoder)
    tokens, scales = quantise_tokens(embedding.tokens)
    cells = np.rint(np.clip(embedding.cells, 0, np.array([width, height, width, height], np.float32)))
    return PageVectors(summary, embedding.encoder, tokens, scales, cells.astype(np.uint16))


def open_picture(picture: bytes) -> Image.Image:
    """A stored picture (our own WebP) as RGB."""
    with Image.open(io.BytesIO(picture)) as opened:
        return opened.convert("RGB")
