"""Ingest of one long PDF through the running service: pages a second, peak memory at 50 and at all pages, and how
quickly the API answers meanwhile.

    python scripts/bench_ingest.py [PDF]

Each length gets a service of its own, so that the peak of one run is not the floor of the next. Writes
docs/benchmarks/ingest.csv.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pypdfium2

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.bench import record
from scripts.bench.memory import MemoryWatch
from tests.e2e.processes import Server, serving, wait_for_job

DEFAULT = record.REPOSITORY.parent / "shared" / "data" / "docs" / "samples" / "real" / "manual_400_pages.pdf"
TARGET = record.BENCHMARKS / "ingest.csv"
SHORT_PAGES = 50
IDLE_S = 10.0
ASK_EVERY_S = 0.05
JOB_LIMIT_S = 1800
RENDERING = ("render_child", "pdftoppm", "pdfinfo")


def role(command: str) -> str:
    if any(name in command for name in RENDERING):
        return "render"
    return "worker" if " worker" in command else "server"


@dataclass
class Answers:
    """Milliseconds of requests for one page: what is known about it, and its picture 320 pixels wide."""

    page_ms: list[float] = field(default_factory=list[float])
    image_ms: list[float] = field(default_factory=list[float])

    def columns(self, when: str) -> dict[str, float]:
        return {f"{when}_page_p95_ms": _p95(self.page_ms), f"{when}_image_p95_ms": _p95(self.image_ms)}


def _p95(values: list[float]) -> float:
    return round(statistics.quantiles(values, n=20)[-1], 1)


@contextmanager
def asking(server: Server, page_id: str) -> Generator[Answers]:
    """Asks for a page and for its picture in turn, from a thread of its own, until the block ends."""
    answers, stop = Answers(), threading.Event()

    def timed(client: httpx2.Client, path: str) -> float:
        started = time.perf_counter()
        client.get(path).raise_for_status()
        return (time.perf_counter() - started) * 1000

    def run() -> None:
        with server.client() as client:
            while not stop.wait(ASK_EVERY_S):
                answers.page_ms.append(timed(client, f"/v1/pages/{page_id}"))
                answers.image_ms.append(timed(client, f"/v1/pages/{page_id}/image?width=320"))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def ingest(server: Server, claim_id: str, pdf: Path) -> tuple[int, float]:
    """Uploads the file and waits for its job: pages stored, seconds from the first byte to the last page."""
    with server.client(timeout_s=120) as client:
        client.put(f"/v1/claims/{claim_id}", json={"line": "other"}).raise_for_status()
        started = time.perf_counter()
        job = client.post(f"/v1/claims/{claim_id}/assets", files=[("files", (pdf.name, pdf.read_bytes()))])
        done = wait_for_job(client, job.raise_for_status().json()["job_id"], limit_s=JOB_LIMIT_S)
        seconds = time.perf_counter() - started
    entry = done["entries"][0]
    if entry["state"] != "succeeded" or entry["failed_pages"]:
        raise RuntimeError(f"{pdf.name}: {entry}")
    return entry["pages_done"], seconds


def measure(folder: Path, pdf: Path, *, workers: int) -> dict[str, object]:
    """One service: warmed with one page, asked while idle, then given the file."""
    with serving(folder, workers=workers) as server:
        ingest(server, "WARM", first_pages(pdf, 1, folder))
        with server.client() as client:
            page_id = client.get("/v1/claims/WARM/pages").raise_for_status().json()["items"][0]["page_id"]
        with asking(server, page_id) as idle:
            time.sleep(IDLE_S)
        with MemoryWatch(server.process.pid, role) as memory, asking(server, page_id) as busy:
            count, seconds = ingest(server, "BENCH", pdf)
    return {
        "pages": count,
        "workers": workers,
        "seconds": round(seconds, 1),
        "pages_per_s": round(count / seconds, 2),
        **{f"peak_{name}_mib": memory.peak_mib(name) for name in ("worker", "render", "server")},
        "peak_all_mib": memory.peak_mib(),
        **idle.columns("idle"),
        **busy.columns("busy"),
    }


def first_pages(pdf: Path, count: int, folder: Path) -> Path:
    source, target = pypdfium2.PdfDocument(pdf), pypdfium2.PdfDocument.new()
    target.import_pages(source, list(range(min(count, len(source)))))
    path = folder / f"first_{count}.pdf"
    target.save(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pdf", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends too
    if not given.pdf.is_file():
        raise SystemExit(f"There is no file {given.pdf}. Name a PDF of several hundred pages.")
    stamp = record.stamp(["torch", "pypdfium2", "pillow", "uvicorn"])
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pdf in (first_pages(given.pdf, SHORT_PAGES, folder), given.pdf):
            rows.append({**measure(Path(tempfile.mkdtemp(dir=folder)), pdf, workers=given.workers), **stamp})
            print(f"{pdf.name}: {rows[-1]['pages']} pages in {rows[-1]['seconds']} s", flush=True)
    record.write_csv(TARGET, rows)
    record.show(rows)


if __name__ == "__main__":
    main()
