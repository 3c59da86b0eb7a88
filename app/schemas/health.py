"""What /healthz and /readyz say."""

from __future__ import annotations

from typing import Literal

from app.schemas.common import Reply


class HealthReply(Reply):
    status: Literal["alive"] = "alive"


class StoreCheck(Reply):
    ok: bool
    engine: str
    detail: str = ""


class IndexCheck(Reply):
    """pages, indexed: stored, and found in the vector index; null for strangers."""

    ok: bool
    state: str
    pages: int | None
    indexed: int | None
    detail: str = ""


class EncoderCheck(Reply):
    """state: waiting, loading, ready, failing (loaded, and the last question failed at it), failed (to load). name: in
    use once loaded. stored: pages by the encoder that made them; stale: those that search cannot use; both null for
    strangers."""

    ok: bool
    state: str
    name: str | None
    stored: dict[str, int] | None
    stale: int | None
    detail: str = ""


class QueueCheck(Reply):
    queued: int
    running: int
    oldest_queued_s: float


class WorkersCheck(Reply):
    """Ingest processes under this server; wanted 0 where workers run elsewhere."""

    ok: bool
    alive: int
    wanted: int


class ReadyReply(Reply):
    ready: bool
    store: StoreCheck
    index: IndexCheck | None
    encoder: EncoderCheck
    queue: QueueCheck | None
    workers: WorkersCheck

    def for_strangers(self) -> ReadyReply:
        """Without figures over all tenants."""
        index = self.index and self.index.model_copy(update={"pages": None, "indexed": None})
        encoder = self.encoder.model_copy(update={"stored": None, "stale": None})
        return self.model_copy(update={"index": index, "encoder": encoder, "queue": None})
