"""Faults done to a running service, round after round: what was lost, what was doubled, how long it took to recover.

    python scripts/bench_faults.py [--quick] [--limit SECONDS] [--only NAME...]

Real processes on loopback: the server with its workers, the database of the tests for MongoDB, the light fake of
the embedding service. A round uploads three PDFs of 1 to 6 pages, does the fault, and waits until everything that was
accepted is indexed; then every accepted page of every round must be found exactly once. --quick: one round of
each. --limit: no new round of a fault after this many seconds. Writes docs/benchmarks/faults.csv; with --only the rows
of the others stay.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.bench import record
from scripts.faults import rounds
from scripts.faults.house import house, say

TARGET = record.BENCHMARKS / "faults.csv"
SEED = 20261129
SMALL_DISK_MIB = 24
ENGINES = ("sqlite", "mongodb")


@dataclass(frozen=True)
class Fault:
    name: str
    engine: str
    rounds: int
    one: rounds.Round
    workers: int = 1
    small_disk: bool = False


FAULTS = [
    Fault("server and workers killed", "sqlite", 40, rounds.kill_everything),
    Fault("server and workers killed", "mongodb", 20, rounds.kill_everything),
    Fault("workers killed", "sqlite", 25, rounds.kill_workers, workers=2),
    Fault("workers killed", "mongodb", 15, rounds.kill_workers, workers=2),
    Fault("worker frozen longer than its lease", "sqlite", 5, rounds.freeze_worker, workers=2),
    Fault("worker frozen longer than its lease", "mongodb", 5, rounds.freeze_worker, workers=2),
    *(Fault("clock set back by an hour", engine, 5, rounds.set_clock_back, workers=0) for engine in ENGINES),
    *(Fault("two workers on one file", engine, 5, rounds.work_twice, workers=0) for engine in ENGINES),
    Fault("polite stop", "sqlite", 5, rounds.stop_politely),
    Fault("polite stop", "mongodb", 5, rounds.stop_politely),
    Fault("database killed and started", "mongodb", 10, rounds.kill_database),
    Fault("primary steps down", "mongodb", 10, rounds.step_down),
    Fault("connections to the database cut", "mongodb", 10, rounds.cut_connections),
    Fault("disk full", "sqlite", 3, rounds.disk_full, small_disk=True),
    Fault("database pages overwritten", "sqlite", 3, rounds.damage_page),
    *(
        Fault(f"embedding service: {name}", "sqlite", 2, rounds.embeddings(fault))
        for name, fault in rounds.EMBEDDING_FAULTS.items()
    ),
]


def measure(fault: Fault, count: int, limit_s: float) -> dict[str, object]:
    began, number = time.monotonic(), 0
    recovered: list[float] = []
    with ExitStack() as stack:
        data = stack.enter_context(small_disk()) if fault.small_disk else None
        made = stack.enter_context(house(fault.engine, SEED, workers=fault.workers, data=data))
        while number < count and (number == 0 or time.monotonic() - began < limit_s):
            number += 1
            seconds = fault.one(made)
            if seconds is not None:
                recovered.append(seconds)
            say(f"{fault.engine}: {fault.name}, round {number} of {count}: {seconds}")
        made.server.wait_ready()
        for job in made.accepted:
            made.wait_done(job)
        accepted, lost, doubled = made.count()
        return {
            "fault": fault.name,
            "engine": fault.engine,
            "rounds": number,
            "uploads": made.sent,
            "accepted": len(made.accepted),
            "pages": accepted,
            "lost": lost,
            "doubled": doubled,
            "wrong_answers": made.wrong_answers(),
            "recovery_median_s": round(statistics.median(recovered), 1),
            "recovery_max_s": round(max(recovered), 1),
        }


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder on a small file system in memory. Wants the right to mount."""
    with tempfile.TemporaryDirectory(prefix="claimsight-disk-") as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "tmpfs", name], check=True)
        try:
            yield Path(name) / "data"
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def may_mount() -> bool:
    try:
        with small_disk():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--limit", type=float, default=900.0, metavar="SECONDS")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="parts of names of faults, or engines")
    given = parser.parse_args()
    # As Ctrl-C: without it the service, which is in a session of its own, would outlive this.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [
        fault
        for fault in FAULTS
        if not given.only or any(part in f"{fault.engine}: {fault.name}" for part in given.only)
    ]
    if any(fault.small_disk for fault in chosen) and not may_mount():
        say("without the right to mount there is no full disk: left out")
        chosen = [fault for fault in chosen if not fault.small_disk]
    stamp = record.stamp(["fastapi", "uvicorn", "pymongo", "secantusdb"])
    rows: list[dict[str, object]] = []
    for fault in chosen:
        rows.append({**measure(fault, 1 if given.quick else fault.rounds, given.limit), **stamp})
        if not given.quick:
            keep(rows)
    record.show(rows)
    bad = [row for row in rows if row["lost"] or row["doubled"] or row["wrong_answers"]]
    if bad:
        raise SystemExit(f"{len(bad)} faults lost, doubled or said something wrong")


def keep(rows: list[dict[str, object]]) -> None:
    """Writes what is measured so far, beside the rows of faults that this run has not reached."""
    new = {(str(row["fault"]), str(row["engine"])) for row in rows}
    old = record.read_csv(TARGET) if TARGET.is_file() else []
    order = [(fault.name, fault.engine) for fault in FAULTS]
    kept: list[record.Row] = [row for row in old if (row["fault"], row["engine"]) not in new]
    record.write_csv(
        TARGET, sorted([*kept, *rows], key=lambda row: order.index((str(row["fault"]), str(row["engine"]))))
    )


if __name__ == "__main__":
    main()
