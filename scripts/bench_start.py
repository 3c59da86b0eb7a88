"""The first search after a start, asked at once and asked when what first searches want has been read.

    python scripts/bench_start.py [--pages 100000] [--starts 5]

Fills an embedded store as `bench_search.py` does and starts `claimsight serve` on it anew for each figure, the two ways
in turn, so that whatever else the machine does falls on both. Writes docs/benchmarks/start.csv; rows of other
collection sizes stay in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.bench import record
from scripts.bench_search import FILTER_NAMES, answer, prepare
from tests.e2e.processes import Server, serving

TARGET = record.BENCHMARKS / "start.csv"
LIMIT_S = 900
TEXT = "hail estimate invoice"
AT_ONCE, WARMED = "at once", "all is read"


def wait_until_warmed(server: Server, *, seen: int) -> None:
    """seen: bytes of the log from before this start. Raises RuntimeError after LIMIT_S."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        lines = server.log.read_bytes()[seen:].splitlines()
        if any(json.loads(line).get("event") == "warmed" for line in lines if line.endswith(b"}")):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the service had not read what searches want in {LIMIT_S} s")


def start_and_ask(folder: Path, *, filtered: bool, when: str) -> tuple[float, float]:
    """Milliseconds of the first search; seconds from readiness until it was asked."""
    log = folder / "serve.log"
    seen = log.stat().st_size if log.exists() else 0
    with serving(folder, workers=0) as server, server.client(timeout_s=300) as client:
        ready = time.perf_counter()
        if when == WARMED:
            wait_until_warmed(server, seen=seen)
        waited_s = time.perf_counter() - ready
        took_ms, _ = answer(client, TEXT, filtered=filtered)
    return took_ms, waited_s


def measure(folder: Path, *, starts: int) -> list[dict[str, object]]:
    found: dict[tuple[bool, str], list[tuple[float, float]]] = {}
    for _ in range(starts):
        for filtered in (True, False):
            for when in (AT_ONCE, WARMED):
                told = start_and_ask(folder, filtered=filtered, when=when)
                found.setdefault((filtered, when), []).append(told)
                print(f"filter {FILTER_NAMES[filtered]}, asked {when}: {told[0]:.0f} ms", flush=True)
    return [
        {
            "filter": FILTER_NAMES[filtered],
            "asked": when,
            "starts": starts,
            "first_ms": round(statistics.median(took_ms for took_ms, _ in figures)),
            "most_ms": round(max(took_ms for took_ms, _ in figures)),
            "read_s": round(statistics.median(waited_s for _, waited_s in figures), 1),
        }
        for (filtered, when), figures in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=270, help="token vectors a page; 270: a mixed page")
    parser.add_argument("--starts", type=int, default=5, help="starts for each figure")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends too
    stamp = record.stamp(["torch", "numpy", "fastapi", "uvicorn"])
    with TemporaryDirectory() as name:
        # Nothing here is about power cuts, and waiting for the disk takes longer than all the rest.
        with patch("os.fsync"):
            encoder = asyncio.run(prepare(Path(name), pages=given.pages, tokens=given.tokens))
        common = {"pages": given.pages, "tokens_a_page": given.tokens, "encoder": encoder}
        rows = [{**common, **row, **stamp} for row in measure(Path(name), starts=given.starts)]
    record.replace_rows(TARGET, rows, key="pages")
    record.show(rows)


if __name__ == "__main__":
    main()
