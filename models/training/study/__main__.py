"""Trains all variants of the study beside each other and writes a row for each as it is done.

    python -m models.training.study SETTINGS --assets FOLDER --real FOLDER --out FOLDER [--seconds S]

Writes hybrid.csv (what each variant learned) and hybrid_cost.csv (what it costs). Rows that are there already are not
made again, so a call that ran out of its seconds is taken up by the same command. Variants are spread over the GPUs.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch

from models.training.study.pool import Pool, compose_share
from models.training.study.run import Row, cost, fields, one, take_device, weights_of
from models.training.study.settings import StudySettings
from models.training.study.variants import VARIANTS, Variant

COST_SHARE = 0.12
"""Of the seconds, kept for timing the variants alone."""
COST_FIELDS = ("train_pages_s", "train_gib", "encode_pages_s", "encode_gib", "cpu_s_page")


class Table:
    """A CSV file that grows row by row. key: columns that name a row."""

    def __init__(self, path: Path, key: Sequence[str], columns: Sequence[str]) -> None:
        self.path, self.key, self.columns = path, key, (*key, "claim", *columns, "device", "torch")
        self.done: set[tuple[str, ...]] = set()
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                self.done = {tuple(row[column] for column in key) for row in csv.DictReader(file)}
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerow(self.columns)

    def add(self, row: Row) -> None:
        """Appends, and says it."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        every: Row = {**row, "device": device, "torch": torch.__version__}
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(
                {name: round(value, 5) if isinstance(value, float) else value for name, value in every.items()}
            )
        print({name: value for name, value in every.items() if name != "device"}, flush=True)


def study(settings: StudySettings, *, assets: Path, real: Path, out: Path, seconds: float) -> None:
    """See the module. A failed variant is said and left out."""
    begun = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    learned = Table(out / "hybrid.csv", ("variant", "seed"), fields(settings))
    costs = Table(out / "hybrid_cost.csv", ("variant",), COST_FIELDS)
    waiting = [(variant, seed) for seed in settings.seeds for variant in VARIANTS
               if (variant.name, str(seed)) not in learned.done]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = get_context("spawn")
        started = context.Value("i", 0)
        with ProcessPoolExecutor(settings.at_once, context, take_device, (started,)) as processes:
            shares = [
                processes.submit(compose_share, settings, assets, folder, device, number, settings.at_once)
                for number in range(settings.at_once)
            ]
            for share in shares:
                share.result()
            print(f"composed after {time.perf_counter() - begun:.0f} s", flush=True)
            running: dict[Future[Row], tuple[Variant, int, float]] = {}
            took: dict[str, float] = {}
            while waiting or running:
                now = time.perf_counter() - begun
                while len(running) < settings.at_once:
                    fits = [place for place, (variant, _) in enumerate(waiting)
                            if now + expected(took, variant) < seconds * (1 - COST_SHARE)]  # fmt: skip
                    if not fits:
                        break
                    variant, seed = waiting.pop(fits[0])
                    task = processes.submit(one, variant.name, seed, settings, folder, real, device)
                    running[task] = (variant, seed, now)
                if not running:
                    print(f"out of time: {len(waiting)} left", flush=True)
                    break
                for task in wait(running, return_when=FIRST_COMPLETED).done:
                    variant, seed, since = running.pop(task)
                    took[variant.name] = time.perf_counter() - begun - since
                    error = task.exception()
                    if error is not None:
                        print(f"{variant.name}, seed {seed}: {error.__cause__ or error!r}", flush=True)
                    else:
                        learned.add({"variant": variant.name, "seed": seed, "claim": variant.claim, **task.result()})
        measure_costs(settings, costs, folder, device)
    print(f"{time.perf_counter() - begun:.0f} s", flush=True)


def expected(took: dict[str, float], variant: Variant) -> float:
    """Seconds that the variant will take: as with another seed, else as most did."""
    return took.get(variant.name, median(took.values()) if took else 0.0)


def measure_costs(settings: StudySettings, costs: Table, folder: Path, device: str) -> None:
    """Times each variant that was trained, one after another, with the device to itself."""
    pool = Pool(settings, folder, device)
    for variant in VARIANTS:
        if (variant.name,) not in costs.done and weights_of(folder, variant).is_file():
            row = cost(variant, settings, pool, weights_of(folder, variant))
            costs.add({"variant": variant.name, "claim": variant.claim, **row})


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
