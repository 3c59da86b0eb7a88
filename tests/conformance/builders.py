"""Claims, files, pages and leases in a line each."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.documents import (
    Asset,
    Claim,
    EntryState,
    Job,
    Lease,
    NewEntry,
    NewPage,
    Page,
    PageKind,
    PageVectors,
    page_id_of,
)
from retrieval.errors import NotFound
from retrieval.ports import EntryOutcome, Store

TENANT = "acme"
OTHER_TENANT = "rival"
ENCODER = "fake/1"
DIMS = 8
TTL = timedelta(seconds=60)
FILE = b"%PDF-1.7 one file"
DONE = EntryOutcome(EntryState.succeeded)
BROKEN = EntryOutcome(EntryState.failed, code="damaged", detail="The file is damaged.")


class FakeClock:
    """Aware UTC; stands still until told. Starts at the real time, as files on disk carry real times."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


def claim(claim_id: str = "C-1", **facts: object) -> Claim:
    return Claim(claim_id=claim_id, **facts)  # type: ignore[arg-type]


def unit(values: Sequence[float]) -> NDArray[np.float32]:
    """The vector of length 1 that points where `values` do."""
    vector = np.asarray(values, np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def vectors(
    seed: int = 0, *, dims: int = DIMS, tokens: int = 3, encoder: str = ENCODER, most: int = 127
) -> PageVectors:
    """Random but always the same for a seed; tokens=0: none at all. most: largest number of a token."""
    random = np.random.default_rng(seed)
    summary = unit(random.standard_normal(dims).tolist())
    if not tokens:
        return PageVectors(summary=summary, encoder=encoder)
    return PageVectors(
        summary=summary,
        encoder=encoder,
        tokens=random.integers(-most, most + 1, (tokens, 4), dtype=np.int8),
        scales=random.uniform(0.001, 0.01, tokens).astype(np.float16),
        cells=random.integers(0, 1000, (tokens, 4), dtype=np.uint16),
    )


def pointing(values: Sequence[float], *, encoder: str = ENCODER) -> PageVectors:
    """A summary alone, in the direction of `values`."""
    return PageVectors(summary=unit(values), encoder=encoder)


def asset_id_of(content: bytes) -> str:
    return sha256(content).hexdigest()


def new_page(
    lease: Lease,
    number: int = 1,
    given: PageVectors | None = None,
    *,
    kind: PageKind = "page",
    picture: bytes = b"webp",
) -> NewPage:
    """A page of the leased file; its vectors follow its number unless given."""
    stored = vectors(number) if given is None else given
    page = Page(
        page_id=page_id_of(lease.claim_id, lease.asset_id, number),
        claim_id=lease.claim_id,
        asset_id=lease.asset_id,
        number=number,
        kind=kind,
        width=800,
        height=600,
        encoder=stored.encoder,
        usage={"image_pixels": 480_000},
    )
    return NewPage(page=page, vectors=stored, picture=picture + str(number).encode())


async def add_file(
    store: Store,
    tenant: str = TENANT,
    claim_id: str = "C-1",
    content: bytes = FILE,
    *,
    filename: str = "estimate.pdf",
    most_bytes: int | None = None,
) -> tuple[Asset, bool]:
    """Stores `content` as a file of the claim, which must exist."""
    asset = Asset(asset_id=asset_id_of(content), claim_id=claim_id, filename=filename, size_bytes=len(content))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "upload"
        source.write_bytes(content)
        return await store.assets.add(tenant, asset, source, most_bytes=most_bytes)


async def submit(
    store: Store,
    tenant: str = TENANT,
    claim_id: str = "C-1",
    contents: Sequence[bytes] = (FILE,),
    *,
    idempotency_key: str | None = None,
) -> Job:
    """An upload of these files into the claim, which is made where it is missing."""
    try:
        await store.claims.get(tenant, claim_id)
    except NotFound:
        await store.claims.put(tenant, claim(claim_id))
    entries: list[NewEntry] = []
    for place, content in enumerate(contents):
        asset, _ = await add_file(store, tenant, claim_id, content, filename=f"file-{place}.pdf")
        entries.append(NewEntry(asset.filename, asset.asset_id))
    job, _ = await store.jobs.submit(tenant, claim_id, entries, idempotency_key=idempotency_key)
    return job


async def leased(
    store: Store, tenant: str = TENANT, claim_id: str = "C-1", content: bytes = FILE, *, worker_id: str = "worker-1"
) -> Lease:
    """A worker's lease on a newly uploaded file; the queue must be empty before."""
    job = await submit(store, tenant, claim_id, [content])
    lease = await store.jobs.lease(worker_id, ttl=TTL)
    assert lease is not None
    assert lease.job_id == job.job_id
    return lease


async def stored(
    store: Store,
    tenant: str = TENANT,
    claim_id: str = "C-1",
    content: bytes = FILE,
    *,
    given: Sequence[PageVectors] = (),
    pages: int = 1,
) -> list[Page]:
    """Pages of a newly uploaded file, numbered from 1, the claim made where it is missing; its entry stays leased."""
    lease = await leased(store, tenant, claim_id, content)
    made = (
        [new_page(lease, place + 1, one) for place, one in enumerate(given)]
        if given
        else [new_page(lease, number) for number in range(1, pages + 1)]
    )
    await store.pages.put(lease, made)
    found = await store.pages.get_many(tenant, [new.page.page_id for new in made])
    return [found[new.page.page_id] for new in made]


async def take(store: Store, worker_id: str = "worker-1") -> Lease:
    lease = await store.jobs.lease(worker_id, ttl=TTL)
    assert lease is not None
    return lease


async def entry_states(store: Store, job: Job) -> list[str]:
    return [entry.state.value for entry in (await store.jobs.get(TENANT, job.job_id)).entries]
