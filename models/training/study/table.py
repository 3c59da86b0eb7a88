"""The study's tables: each variant with both seeds, and what differs from the base by the study's rule; and what the
released weights lose without a layer.

    python -m models.training.study.table [FOLDER]

Prints Markdown from hybrid.csv and hybrid_left_out.csv of the folder, docs/studies if none is given.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.training.study.variants import VARIANTS

BASE = VARIANTS[0].name
COLUMNS = {
    "loss": "loss", "words": "words", "numbers": "numbers", "exact": "exact", "tokens": "tokens",
    "needle_1": "needle, 1 page", "needle_16": "16 pages", "apart_16": "apart, 16", "real_ndcg5": "real nDCG@5",
}  # fmt: skip
NOT_TAUGHT = ("chunking",)
"""Claims whose variants have another loss than the base, because no router is taught."""

Rows = Mapping[str, Sequence[Mapping[str, str]]]


def differs(mine: Sequence[float], base: Sequence[float]) -> bool:
    """Whether all seeds of a variant lie on the same side of all seeds of the base, and the gap of the means is more
    than twice the larger gap between two seeds."""
    apart = min(mine) > max(base) or max(mine) < min(base)
    gap = abs(sum(mine) / len(mine) - sum(base) / len(base))
    return apart and gap > 2 * max(max(values) - min(values) for values in (mine, base))


def table(rows: Rows) -> list[str]:
    """Lines of Markdown; bold is what differs from the base. rows: of hybrid.csv by variant, a row a seed."""
    lines = [f"| variant | {' | '.join(COLUMNS.values())} |", "| --- |" + " ---: |" * len(COLUMNS)]
    for variant in VARIANTS:
        cells = [_cell(name, rows[variant.name], rows[BASE]) for name in COLUMNS]
        lines.append(f"| {variant.name} | {' | '.join(cells)} |")
    return lines


def _cell(column: str, mine: Sequence[Mapping[str, str]], base: Sequence[Mapping[str, str]]) -> str:
    values, others = ([float(row[column]) for row in some] for some in (mine, base))
    digits = {"loss": 2, "tokens": 0}.get(column, 3)
    text = " / ".join(f"{value:.{digits}f}" for value in values)
    if column == "loss" and mine[0]["claim"] in NOT_TAUGHT:
        return f"({text})"
    return f"**{text}**" if column != "tokens" and differs(values, others) else text


def left_out(folder: Path) -> list[str]:
    """Lines of Markdown from hybrid_left_out.csv."""
    with (folder / "hybrid_left_out.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            f"| {row['left_out']} | {row['kind']} | {float(row['ndcg5']):.3f} | {float(row['recall1']):.3f} |"
            for row in csv.DictReader(file)
        ]
    return ["| left out | a | nDCG@5 | Recall@1 |", "| --- | --- | ---: | ---: |", *rows]


def rows_of(folder: Path) -> dict[str, list[dict[str, str]]]:
    """hybrid.csv of a folder: by variant, in the order of the seeds."""
    by_variant: dict[str, list[dict[str, str]]] = {}
    with (folder / "hybrid.csv").open(encoding="utf-8", newline="") as file:
        for row in sorted(csv.DictReader(file), key=lambda row: int(row["seed"])):
            by_variant.setdefault(row["variant"], []).append(row)
    return by_variant


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/studies"))
    folder = parser.parse_args().folder
    print("\n".join([*table(rows_of(folder)), "", *left_out(folder)]))


if __name__ == "__main__":
    main()
