"""Settings to services: the only place that knows concrete stores and encoders."""

from __future__ import annotations

import asyncio
import os

from prometheus_client import CollectorRegistry

from app.auditing import query_marks
from app.metrics import Metrics
from app.observing import Observer
from app.oidc import Tokens
from app.services import Services
from app.settings import Settings
from app.tracing import open_tracing
from models import Encoder, EncoderOptions, create_encoder
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import MIB
from retrieval.journal import AuditJournal
from retrieval.ports import Store
from retrieval.stores import open_store


async def build_services(settings: Settings) -> Services:
    """Opens the store; the encoder loads when it is first wanted. Raises InvalidInput bad_store, StoreUnavailable."""
    metrics = Metrics(CollectorRegistry())
    endpoint = settings.otlp_endpoint
    tracing = await asyncio.to_thread(open_tracing, endpoint) if endpoint else None
    store = Observer(metrics, tracing).store(await open_configured_store(settings))
    limits, trust = settings.limits(), settings.trust()
    marks = await asyncio.to_thread(query_marks, settings.audit_key_path(), kept=settings.audit_queries == "kept")
    api_key = settings.api_key.get_secret_value() if settings.api_key is not None else None
    return Services(
        store=store,
        load_encoder=lambda: load_encoder(settings),
        intake=Intake(store, settings.spool_folder(), limits),
        limits=limits,
        tenant=settings.tenant,
        journal=AuditJournal(store.audit, settings.spool_folder() / "audit", observe=metrics.audit_sync),
        metrics=metrics,
        tracing=tracing,
        marks=marks,
        api_key=api_key,
        tokens=Tokens(trust) if trust is not None else None,
        rate_per_minute=settings.rate_per_minute,
        rate_burst=settings.rate_burst,
        max_files=settings.max_files,
        max_requests=settings.max_requests,
        max_searches=settings.max_searches,
        max_queued=settings.max_queued,
        cache_bytes=settings.cache_mib * MIB,
        sketch_bytes=settings.sketch_mib * MIB,
    )


async def open_configured_store(settings: Settings) -> Store:
    """Raises InvalidInput bad_store and bad_encryption_key, StoreUnavailable, encryption_key_missing among others."""
    return await open_store(
        settings.store.get_secret_value(),
        max_attempts=settings.max_attempts,
        spool=settings.spool_folder(),
        keys=await asyncio.to_thread(settings.keys),
    )


async def load_encoder(settings: Settings, name: str | None = None) -> Encoder:
    """The encoder called `name`, else the one of the settings; its weights are read on a thread.

    Raises EncoderError and whatever a broken installation raises.
    """
    options = EncoderOptions(
        device=settings.device,
        threads=encoder_threads(settings),
        voyage_api_key=settings.voyage_api_key.get_secret_value(),
        voyage_base_url=settings.voyage_base_url,
        voyage_dims=settings.voyage_dims,
        voyage_timeout_s=settings.voyage_timeout_s,
    )
    return await asyncio.to_thread(create_encoder, name or settings.encoder, options)


def encoder_threads(settings: Settings) -> int:
    """As set, else a fair share: a server and its workers each have an encoder."""
    return settings.threads or max(1, (os.cpu_count() or 1) // max(1, settings.workers))
