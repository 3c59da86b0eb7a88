"""Coverage-guided fuzzing of what reads hostile bytes in the server itself: type by content, filters, multipart forms.

    python scripts/fuzz.py [--seconds N] [TARGET...]

Each target runs in a process of its own, from the seeds in tests/fuzz/seeds. An input that breaks a promise is left as
crash-* in the present folder, and the exit status is 1: mend the fault and keep the input as a seed. Writes
docs/benchmarks/fuzz.csv; rows of other targets stay in it. Wants atheris (`pip install -e '.[attack]'`).
"""

from __future__ import annotations

import argparse
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.bench import record

INPUT_BYTES = 8192
TARGET = record.BENCHMARKS / "fuzz.csv"
# What libFuzzer says, and the column it goes to.
FIGURES = {
    "number_of_executed_units": "inputs",
    "average_exec_per_sec": "inputs_per_s",
    "cov:": "edges",
    "new_units_added": "inputs_kept",
    "peak_rss_mb": "peak_mib",
}


def run_target(name: str, seconds: int) -> None:
    """In this process; libFuzzer ends it."""
    import atheris

    logging.disable()  # the form parser warns of each broken form
    with atheris.instrument_imports(include=["app", "retrieval", "puremagic", "python_multipart"]):
        from tests.fuzz.targets import SEEDS, TARGETS
    with tempfile.TemporaryDirectory() as found:
        shutil.copytree(SEEDS / name, found, dirs_exist_ok=True)
        options = [f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES}", "-timeout=30", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], found, *options], TARGETS[name])
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="all targets together")
    parser.add_argument("--here", action="store_true", help="the one target, in this process")
    parser.add_argument("targets", nargs="*", metavar="TARGET", default=["sniff", "filters", "multipart"])
    given = parser.parse_args()
    if given.here:
        run_target(given.targets[0], given.seconds)
        return
    share = max(1, given.seconds // len(given.targets))
    stamp = record.stamp(["atheris", "python-multipart", "puremagic"])
    rows = [{**watched(name, share), **stamp} for name in given.targets]
    record.replace_rows(TARGET, rows, key="target")
    record.show(rows)
    if failed := [str(row["target"]) for row in rows if row["broken"]]:
        raise SystemExit(f"a promise was broken: {', '.join(failed)}")


def watched(name: str, seconds: int) -> dict[str, object]:
    """Runs the target in a process of its own and passes on what it says; its row."""
    print(f"{name}: {seconds} s", flush=True)
    command = [sys.executable, __file__, "--here", "--seconds", str(seconds), name]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            print(line, end="", file=sys.stderr)
            said.append(line)
    last = {
        figure: found[-1] if (found := re.findall(rf"{figure}\D+(\d+)", "".join(said))) else "" for figure in FIGURES
    }
    return {
        "target": name,
        "seconds": seconds,
        **{column: last[figure] for figure, column in FIGURES.items()},
        "broken": int(process.returncode != 0),
    }


if __name__ == "__main__":
    main()
