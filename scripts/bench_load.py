"""People at work: 50 search and 5 upload at once, for five minutes, on each engine.

    python scripts/bench_load.py [--minutes 5] [--searching 50] [--uploading 5] [--think 2] [--engine sqlite|mongodb]

A test of the service, not of a model: embeddings come from the light fake of the embedding service, MongoDB is the
server of the tests with its stand-in for vector search. Service, fakes and people share the machine. First one person
searches alone (idle), then all of them; memory is the proportional set size of the server and its worker (without the
rendering processes, which come and go), after a warm-up of a fifth of the time, and at the end. Writes
docs/benchmarks/load.csv.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import median

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.bench import record
from scripts.bench.memory import KIB_A_MIB, pss_kib
from scripts.bench.processes import descendants
from scripts.faults.house import House, document, house, say
from scripts.faults.users import Answers, Crowd, work

TARGET = record.BENCHMARKS / "load.csv"
SEED = 20261130
PAGES_A_CLAIM = 5
IDLE_SHARE = 0.2
WARM_UP_SHARE = 0.2
SAMPLES = 9
SAMPLE_EVERY_S = 1.0
RENDERING = ("render_child", "pdftoppm", "pdfinfo")


def fill(made: House, claims: int) -> int:
    """Claims to search among; how many pages."""
    with made.server.client(timeout_s=120) as client:
        jobs: list[str] = []
        for number in range(claims):
            client.put(f"/v1/claims/C-{number}", json={"line": "auto"}).raise_for_status()
            file = (f"{number}.pdf", document(f"claim {number}", PAGES_A_CLAIM))
            reply = client.post(f"/v1/claims/C-{number}/assets", files=[("files", file)])
            jobs.append(reply.raise_for_status().json()["job_id"])
    for job in jobs:
        made.wait_done(job)
    return claims * PAGES_A_CLAIM


def memory_mib(made: House) -> float:
    """Median of a few samples."""
    samples: list[float] = []
    for _ in range(SAMPLES):
        kib = 0
        for pid in descendants(made.server.process.pid):
            with suppress(OSError):
                if not any(name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() for name in RENDERING):
                    kib += pss_kib(pid)
        samples.append(kib / KIB_A_MIB)
        time.sleep(SAMPLE_EVERY_S)
    return round(median(samples), 1)


def measure(engine: str, given: argparse.Namespace, pool: Pool) -> dict[str, object]:
    seconds = given.minutes * 60
    with house(engine, SEED, workers=1) as made:
        pages = fill(made, given.claims)
        say(f"{engine}: {pages} pages are there")
        url = made.server.url
        idle, _ = pool.apply(work, [Crowd(url, 1, 0, 0.2, IDLE_SHARE * seconds, SEED)])
        crowd = Crowd(url, given.searching, given.uploading, given.think, seconds, SEED + 1)
        working = pool.apply_async(work, [crowd])
        time.sleep(WARM_UP_SHARE * seconds)
        before = memory_mib(made)
        searches, uploads = working.get()
        after = memory_mib(made)
        queued = httpx2.get(f"{url}/readyz", timeout=60).json()["queue"]["queued"]
    return {
        "engine": engine,
        "searching": given.searching,
        "uploading": given.uploading,
        "think_s": given.think,
        "minutes": given.minutes,
        "pages_before": pages,
        "searches": searches.statuses["200"],
        "searches_busy": searches.statuses["503"],
        "searches_other": _others(searches, "200"),
        "uploads": uploads.statuses["202"],
        "uploads_busy": uploads.statuses["503"],
        "uploads_other": _others(uploads, "202"),
        "queued_at_end": queued,
        "idle_p50_ms": idle.quantile(0.5),
        "idle_p95_ms": idle.quantile(0.95),
        "p50_ms": searches.quantile(0.5),
        "p95_ms": searches.quantile(0.95),
        "p99_ms": searches.quantile(0.99),
        "upload_p95_ms": uploads.quantile(0.95),
        "memory_before_mib": before,
        "memory_after_mib": after,
        "memory_growth_percent": round(100 * (after / before - 1), 1),
    }


def _others(answers: Answers, right: str) -> int:
    return sum(count for status, count in answers.statuses.items() if status not in (right, "503"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--searching", type=int, default=50)
    parser.add_argument("--uploading", type=int, default=5)
    parser.add_argument("--think", type=float, default=2.0, help="mean seconds between an answer and the next question")
    parser.add_argument("--claims", type=int, default=40, help="of 5 pages each, there before")
    parser.add_argument("--engine", choices=("sqlite", "mongodb"), action="append")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends too
    stamp = record.stamp(["fastapi", "uvicorn", "pymongo", "secantusdb"])
    rows: list[dict[str, object]] = []
    with get_context("spawn").Pool(1) as pool:
        for engine in given.engine or ("sqlite", "mongodb"):
            rows.append({**measure(engine, given, pool), **stamp})
            record.replace_rows(TARGET, rows, key="engine")
    record.show(rows)


if __name__ == "__main__":
    main()
