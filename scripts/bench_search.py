"""Search through the API among 10,000 stored pages with a filter that 5 % of them pass: p50, p95, who takes the time.

    python scripts/bench_search.py [--pages 10000] [--large]

Fills an embedded store with random vectors of the encoder's shape through the store ports, starts `claimsight serve` on
it, and asks over HTTP; the reply says what encoder, store and rerank took. --large measures 100,000 pages as well, the
same questions in turn with the other collection: the first search comes at once after the start, the others once all
sketches are read. Writes docs/benchmarks/search.csv; rows of other collection sizes stay in it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any
from unittest.mock import patch

import httpx2
import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))

from models import Encoder, create_encoder, encoder_id, quantise_tokens
from retrieval.documents import Asset, Claim, EntryState, NewEntry, NewPage, Page, PageVectors, page_id_of
from retrieval.ports import EntryOutcome, Store
from retrieval.search import EXACT_LIMIT
from retrieval.stores.sqlite import SqliteStore
from scripts.bench import record
from tests.e2e.processes import Server, serving

TARGET = record.BENCHMARKS / "search.csv"
LARGE = 100_000
SKETCHING_LIMIT_S = 900
TENANT = "default"
PAGES_A_CLAIM = 20
FILTERED_SHARE = 20  # one claim in twenty passes the filter
FILTER = {"line": "travel"}
FILTER_NAMES = {True: "5 %", False: "none"}
STAGES = {"encoder": ("encode",), "store": ("candidates", "fetch"), "rerank": ("rerank",)}
WORDS = "hail windshield repair estimate invoice total theft police report water damage kitchen bumper door policy 2024"
_TTL = timedelta(seconds=60)


@dataclass(frozen=True)
class Measured:
    """One filter's searches. took_ms: on the caller's clock; stages_ms: as each reply says; first_ms: the first search
    of a server that has just started. sketched_s: from then until the sketches of all pages were in memory; 0 where
    none are wanted."""

    filtered: bool
    first_ms: float
    sketched_s: float
    took_ms: Sequence[float]
    stages_ms: Sequence[Mapping[str, float]]

    def row(self) -> dict[str, object]:
        whole = sum(self.took_ms)
        spent = {
            name: sum(stages.get(part, 0.0) for stages in self.stages_ms for part in parts)
            for name, parts in STAGES.items()
        }
        shares = {f"{name}_share": round(value / whole, 3) for name, value in spent.items()}
        return {
            "filter": FILTER_NAMES[self.filtered],
            "queries": len(self.took_ms),
            "p50_ms": round(statistics.median(self.took_ms), 1),
            "p95_ms": round(statistics.quantiles(self.took_ms, n=20)[-1], 1),
            **shares,
            "http_share": round(1 - sum(spent.values()) / whole, 3),
            "first_ms": round(self.first_ms),
            "sketched_s": round(self.sketched_s),
        }


def questions(count: int) -> list[str]:
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(WORDS.split(), 3, replace=False)) for _ in range(count)]


async def fill(store: Store, encoder: Encoder, *, pages: int, tokens: int) -> None:
    """Pages with random unit vectors, `PAGES_A_CLAIM` to a claim and file; every twentieth claim passes FILTER."""
    rng = np.random.default_rng(0)
    [probe] = await encoder.encode_queries(["probe"])
    width = None if probe.tokens is None else probe.tokens.shape[1]
    await store.ensure_index(dims=encoder.dims)
    for number in track(range(pages // PAGES_A_CLAIM), f"{pages} pages"):
        claim_id = f"B-{number:05d}"
        line = "travel" if number % FILTERED_SHARE == 0 else "auto"
        await store.claims.put(TENANT, Claim(claim_id=claim_id, line=line, loss_amount=float(number)))
        content = claim_id.encode()
        asset = Asset(sha256(content).hexdigest(), claim_id, f"{claim_id}.pdf", len(content))
        with NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            await store.assets.add(TENANT, asset, Path(file.name))
        await store.jobs.submit(TENANT, claim_id, [NewEntry(asset.filename, asset.asset_id)])
        lease = await store.jobs.lease("bench", ttl=_TTL)
        if lease is None:
            raise RuntimeError("the queue is not empty")
        made: list[NewPage] = []
        for place in range(1, PAGES_A_CLAIM + 1):
            page_id = page_id_of(claim_id, asset.asset_id, place)
            page = Page(page_id, claim_id, asset.asset_id, place, "page", 1240, 1754, encoder_id(encoder))
            made.append(NewPage(page, random_vectors(rng, encoder, width, tokens), b"no picture"))
        await store.pages.put(lease, made)
        await store.jobs.finish(lease, EntryOutcome(EntryState.succeeded))


def random_vectors(rng: np.random.Generator, encoder: Encoder, width: int | None, tokens: int) -> PageVectors:
    summary = _unit(rng.standard_normal(encoder.dims, np.float32))
    if width is None:
        return PageVectors(summary=summary, encoder=encoder_id(encoder))
    rows, scales = quantise_tokens(_unit(rng.standard_normal((tokens, width), np.float32)))
    corner = rng.integers(0, 1000, (tokens, 2))
    cells = np.concatenate([corner, corner + np.array([120, 32])], axis=1).astype(np.uint16)
    return PageVectors(summary, encoder_id(encoder), rows, scales, cells)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def wait_for_sketches(client: httpx2.Client, pages: int) -> float:
    """Seconds until that many pages have a sketch. Raises RuntimeError after SKETCHING_LIMIT_S."""
    started = time.perf_counter()
    while (waited := time.perf_counter() - started) < SKETCHING_LIMIT_S:
        text = client.get("/metrics").raise_for_status().text
        families = text_string_to_metric_families(text)
        if any(family.name == "claimsight_sketched_pages" and family.samples[0].value >= pages for family in families):
            return waited
        time.sleep(1)
    raise RuntimeError(f"not all of {pages} pages had a sketch in {SKETCHING_LIMIT_S} s")


def ask(services: Mapping[int, Server], asked: Sequence[str], *, filtered: bool) -> dict[int, Measured]:
    """services: by number of pages. Each question goes to one after the other, so that whatever else the machine does
    falls on all. The first question pays for what is not in memory yet and is kept apart."""
    sketched_s = dict.fromkeys(services, 0.0)
    answers: dict[int, list[tuple[float, Mapping[str, float]]]] = {pages: [] for pages in services}
    with ExitStack() as stack:
        clients = {pages: stack.enter_context(server.client(timeout_s=300)) for pages, server in services.items()}
        for pages, client in clients.items():
            answers[pages].append(answer(client, asked[0], filtered=filtered))
            if not filtered and pages > EXACT_LIMIT:
                sketched_s[pages] = wait_for_sketches(client, pages)
        for text in track(asked[1:], f"searches, filter {FILTER_NAMES[filtered]}"):
            for pages, client in clients.items():
                answers[pages].append(answer(client, text, filtered=filtered))
    measured: dict[int, Measured] = {}
    for pages, ((first_ms, _), *others) in answers.items():
        took_ms, stages_ms = zip(*others, strict=True)
        measured[pages] = Measured(filtered, first_ms, sketched_s[pages], took_ms, stages_ms)
    return measured


def answer(client: httpx2.Client, text: str, *, filtered: bool) -> tuple[float, Mapping[str, float]]:
    """Milliseconds on the caller's clock, and of each stage as the reply says."""
    body: dict[str, Any] = {"text": text, "limit": 10} | ({"filter": FILTER} if filtered else {})
    started = time.perf_counter()
    reply = client.post("/v1/search", json=body).raise_for_status()
    took_ms = (time.perf_counter() - started) * 1000
    found = reply.json()
    if len(found["hits"]) != 10:
        raise RuntimeError(f"{len(found['hits'])} hits instead of 10")
    return took_ms, found["stages_ms"]


async def prepare(folder: Path, *, pages: int, tokens: int) -> str:
    """Fills the store that `serving(folder)` opens; the name of the encoder."""
    encoder = create_encoder("local")
    store = await SqliteStore.open(folder / "data")
    try:
        await fill(store, encoder, pages=pages, tokens=tokens)
        return encoder_id(encoder)
    finally:
        await store.close()
        await encoder.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--large", action="store_true", help=f"measure {LARGE} pages as well, in the same run")
    parser.add_argument("--tokens", type=int, default=270, help="token vectors a page; 270: a mixed page")
    parser.add_argument("--queries", type=int, default=100)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends too
    stamp = record.stamp(["torch", "numpy", "fastapi", "uvicorn"])
    asked = questions(given.queries + 1)
    rows: list[dict[str, object]] = []
    with TemporaryDirectory() as name:
        folders = {pages: Path(name) / str(pages) for pages in (given.pages, *([LARGE] if given.large else []))}
        encoder = ""
        for pages, folder in folders.items():
            folder.mkdir()
            # Nothing here is about power cuts, and waiting for the disk takes longer than all the rest.
            with patch("os.fsync"):
                encoder = asyncio.run(prepare(folder, pages=pages, tokens=given.tokens))
        for filtered in (True, False):
            # Services of their own for each, so that one filter's searches do not warm the other's.
            with ExitStack() as stack:
                services = {pages: stack.enter_context(serving(folder, workers=0)) for pages, folder in folders.items()}
                for pages, measured in ask(services, asked, filtered=filtered).items():
                    common = {"pages": pages, "tokens_a_page": given.tokens, "encoder": encoder}
                    rows.append({**common, **measured.row(), **stamp})
    rows.sort(key=lambda row: int(str(row["pages"])))
    record.replace_rows(TARGET, rows, key="pages")
    record.show(rows)


if __name__ == "__main__":
    main()
