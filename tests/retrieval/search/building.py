"""Stored, encoded pages in a line each."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from models.encoder import Embedding, Encoder
from retrieval.documents import EntryState, NewPage, Page, PageKind, page_id_of
from retrieval.exact import page_text
from retrieval.filters import parse_filter
from retrieval.ports import EntryOutcome, Store
from retrieval.queries import Query
from retrieval.search.probes import as_stored
from tests.conformance.builders import TENANT, TTL, claim, submit
from tests.fakes.encoder import draw_words


def webp(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "WEBP", quality=90)
    return target.getvalue()


async def add_pages(
    store: Store,
    encoder: Encoder,
    claim_id: str,
    images: Sequence[Image.Image],
    *,
    tenant: str = TENANT,
    kind: PageKind = "page",
    texts: Sequence[str] = (),
    **facts: object,
) -> list[str]:
    """One file with these pictures as its pages, in a claim with these facts; the ids of its pages. texts: the pages'
    own."""
    await store.claims.put(tenant, claim(claim_id, **facts))
    job = await submit(store, tenant, claim_id, [b"".join(webp(image) for image in images)])
    lease = await store.jobs.lease("worker-1", ttl=TTL)
    assert lease is not None
    assert lease.job_id == job.job_id
    pages = []
    for number, (image, embedding) in enumerate(zip(images, await encoder.encode_pages(images), strict=True), 1):
        assert isinstance(embedding, Embedding)
        page = Page(
            page_id=page_id_of(claim_id, lease.asset_id, number),
            claim_id=claim_id,
            asset_id=lease.asset_id,
            number=number,
            kind=kind,
            width=image.width,
            height=image.height,
            encoder=embedding.encoder,
        )
        vectors = as_stored(embedding, width=image.width, height=image.height)
        text = page_text(texts[number - 1]) if texts else ""
        pages.append(NewPage(page, vectors, webp(image), text))
    await store.pages.put(lease, pages)
    await store.jobs.finish(lease, EntryOutcome(EntryState.succeeded))
    return [page.page.page_id for page in pages]


async def add_words(store: Store, encoder: Encoder, claim_id: str, *pages: str, **facts: object) -> list[str]:
    """A file whose pages show these words."""
    return await add_pages(store, encoder, claim_id, [draw_words(words.split()) for words in pages], **facts)


def ask(text: str | None = None, *, where: object = None, **fields: object) -> Query:
    """A query; where: a filter as a user writes it."""
    return Query(text=text, filter=parse_filter(where), **fields)  # type: ignore[arg-type]
