"""How a benchmark's figures are kept: CSV under docs/benchmarks, every row with device, versions, commit and date."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BENCHMARKS = REPOSITORY / "docs" / "benchmarks"
MEASURED_ROOMS = ("app", "retrieval", "models", "kernels", "scripts")
STAMP = ("device", "versions", "commit", "date")

Row = Mapping[str, object]


def stamp(packages: Sequence[str], *, others: Mapping[str, str] | None = None) -> dict[str, str]:
    """The columns STAMP. packages: Python packages whose versions matter here. others: versions of anything else."""
    known = {"python": platform.python_version(), **{name: version(name) for name in packages}, **(others or {})}
    return {
        "device": device(),
        "versions": ", ".join(f"{name} {number}" for name, number in known.items()),
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def device() -> str:
    """The processor as the kernel names it, with its family where the name hides the generation, and how many cores
    this process may use."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name", platform.machine())
    family = f" (family {facts['cpu family']})" if "cpu family" in facts else ""
    return f"{name}{family}, {len(os.sched_getaffinity(0))} cores"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Writes all rows with the columns of the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def replace_rows(path: Path, rows: Sequence[Row], *, key: str) -> None:
    """As write_csv, but keeps the rows of the file whose `key` no new row has: they carry their own stamp."""
    kept: list[Row] = []
    if path.is_file():
        new = {str(row[key]) for row in rows}
        kept = [row for row in read_csv(path) if list(row) == list(rows[0]) and row[key] not in new]
    write_csv(path, [*kept, *rows])


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def show(rows: Sequence[Row]) -> None:
    """Prints a table; the columns of the stamp stand once below it."""
    names = [name for name in rows[0] if name not in STAMP]
    show_lines([names, *([str(row[name]) for name in names] for row in rows)])
    print(" · ".join(str(rows[0][name]) for name in STAMP if name in rows[0]), flush=True)


def show_lines(lines: Sequence[Sequence[str]]) -> None:
    """Prints lines of cells in columns, and an empty line."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    print(flush=True)


def _commit() -> str:
    """Short hash of the code measured, with "+changes" where the measured rooms differ from it."""

    def git(*words: str) -> str:
        told = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return told.stdout.strip()

    changed = git("status", "--porcelain", "--", *MEASURED_ROOMS)
    return git("rev-parse", "--short", "HEAD") + ("+changes" if changed else "")
