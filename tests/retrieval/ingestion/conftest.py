"""A store, an intake and a worker on a fake encoder, and the sample files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrieval.documents import Claim, Job
from retrieval.errors import Refused
from retrieval.ingestion.intake import Intake, Received, RefusedFile
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.render import Renderer, Rendering
from retrieval.ingestion.sniff import HEAD_BYTES, sniff
from retrieval.ingestion.worker import Worker
from retrieval.stores.sqlite import SqliteStore
from scripts.bench.processes import descendants
from tests.fakes.encoder import FakeEncoder

TENANT = "tenant-a"
CLAIM = "CLM-1"
SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "docs" / "samples"

# The rules are those of the default limits; only patience and sharpness are less, so that the suite stays quick.
QUICK = Limits(render_cpu_s=2, count_cpu_s=2, wall_s=30.0, long_side=1024)


def sample(name: str) -> Path:
    """A file of ../shared/data/docs/samples; the test is skipped where that folder is missing."""
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"the sample files are not here: ../shared/data/docs/samples/{name}")
    return path


@pytest.fixture
def no_poppler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


async def chunks_of(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def rendered(source: Path, folder: Path, *, limits: Limits = QUICK, first: int = 1, last: int = 20) -> Rendering:
    """Pages of a file, rendered into `folder`, by its bytes."""
    return await Renderer(limits).render(source, sniff(_head(source)), first=first, last=last, folder=folder)


def _head(source: Path) -> bytes:
    with source.open("rb") as file:
        return file.read(HEAD_BYTES)


_others: set[int] = set()


@pytest.fixture(autouse=True)
def _other_children() -> None:
    """Processes that were there before the test are somebody else's."""
    _others.clear()
    _others.update(children())


def children() -> list[int]:
    """Living processes below this one that the test started."""
    return [pid for pid in descendants(os.getpid())[1:] if pid not in _others]


def webp_chunks(data: bytes) -> set[bytes]:
    """The kinds of chunks in a WebP file: "VP8 " is the picture, others are metadata."""
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    found: set[bytes] = set()
    at = 12
    while at < len(data):
        found.add(data[at : at + 4])
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little") + data[at + 4] % 2
    return found


def resident_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class Clock:
    """The time of this machine, and how far a test has moved it on."""

    ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class House:
    """All that an ingest needs, in one data folder. clock: of the store."""

    clock: Clock
    store: SqliteStore
    encoder: FakeEncoder
    spool: Path
    limits: Limits

    @property
    def intake(self) -> Intake:
        return Intake(self.store, self.spool, self.limits)

    def worker(self, **options: object) -> Worker:
        settings = {"worker_id": "w1", "work_dir": self.spool, "limits": self.limits, "backoff_s": 0.0, **options}
        return Worker(self.store, self.encoder, **settings)  # type: ignore[arg-type]

    async def receive(self, name: str, data: bytes) -> Received | RefusedFile:
        try:
            return await self.intake.receive(name, chunks_of(data))
        except Refused as refused:
            return RefusedFile.of(name, refused)

    async def upload(self, files: Sequence[tuple[str, bytes]], *, claim_id: str = CLAIM) -> Job:
        received = [await self.receive(name, data) for name, data in files]
        job, _ = await self.intake.submit(TENANT, claim_id, received)
        return job

    async def ingest(self, files: Sequence[tuple[str, bytes]], *, claim_id: str = CLAIM) -> Job:
        """Uploads and works until nothing waits."""
        job = await self.upload(files, claim_id=claim_id)
        worker = self.worker()
        while await worker.run_once():
            pass
        return await self.store.jobs.get(TENANT, job.job_id)

    def left_over(self) -> list[str]:
        return sorted(os.listdir(self.spool)) if self.spool.is_dir() else []


@pytest.fixture
def limits() -> Limits:
    return QUICK


@pytest.fixture
async def house(tmp_path: Path, limits: Limits) -> AsyncIterator[House]:
    clock = Clock()
    store = await SqliteStore.open(tmp_path / "data", clock=clock)
    encoder = FakeEncoder()
    await store.ensure_index(dims=encoder.dims)
    await store.claims.put(TENANT, Claim(claim_id=CLAIM, line="auto"))
    yield House(clock, store, encoder, tmp_path / "spool", limits)
    await store.close()
