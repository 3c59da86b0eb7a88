"""Services for the length of one command."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.services import Services
from app.settings import Settings
from app.wiring import build_services


@asynccontextmanager
async def session(settings: Settings) -> AsyncGenerator[Services]:
    """Raises InvalidInput bad_store, StoreUnavailable."""
    services = await build_services(settings.model_copy(update={"workers": 1}))
    try:
        yield services
    finally:
        await services.close()
