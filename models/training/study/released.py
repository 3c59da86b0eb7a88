"""The needle of the study asked of the released weights, on a processor.

    python -m models.training.study.released SETTINGS --assets FOLDER --out FOLDER

Writes hybrid_released.csv: a row for each draw of composed pages and each length of a page.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch

from models.local.encoder import WEIGHTS
from models.local.weights import read_weights
from models.training.study import measure
from models.training.study.settings import StudySettings
from models.training.supply import Maker

DRAWS = 2
FIRST_SEED = 2000
"""Of pages; the variants of the study learn from 1000 and on."""


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--assets", type=Path, required=True, help="what models.training.synthesis.build wrote")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings, device = StudySettings.from_json(given.settings), torch.device("cpu")
    config, network = read_weights(WEIGHTS)
    rows: list[dict[str, float | int | str]] = []
    for draw in range(DRAWS):
        torch.manual_seed(FIRST_SEED + draw)
        maker = Maker(settings.run.stages[0], settings.run, given.assets, None, device, FIRST_SEED + draw)
        images, words = measure.laid_open([maker().packed() for _ in range(settings.held_out)], device)
        pages = measure.encoded(network, images)
        print(draw, measure.word_recall(network, pages, words), flush=True)
        for length in settings.needle:
            found = measure.needle_recall(network, images, pages, words, length=length, candidates=settings.candidates)
            shares = {name.removesuffix(f"_{length}"): round(share, 4) for name, share in found.items()}
            rows.append({"weights": config.version, "draw": draw, "pages": length, **shares})
            print(rows[-1], flush=True)
    with (given.out / "hybrid_released.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "torch"])
        writer.writeheader()
        writer.writerows({**row, "torch": torch.__version__} for row in rows)


if __name__ == "__main__":
    main()
