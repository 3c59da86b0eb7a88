"""Whether a run follows a logged one: losses and validations, step by step.

    python -m models.training.compare_logs RUN/log.jsonl docs/benchmarks/reader_start_training.jsonl

Prints both beside each other and how much later each loss falls, and ends with 1 where they part. Two runs of one
configuration are the same on the same kind and number of GPUs; on others sums are rounded in other ways, and what a run
may differ by was set before the first comparison.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

Record = Mapping[str, float | str]

LOSSES = ("signs", "starts", "contrast", "pages")
FIRST_STEP = 200
"""Before it the rate still rises."""
LOSS_APART = 0.15
"""Of a mean of 50 steps, relative."""
QUALITY_APART = 0.03
"""Of a validation's nDCG@5."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both runs after as many steps."""

    step: int
    figure: str
    logged: float
    run: float

    @property
    def follows(self) -> bool:
        apart = abs(self.run - self.logged)
        return apart <= (QUALITY_APART if self.figure == "ndcg5" else LOSS_APART * abs(self.logged))


def compare(run: Path, logged: Path) -> list[Difference]:
    """Of two files of JSON lines as `train` writes them, as far as both go. Raises ValueError where they share nothing
    to compare."""
    own, other = _records(run), _records(logged)
    ours, theirs = _steps(own), _steps(other)
    found = [
        Difference(step, loss, theirs[step][loss], ours[step][loss])
        for step in sorted(ours.keys() & theirs.keys())
        if step >= FIRST_STEP
        for loss in LOSSES
    ]
    if not found:
        raise ValueError(f"{run} and {logged} have no step from {FIRST_STEP} on in common")
    judged, expected = _validations(own), _validations(other)
    common = sorted(judged.keys() & expected.keys())
    return found + [Difference(step, "ndcg5", expected[step], judged[step]) for step in common]


def later(run: Path, logged: Path) -> dict[str, list[float]]:
    """Of each loss: how many steps later the run first falls as low as the logged one has fallen, at every report of
    the latter that is lower than all before and that the run reaches; negative where it is earlier."""
    ours, theirs = _steps(_records(run)), _steps(_records(logged))
    return {loss: _waits(_falls(ours, loss), _falls(theirs, loss)) for loss in LOSSES}


def _waits(ours: Sequence[tuple[int, float]], theirs: Sequence[tuple[int, float]]) -> list[float]:
    waits: list[float] = []
    for step, value in theirs:
        if step < FIRST_STEP:
            continue
        for (before, high), (after, low) in pairwise(ours):
            if low <= value <= high:
                waits.append(after - (after - before) * (value - low) / (high - low) - step)
                break
    return waits


def _falls(steps: Mapping[int, Mapping[str, float]], loss: str) -> list[tuple[int, float]]:
    """The reports that are lower than all before."""
    lowest, falls = math.inf, list[tuple[int, float]]()
    for step, losses in sorted(steps.items()):
        if losses[loss] < lowest:
            lowest = losses[loss]
            falls.append((step, lowest))
    return falls


def _records(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def _steps(records: Sequence[Record]) -> dict[int, dict[str, float]]:
    steps = [record for record in records if record["event"] == "step"]
    return {int(record["step"]): {loss: float(record[loss]) for loss in LOSSES} for record in steps}


def _validations(records: Sequence[Record]) -> dict[int, float]:
    """nDCG@5 by step."""
    return {int(record["step"]): float(record["ndcg5"]) for record in records if record["event"] == "validation"}


def main() -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="log.jsonl of the run")
    parser.add_argument("logged", type=Path, help="the log that it should follow")
    given = parser.parse_args()
    differences = compare(given.run, given.logged)
    table = Table("step", "figure", "logged", "this run", "")
    for one in differences:
        table.add_row(
            str(one.step), one.figure, f"{one.logged:.4f}", f"{one.run:.4f}", "" if one.follows else "[red]apart[/red]"
        )
    console = Console()
    console.print(table)
    for loss, waits in later(given.run, given.logged).items():
        if waits:
            console.print(f"{loss} falls {median(waits):.0f} steps later, {min(waits):.0f} to {max(waits):.0f}")
    apart = sum(not one.follows for one in differences)
    console.print(f"{len(differences) - apart} of {len(differences)} figures follow")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
