"""Trains all variants of the study beside each other and writes a row for each.

    python -m models.training.study SETTINGS --assets FOLDER --real FOLDER --out FOLDER [--seconds S]

Writes hybrid.csv (what each variant learned) and hybrid_cost.csv (what it costs). Every variant makes as many steps as
the settings say, or as many as fit into the seconds. Rows that are there already are not made again, and those that
are missing get as many steps as they had. Variants are spread over the GPUs.
"""

from __future__ import annotations

import argparse
import csv
import queue
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from models.training.study.group import Shared, run_group
from models.training.study.run import Row, fields
from models.training.study.settings import StudySettings
from models.training.study.variants import VARIANTS

COST_FIELDS = ("train_pages_s", "encode_pages_s", "encode_gib", "cpu_s_page")
GRACE_S = 60.0
"""After its seconds a process that has not ended is ended."""


class Table:
    """A CSV file that grows row by row. key: columns that name a row."""

    def __init__(self, path: Path, key: Sequence[str], columns: Sequence[str]) -> None:
        self.path, self.columns = path, (*key, "claim", *columns, "device", "torch")
        self.rows: list[dict[str, str]] = []
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                self.rows = list(csv.DictReader(file))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(self.columns)
        self.done = {tuple(row[column] for column in key) for row in self.rows}

    def add(self, row: Row) -> None:
        """Appends, and says it."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        every: Row = {**row, "device": device, "torch": torch.__version__}
        rounded = {name: round(value, 5) if isinstance(value, float) else value for name, value in every.items()}
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(rounded)
        print({name: value for name, value in rounded.items() if name not in ("device", "torch")}, flush=True)


def study(settings: StudySettings, *, assets: Path, real: Path, out: Path, seconds: float) -> None:
    """See the module. A failed variant is said and left out."""
    begun = time.time()
    tables = {
        "learned": Table(out / "hybrid.csv", ("variant", "seed"), fields(settings)),
        "cost": Table(out / "hybrid_cost.csv", ("variant",), COST_FIELDS),
    }
    if tables["learned"].rows:
        settings = replace(settings, steps=int(tables["learned"].rows[0]["steps"]))
    rows = [(variant.name, seed) for seed in settings.seeds for variant in VARIANTS
            if (variant.name, str(seed)) not in tables["learned"].done]  # fmt: skip
    timed = [variant.name for variant in VARIANTS if (variant.name,) not in tables["cost"].done]
    count = min(len(rows), settings.processes * max(1, torch.cuda.device_count()))
    context = get_context("spawn")
    shared = Shared(
        context.Barrier(count), context.Value("i", settings.steps), context.Lock(), context.Queue(), begun + seconds
    )
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(target=run_group, args=(rows[number::count], timed, settings, number, count, assets, real,
                                                    Path(folder), shared))
            for number in range(count)
        ]  # fmt: skip
        for process in processes:
            process.start()
        alive = True
        while alive:
            alive = any(process.is_alive() for process in processes)
            if any(process.exitcode not in (None, 0) for process in processes):
                shared.barrier.abort()
            if time.time() > shared.deadline + GRACE_S:
                for process in processes:
                    process.terminate()
            try:
                while True:
                    kind, said = shared.told.get(timeout=1.0)
                    if isinstance(said, str):
                        print(said, flush=True)
                    else:
                        tables[kind].add(said)
            except queue.Empty:
                continue
    print(f"{time.time() - begun:.0f} s", flush=True)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--assets", type=Path, required=True, help="what models.training.synthesis.build wrote")
    parser.add_argument("--real", type=Path, required=True, help="real pages with known words, as data/docs/train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=280)
    given = parser.parse_args()
    settings = StudySettings.from_json(given.settings)
    study(settings, assets=given.assets, real=given.real, out=given.out, seconds=given.seconds)


if __name__ == "__main__":
    main()
