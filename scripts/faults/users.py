"""People at work on one service: some search, some upload, each waits a moment between two requests."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2

from scripts.faults.house import document

TIMEOUT_S = 60.0
WORDS = ("hail", "windshield", "repair", "estimate", "invoice", "total", "theft", "police", "report", "kitchen")


@dataclass
class Answers:
    """took_ms: of the requests that were answered with what was asked for. statuses: of all; "lost": no answer."""

    took_ms: list[float] = field(default_factory=list[float])
    statuses: Counter[str] = field(default_factory=Counter[str])

    def note(self, status: str, took_ms: float) -> None:
        self.statuses[status] += 1
        if status in ("200", "202"):
            self.took_ms.append(took_ms)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.took_ms)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else 0.0


@dataclass(frozen=True)
class Crowd:
    """searching, uploading: people. think_s: mean wait of one between an answer and the next request."""

    url: str
    searching: int
    uploading: int
    think_s: float
    seconds: float
    seed: int


def work(crowd: Crowd) -> tuple[Answers, Answers]:
    """Answers of searches and of uploads. Runs in a process of its own, so that it measures the service alone."""
    return asyncio.run(_work(crowd))


async def _work(crowd: Crowd) -> tuple[Answers, Answers]:
    searches, uploads = Answers(), Answers()
    until = time.monotonic() + crowd.seconds
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=crowd.searching + crowd.uploading)
    async with (
        httpx2.AsyncClient(base_url=crowd.url, timeout=TIMEOUT_S, limits=limits) as client,
        asyncio.TaskGroup() as people,
    ):
        for number in range(crowd.searching):
            people.create_task(_search(client, crowd, number, until, searches))
        for number in range(crowd.uploading):
            people.create_task(_upload(client, crowd, number, until, uploads))
    return searches, uploads


async def _search(client: httpx2.AsyncClient, crowd: Crowd, number: int, until: float, answers: Answers) -> None:
    chance = random.Random(crowd.seed * 1000 + number)
    await asyncio.sleep(chance.uniform(0, crowd.think_s))
    while time.monotonic() < until:
        asked = {
            "text": " ".join(chance.sample(WORDS, 2)),
            "filter": {"line": "auto"},
            "group_by": "claim",
            "limit": 10,
        }
        wait_s = await _timed(client, answers, "POST", "/v1/search", json=asked)
        await asyncio.sleep(max(wait_s, chance.expovariate(1 / crowd.think_s) if crowd.think_s else 0.0))


async def _upload(client: httpx2.AsyncClient, crowd: Crowd, number: int, until: float, answers: Answers) -> None:
    chance = random.Random(crowd.seed * 1000 + 500 + number)
    sent = 0
    while time.monotonic() < until:
        claim_id = f"L-{crowd.seed}-{number}-{sent}"
        sent += 1
        file = await asyncio.to_thread(document, claim_id, chance.randint(1, 3))
        await client.put(f"/v1/claims/{claim_id}", json={"line": chance.choice(("auto", "travel"))})
        files = {"files": (f"{claim_id}.pdf", file)}
        wait_s = await _timed(client, answers, "POST", f"/v1/claims/{claim_id}/assets", files=files)
        await asyncio.sleep(max(wait_s, 5 * crowd.think_s))


async def _timed(client: httpx2.AsyncClient, answers: Answers, method: str, path: str, **body: object) -> float:
    """Seconds that the service asks to wait."""
    began = time.perf_counter()
    try:
        reply = await client.request(method, path, **body)  # type: ignore[arg-type]
    except httpx2.TransportError:
        answers.note("lost", 0.0)
        return 1.0
    answers.note(str(reply.status_code), (time.perf_counter() - began) * 1000)
    return float(reply.headers.get("Retry-After", 0))
