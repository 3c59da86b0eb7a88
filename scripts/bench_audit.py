"""What the audit of a search costs: a search through the API without a record, with its record in the journal (as it
is), and with its record appended to the chain of the store before the answer (as it was before the journal).

    python scripts/bench_audit.py [--pages 2000] [--searches 300]

One embedded store of random vectors and the light encoder of the tests, the three in turn within one run: while
nothing else happens, and while another process stores pages without a pause, as a worker does. Writes
docs/benchmarks/audit.csv.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.auditing import QueryMarks
from app.logs import configure_logs
from app.main import create_app
from app.services import Services
from retrieval.documents import AuditEvent
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import Limits
from retrieval.journal import AuditJournal
from retrieval.ports import Store
from retrieval.stores import open_store
from scripts.bench import record
from scripts.bench_search import PAGES_A_CLAIM, TENANT, fill, questions
from tests.fakes.encoder import FakeEncoder

TARGET = record.BENCHMARKS / "audit.csv"
TOKENS = 270
A_TURN = 10


class Nothing:
    async def record(self, tenant: str, event: AuditEvent) -> None:
        pass


class Chain:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, tenant: str, event: AuditEvent) -> None:
        await self._store.audit.append(tenant, event)


async def measure(folder: Path, searches: int) -> list[dict[str, object]]:
    """Rows without the stamp; the store in `folder` is filled."""
    store = await open_store(f"sqlite:{folder}")

    async def load() -> FakeEncoder:
        return FakeEncoder()

    journal = AuditJournal(store.audit, folder / "journal")
    limits = Limits()
    services = Services(
        store=store,
        load_encoder=load,
        intake=Intake(store, folder / "spool", limits),
        limits=limits,
        tenant=TENANT,
        journal=journal,
        marks=QueryMarks(b"k" * 32),
    )
    app = create_app(services)
    ways: dict[str, Any] = {"none": Nothing(), "journal": journal, "chain": Chain(store)}
    rows: list[dict[str, object]] = []
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client,
    ):
        await _ask(client, "warm up")
        for meanwhile in ("nothing", "pages are stored"):
            took: dict[str, list[float]] = {name: [] for name in ways}
            with writing(folder, is_wanted=meanwhile != "nothing"):
                asked = questions(searches)
                for start in range(0, searches, A_TURN):
                    for name, way in ways.items():
                        services.journal = way
                        took[name] += [await _ask(client, text) for text in asked[start : start + A_TURN]]
            services.journal = journal
            rows += [
                {
                    "record": name,
                    "meanwhile": meanwhile,
                    "searches": len(times),
                    "p50_ms": round(statistics.median(times), 1),
                    "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
                }
                for name, times in took.items()
            ]
    return rows


async def _ask(client: httpx2.AsyncClient, text: str) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    (await client.post("/v1/search", json={"text": text, "limit": 10})).raise_for_status()
    return (time.perf_counter() - began) * 1000


@contextmanager
def writing(folder: Path, *, is_wanted: bool) -> Generator[None]:
    """Another process stores the pages of one claim in the same folder, again and again."""
    if not is_wanted:
        yield
        return
    spawn = multiprocessing.get_context("spawn")
    started, stop = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_write, args=(folder, started, stop))
    process.start()
    try:
        started.wait(60)
        yield
    finally:
        stop.set()
        process.join(60)


def _write(folder: Path, started: Event, stop: Event) -> None:
    async def run() -> None:
        store = await open_store(f"sqlite:{folder}")
        started.set()
        with redirect_stdout(StringIO()):  # a bar for each file
            while not stop.is_set():
                await fill(store, FakeEncoder(), pages=PAGES_A_CLAIM, tokens=TOKENS)
        await store.close()

    asyncio.run(run())


async def _prepare(folder: Path, pages: int) -> None:
    store = await open_store(f"sqlite:{folder}")
    await fill(store, FakeEncoder(), pages=pages, tokens=TOKENS)
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--searches", type=int, default=300)
    given = parser.parse_args()
    configure_logs("error")
    stamp = record.stamp(["fastapi", "numpy"])
    with TemporaryDirectory() as name:
        asyncio.run(_prepare(Path(name), given.pages))
        rows = asyncio.run(measure(Path(name), given.searches))
    rows = [{**row, "pages": given.pages, **stamp} for row in rows]
    record.write_csv(TARGET, rows)
    record.show(rows)


if __name__ == "__main__":
    main()
