"""The API over an embedded store and the fake encoder, spoken to without a socket."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from PIL import Image

from app.auditing import QueryMarks
from app.main import create_app
from app.services import Services
from models import Encoder
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.worker import Worker
from retrieval.journal import AuditJournal
from retrieval.ports import Store
from retrieval.stores import open_store
from tests.fakes.encoder import FakeEncoder, draw_words

BASE_URL = "http://127.0.0.1"
TENANT = "test-tenant"
MARKS = QueryMarks(b"k" * 32)
SMALL = Limits(file_bytes=2 * 1024 * 1024, request_bytes=5 * 1024 * 1024)


@dataclass
class Api:
    """client: speaks to the app. work: lets a worker do all that waits. spool: where uploads lie on their way."""

    app: FastAPI
    client: httpx2.AsyncClient
    services: Services
    encoder: FakeEncoder
    spool: Path

    async def work(self) -> None:
        worker = Worker(
            self.services.store, self.encoder, worker_id="test", work_dir=self.spool, limits=self.services.limits
        )
        while await worker.run_once():
            pass

    async def put_claim(self, claim_id: str = "C-1", **facts: Any) -> dict[str, Any]:
        reply = await self.client.put(f"/v1/claims/{claim_id}", json=facts)
        assert reply.status_code in (200, 201), reply.text
        return dict(reply.json())

    async def upload(self, claim_id: str, *files: tuple[str, bytes], **options: Any) -> httpx2.Response:
        return await self.client.post(
            f"/v1/claims/{claim_id}/assets", files=[("files", file) for file in files], **options
        )

    async def add_page(self, words: Sequence[str], claim_id: str = "C-1", **facts: Any) -> dict[str, Any]:
        """A claim with a picture of these words, indexed; the hit that a search for them gives."""
        await self.put_claim(claim_id, **facts)
        reply = await self.upload(claim_id, (f"{'-'.join(words)}.png", picture(words)))
        assert reply.status_code == 202, reply.text
        await self.work()
        found = await self.client.post(
            "/v1/search", json={"text": " ".join(words), "filter": {"claim_id": claim_id}, "limit": 1}
        )
        assert found.status_code == 200, found.text
        return dict(found.json()["hits"][0])


def services_over(
    store: Store, spool: Path, *, encoder: Encoder | None = None, limits: Limits = SMALL, **options: Any
) -> Services:
    """Services with the fake encoder. options: those of Services, in place of what is used here."""

    async def load() -> Encoder:
        return encoder or FakeEncoder()

    usual = {"load_encoder": load, "tenant": TENANT, "marks": MARKS}
    return Services(
        store=store,
        intake=Intake(store, spool, limits),
        limits=limits,
        journal=AuditJournal(store.audit, spool.parent / "journal"),
        **(usual | options),
    )


MakeApi = Callable[..., Awaitable[Api]]


def picture(words: Sequence[str], kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    draw_words(words).save(target, kind)
    return target.getvalue()


def noise(*, side: int = 900) -> bytes:
    """A PNG that does not compress: side 900 gives about 0.8 MB."""
    target = io.BytesIO()
    Image.effect_noise((side, side), 90).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
async def make_api(tmp_path: Path) -> AsyncIterator[MakeApi]:
    """Builds APIs over one data folder; options are those of Services. All are closed at the end."""
    closing: list[Callable[[], Awaitable[None]]] = []

    async def make(
        *, encoder: FakeEncoder | None = None, limits: Limits = SMALL, store: Store | None = None, **options: Any
    ) -> Api:
        fake = encoder or FakeEncoder()
        store = store or await open_store(f"sqlite:{tmp_path / 'data'}")
        spool = tmp_path / "data" / "spool"
        services = services_over(store, spool, encoder=fake, limits=limits, **options)
        app = create_app(services)
        lifespan = app.router.lifespan_context(app)
        await lifespan.__aenter__()
        client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app, raise_app_exceptions=True), base_url=BASE_URL)

        async def close() -> None:
            await client.aclose()
            await lifespan.__aexit__(None, None, None)

        closing.append(close)
        return Api(app, client, services, fake, spool)

    yield make
    for close in reversed(closing):
        await close()


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    return await make_api()
