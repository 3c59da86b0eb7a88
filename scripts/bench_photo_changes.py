"""Photos that were cropped, compressed, turned: do they find their original, and photos of the same damage?

    python scripts/bench_photo_changes.py PHOTOS [--every N]

PHOTOS: a folder with dev/ and labels.jsonl in it. One photo in N is changed in every way and searched by, among all
unchanged photos, by the summaries alone. found: share whose original comes first. map: of the other photos with the
same label, the original left out; queries are photos whose label has four or more. Writes photo_changes.csv in
docs/benchmarks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch
from PIL import Image
from rich.progress import track
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.local.weights import read_weights
from models.training.photos.data import Entry, photo_entries
from models.training.photos.scores import ranking
from scripts.bench import photos, record
from scripts.bench.photo_changes import CHANGES

EVERY = 24


def figures(scores: Tensor, rows: Sequence[int], labels: Sequence[str], original: Tensor) -> dict[str, object]:
    """scores: [queries, photos] of the changed photos `rows`. original: [photos, photos], unchanged."""
    first = scores.argmax(1).tolist()
    # Only the rows of changed photos differ, and only those are asked.
    every = original.clone()
    every[list(rows)] = scores
    found = ranking(every, labels).of([row in set(rows) for row in range(len(labels))])
    return {
        "queries": len(rows),
        "found": f"{mean(place == row for place, row in zip(first, rows, strict=True)):.3f}",
        "map": f"{found.precision.mean():.4f}",
    }


def measure(entries: Sequence[Entry], pictures: Sequence[Image.Image], summaries: Tensor, every: int) -> None:
    """Changes one photo in `every`, asks, prints and writes. summaries: of all, unchanged."""
    config, network = read_weights(photos.WEIGHTS)
    chosen, labels = range(0, len(entries), every), [entry.fine for entry in entries]
    original = summaries @ summaries.T
    stamp = record.stamp(["torch", "pillow"], others={"weights": config.version})
    rows = [{"change": "none", "strength": "", **figures(original[list(chosen)], chosen, labels, original)}]
    for name, strengths in track(CHANGES.items(), "changes"):
        for strength, change in strengths:
            queries = photos.summaries(network, [change(pictures[row]) for row in chosen])
            found = figures(queries @ summaries.T, chosen, labels, original)
            rows.append({"change": name, "strength": strength, **found})
    record.write_csv(record.BENCHMARKS / "photo_changes.csv", [{**row, **stamp} for row in rows])
    record.show(rows)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--every", type=int, default=EVERY)
    given = parser.parse_args()
    torch.set_num_threads(1)
    entries = photo_entries(given.photos / "dev")
    pictures = photos.opened(entries)
    measure(entries, pictures, photos.summaries(read_weights(photos.WEIGHTS)[1], pictures), given.every)


if __name__ == "__main__":
    main()
