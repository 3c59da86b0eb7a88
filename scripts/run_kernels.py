"""Everything that is proved and measured about the kernels on a CUDA GPU, within a given time.

    python scripts/run_kernels.py [--parts tests,ours,first,sanitizer,sweep] [--seconds 280] [--commit HASH]
    python scripts/run_kernels.py --parts peers                          the public kernels, in a run of their own

Compiles our cases in parallel processes while the tests at the shipped sizes run, in at most half of the time; then
times our kernels alone, and the first call of a fresh process; then compute-sanitizer, and other sizes in what is left.
Peers search for their sizes all at once, in two thirds of the time at most, and are then timed one by one. Writes
kernels.csv, kernels-tests.txt, kernels-peers.txt, kernels-first.txt, kernels-sweep.txt and kernels-sanitizer.txt to the
folder $OUT, or docs/benchmarks, and prints a short table last. Peers are looked for on PYTHONPATH; their rows join
kernels.csv.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = [sys.executable, "scripts/bench_kernels.py"]
TESTS = [sys.executable, "-m", "pytest", "-c", "tests/kernels/gpu.ini", "--rootdir", ".", "-v", "--tb=short", "-m",
         "gpu", "-n", "8", "--dist", "loadgroup", "-p", "no:cacheprovider", "tests/kernels"]  # fmt: skip
"""Tests of one type and state size share kernels, so that a worker takes them together and compiles them once."""
FAMILIES = ("scans", "late", "rows")
PEERS = ("liger", "mamba-norms", "flash", "fla", "mamba64", "mamba128")
SMALL = ("ssd", "delta", "chunking", "maxsim", "norm", "filter")


class Clock:
    def __init__(self, seconds: float) -> None:
        self.begin, self.seconds = time.perf_counter(), seconds

    def left(self) -> float:
        return self.seconds - (time.perf_counter() - self.begin)

    def say(self, words: str) -> None:
        print(f"[{time.perf_counter() - self.begin:5.0f} s] {words}", flush=True)


def start(command: list[str], log: Path, *, keep: tuple[int, ...] = (), **variables: str) -> subprocess.Popen[bytes]:
    """keep: descriptors that stay open in it."""
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, pass_fds=keep,
                                env=environment() | variables, start_new_session=True)  # fmt: skip


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONUNBUFFERED": "1"}


def finish(running: dict[str, subprocess.Popen[bytes]], seconds: float, clock: Clock) -> dict[str, str]:
    """Wait for all, end those that outlast the time. Exit codes as text."""
    end = time.perf_counter() + seconds
    late = {name: process for name, process in running.items() if not _done(process, end)}
    for process in late.values():
        process.send_signal(signal.SIGINT)  # pytest then still writes its summary
    grace = time.perf_counter() + 5
    for name, process in late.items():
        _done(process, grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        clock.say(f"{name}: out of time")
    return {name: "out of time" if name in late else str(process.returncode) for name, process in running.items()}


def _done(process: subprocess.Popen[bytes], end: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.1, end - time.perf_counter()))
    return process.poll() is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=280)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--parts", default="tests,ours,first,sanitizer,sweep")
    parser.add_argument("--only", default="scan", help="of the sweep: names that hold this text")
    options = parser.parse_args()
    parts = options.parts.split(",")
    folder = Path(os.environ.get("OUT") or ROOT / "docs/benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if part != "ours":
            (folder / f"kernels-{part}.txt").unlink(missing_ok=True)
    clock = Clock(options.seconds)
    running: dict[str, subprocess.Popen[bytes]] = {}
    if "tests" in parts:
        running["tests"] = start(TESTS, folder / "kernels-tests.txt")
    if {"ours", "first", "sweep"} & set(parts):
        running |= compile_ours(options.only if "sweep" in parts else "-")
    if running:
        outcome = finish(running, clock.left() * 0.5, clock)
        clock.say(f"compiled; tests: {outcome.get('tests', 'not run')}")
    if "ours" in parts:
        time_ours(folder / "kernels.csv", options.commit, clock)
    if "first" in parts:
        for _ in range(2):
            finish({"first": start([*BENCH, "first"], folder / "kernels-first.txt")}, 25, clock)
        clock.say("first calls timed")
    if "sanitizer" in parts and shutil.which("compute-sanitizer") is None:
        clock.say("compute-sanitizer is not installed: skipped")
    elif "sanitizer" in parts:
        check_memory(folder / "kernels-sanitizer.txt", max(20.0, min(60.0, clock.left() - 5)), clock)
    if "sweep" in parts and clock.left() > 15:
        seconds = clock.left() - 8
        command = [*BENCH, "sweep", "--only", options.only, "--seconds", str(seconds)]
        finish({"sweep": start(command, folder / "kernels-sweep.txt")}, seconds + 5, clock)
        clock.say("other sizes timed")
    if "peers" in parts:
        time_peers(folder, options.commit, clock)
    for log in folder.glob("kernels-*.txt"):
        log.write_text(without_places(log.read_text(errors="replace")))
    summary(folder)


def without_places(text: str) -> str:
    """Logs are kept with the source: no folders of the machine that made them."""
    return text.replace(str(ROOT), ".").replace(sys.prefix, "python")


def compile_ours(only: str) -> dict[str, subprocess.Popen[bytes]]:
    """Every case of ours once, in shares, and for a sweep its sizes after them."""
    log, shares = Path("/tmp/kernels-warm.txt"), 8
    log.unlink(missing_ok=True)
    return {f"warm {i}": start([*BENCH, "warm", f"{i}/{shares}", "--only", only], log) for i in range(shares)}


def time_ours(whole: Path, commit: str, clock: Clock) -> None:
    """A process a family: after a memory error on the device nothing more can be timed in the same process."""
    whole.unlink(missing_ok=True)
    for family in FAMILIES:
        part = Path(f"/tmp/ours-{family}.csv")
        part.unlink(missing_ok=True)
        command = [*BENCH, "report", family, "--out", str(part), "--commit", commit]
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True)
        finish({family: process}, max(20.0, clock.left()), clock)
        add_rows(part, whole)
    clock.say("ours timed")


def time_peers(folder: Path, commit: str, clock: Clock) -> None:
    log, search = folder / "kernels-peers.txt", clock.left() * 2 / 3
    parts = {name: Path(f"/tmp/peer-{name}.csv") for name in PEERS}
    running: dict[str, subprocess.Popen[bytes]] = {}
    for name, part in parts.items():
        part.unlink(missing_ok=True)
        # Each holds the lock from its birth on, or a quick peer would be timed before a slow one has begun to search.
        with open("/tmp/kernels-turn", "wb") as turn:
            fcntl.flock(turn, fcntl.LOCK_SH)
            command = [*BENCH, "peer", name, "--out", str(part), "--commit", commit, "--turn", str(turn.fileno()),
                       "--seconds", str(search)]  # fmt: skip
            running[name] = start(command, log, keep=(turn.fileno(),))
    finish(running, clock.left() - 8, clock)
    for part in parts.values():
        add_rows(part, folder / "kernels.csv")
    clock.say("peers timed")


def add_rows(part: Path, whole: Path) -> None:
    lines = part.read_text().splitlines(keepends=True) if part.exists() else []
    with whole.open("a") as target:
        target.writelines(lines[1:] if target.tell() else lines)


def check_memory(log: Path, seconds: float, clock: Clock) -> None:
    pairs = [(tool, operator) for tool in ("memcheck", "racecheck") for operator in SMALL]
    parts = {f"{tool} {operator}": Path(f"/tmp/{tool}-{operator}.txt") for tool, operator in pairs}
    running = {}
    for (tool, operator), (name, part) in zip(pairs, parts.items(), strict=True):
        part.unlink(missing_ok=True)
        command = ["compute-sanitizer", "--tool", tool, "--print-limit", "5", *BENCH, "sanitize", operator]
        running[name] = start(command, part, PYTORCH_NO_CUDA_MEMORY_CACHING="1")
    finish(running, seconds, clock)
    with log.open("a") as file:
        for name, part in parts.items():
            file.write(f"== {name}\n{part.read_text(errors='replace')[-3000:]}\n")
    clock.say("sanitizer done")


def summary(folder: Path) -> None:
    best = {}
    whole = folder / "kernels.csv"
    rows = list(csv.DictReader(whole.read_text().splitlines())) if whole.exists() else []
    for row in rows:
        if row["impl"] == "ours" and row["ms"]:
            best[row["operator"], row["shape"], row["dtype"]] = float(row["ms"])
        elif row["ms"]:
            print(
                f"{row['operator'][:30]:30} {row['shape'][:30]:30} {row['dtype']:6} {row['impl'][:14]:14} {row['ms']}"
            )
    sweep = folder / "kernels-sweep.txt"
    for line in sweep.read_text().splitlines() if sweep.exists() else []:
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5:
            usual = best.get((cells[1], cells[2], cells[3]))
            if usual and float(cells[4]) < 0.985 * usual:
                print(f"better: {cells[0]} {cells[4]} (now {usual:.4f})")
        elif "failed" in line:
            print(line[:140])
    print_lines(folder / "kernels-tests.txt", ("FAILED", "ERROR", " passed", " failed"))
    print_lines(Path("/tmp/kernels-warm.txt"), ("not compiled",))
    print_lines(folder / "kernels-first.txt", ("first call",))
    print_lines(folder / "kernels-sanitizer.txt", ("== ", "SUMMARY"))


def print_lines(log: Path, words: tuple[str, ...]) -> None:
    """The last lines that hold one of the words."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    for line in [line for line in lines if any(word in line for word in words)][-40:]:
        print(line[:170])


if __name__ == "__main__":
    main()
