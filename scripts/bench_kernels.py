"""Times the Triton kernels on a CUDA GPU, beside floors, targets and public peers.

    python scripts/bench_kernels.py report FAMILY [--out FILE] [--commit HASH]   scans, late or rows: ours and the
                                                                         compiler's, to a CSV
    python scripts/bench_kernels.py peer NAME [--out FILE] [--turn FD]    one public peer, to a CSV; with other peers
                                                                         beside it, timed when none searches
    python scripts/bench_kernels.py sweep [--only TEXT] [--seconds N]     other sizes than the tables'
    python scripts/bench_kernels.py warm I/N                              only compile, one of N shares
    python scripts/bench_kernels.py first                                 time of the first call in this process
    python scripts/bench_kernels.py sanitize OPERATOR                     small calls, to run under compute-sanitizer

Every figure is the median of a CUDA graph's replays with a flushed L2 cache, on fresh random data. Each result is
compared with a plain computation first; a case that is wrong has no time. scripts/run_kernels.py runs all of it.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import signal
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import torch
import triton

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.kernel_bench import late, peers, rows, scans
from scripts.kernel_bench.case import Case, Wrong, measure
from scripts.kernel_bench.sweeps import all_cases, variants

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ["operator", "shape", "dtype", "impl", "ms", "floor_ms", "must_ms", "stretch_ms", "device", "versions",
           "commit", "date"]  # fmt: skip
FAMILIES = {"scans": scans.cases, "late": late.cases, "rows": rows.cases}
FAILURES = (RuntimeError, ValueError, TypeError, AssertionError, AttributeError, ImportError, triton.TritonError)
"""What a peer or a size that does not fit may raise; the next case is timed all the same."""


def report(cases: Iterable[Case], out: Path, commit: str) -> None:
    device, versions = torch.cuda.get_device_name(0), f"torch {torch.__version__}, triton {triton.__version__}"
    date = datetime.now(UTC).date().isoformat()
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for case in cases:
            ms = timed(case)
            verdict = "" if ms is None or case.must_ms is None else "ok" if ms <= case.must_ms else "MISS"
            shown = "none" if ms is None else f"{ms:.4f}"
            must, stretch = ("" if t is None else f"{t:.3f}" for t in (case.must_ms, case.stretch_ms))
            print(f"{case.operator:31} {case.shape:38.38} {case.dtype:6} {case.impl:17} {shown:>8} floor "
                  f"{case.floor_ms:.3f} must {must:5} stretch {stretch:5} {verdict}", flush=True)  # fmt: skip
            writer.writerow([case.operator, case.shape, case.dtype, case.impl, "" if ms is None else shown,
                             f"{case.floor_ms:.3f}", must, stretch, device, versions, commit, date])  # fmt: skip
            file.flush()
            torch.cuda.empty_cache()


def timed(case: Case) -> float | None:
    try:
        return measure(case)
    except Wrong as failure:
        print(f"WRONG {case.operator} {case.shape} {case.impl}: {failure}", flush=True)
    except FAILURES as failure:
        print(f"FAILED {case.operator} {case.shape} {case.impl}: {type(failure).__name__} {str(failure)[:200]!r}",
              flush=True)  # fmt: skip
    return None


def peer(name: str, out: Path, commit: str, turn: int | None, seconds: float) -> None:
    """Searches for sizes, then times. turn: descriptor of a locked file that all peers share; whoever searches holds
    it with the others, whoever is timed holds it alone. A search that outlasts the seconds ends the process."""
    signal.setitimer(signal.ITIMER_REAL, min(seconds, 1e6))
    peers.compile_side_by_side()
    cases = list(peers.cases(name))
    for case in cases:
        tried(case)
        torch.cuda.empty_cache()
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(f"{name}: searched", flush=True)
    if turn is not None:
        fcntl.flock(turn, fcntl.LOCK_EX)
    report(cases, out, commit)


def tried(case: Case) -> None:
    """Calls it once, which compiles it."""
    try:
        torch.manual_seed(0)
        case.prepare()[0]()
        torch.cuda.synchronize()
    except FAILURES as failure:
        print(f"not compiled: {case.operator} {case.shape}: {str(failure)[:120]!r}", flush=True)


def sweep(only: str, seconds: float) -> None:
    end = time.perf_counter() + seconds
    for variant in variants():
        if only not in variant.name:
            continue
        if time.perf_counter() > end:
            print("out of time", flush=True)
            return
        kept = variant.table[variant.key]
        variant.table[variant.key] = variant.entry
        try:
            print(f"{variant.name} | {variant.case.operator} | {variant.case.shape} | {variant.case.dtype} | "
                  f"{measure(variant.case, rep=30):.4f}", flush=True)  # fmt: skip
        except (Wrong, *FAILURES) as failure:
            print(f"{variant.name} failed: {type(failure).__name__} {str(failure)[:80]!r}", flush=True)
        finally:
            variant.table[variant.key] = kept
        torch.cuda.empty_cache()


def warm(share: str, only: str) -> None:
    """Compile by calling each case once; the table's own entries first."""
    number, of = (int(n) for n in share.split("/"))
    work: list[tuple[Callable[[], None], Case]] = [(lambda: None, case) for case in all_cases()]

    def with_entry(variant: object) -> Callable[[], None]:
        def change() -> None:
            variant.table[variant.key] = variant.entry  # type: ignore[attr-defined]

        return change

    work += [(with_entry(v), v.case) for v in variants() if only != "-" and only in v.name]
    kept = [(v.table, v.key, v.table[v.key]) for v in variants()]
    for change, case in work[number::of]:
        change()
        tried(case)
        for table, key, entry in kept:
            table[key] = entry
        torch.cuda.empty_cache()


def first() -> None:
    """Seconds from nothing to the result of the scan both ways, with a warm compile cache."""
    begin = time.perf_counter()
    torch.zeros(1, device="cuda")
    ready = time.perf_counter()
    case = next(c for c in all_cases() if c.shape == "32x2368 8x64 N=16 masked")
    call, _, _ = case.prepare()
    torch.cuda.synchronize()
    before = time.perf_counter()
    call()
    torch.cuda.synchronize()
    after = time.perf_counter()
    print(f"first call of the scan in a fresh process: {after - before:.2f} s "
          f"(device {ready - begin:.2f} s, inputs {before - ready:.2f} s)", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("report", "peer", "sweep", "warm", "first", "sanitize"))
    parser.add_argument("what", nargs="?", default="")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/kernels.csv")
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--only", default="", help="of the sweep: names that hold this text; '-' for none")
    parser.add_argument("--seconds", type=float, default=1e9, help="most time of the sweep, or of a peer's search")
    parser.add_argument("--turn", type=int, help="descriptor of the file that peers lock")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench_kernels needs a CUDA GPU")
    begin = time.perf_counter()
    if options.mode == "report":
        report(FAMILIES[options.what](), options.out, options.commit)
    elif options.mode == "peer":
        peer(options.what, options.out, options.commit, options.turn, options.seconds)
    elif options.mode == "sweep":
        sweep(options.only, options.seconds)
    elif options.mode == "warm":
        warm(options.what, options.only)
    elif options.mode == "first":
        first()
    else:
        from scripts.kernel_bench.small import run_small

        run_small(options.what)
    print(f"{options.mode} {options.what}: {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
