"""The released weights with layers of the page tower left out: which of them the reading rests on.

    python -m models.training.study.left_out --real FOLDER --out FOLDER

Writes hybrid_left_out.csv: nothing left out, each layer alone, and the last chunk layers together, each on the pages
and phrases that training validates on. Nothing is trained in between. Ten minutes of one core.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from models.local.encoder import WEIGHTS
from models.local.reading_network import ReadingNetwork
from models.local.weights import CONFIG, LocalConfig
from models.training import checkpoint
from models.training.validate import Validation

KINDS = {"r": "scan", "c": "scan by columns", "s": "scan", "w": "attention in windows", "a": "attention"}


class LeftOut(nn.Module):
    """In the place of a layer: nothing is added."""

    def forward(self, u: Tensor, mask: Tensor | None) -> Tensor:
        return u


def choices(reader: ReadingNetwork) -> Iterator[tuple[str, str, nn.ModuleList, list[int]]]:
    """(what, its kinds, list, places) of what is left out in turn."""
    page, config = reader.page, reader.config
    yield "nothing", "", page.cell_layers, []
    lists = (("cell", page.cell_layers, config.cell_layers), ("chunk", page.chunk_layers, config.chunk_layers))
    for where, layers, kinds in lists:
        for place, kind in enumerate(kinds):
            yield f"{where} layer {place + 1}", KINDS[kind], layers, [place]
    count = len(config.chunk_layers)
    for first in range(count - 2, 0, -1):
        places = list(range(first, count))
        yield f"chunk layers {first + 1} to {count}", "", page.chunk_layers, places


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="real pages with known words, as data/docs/train")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = LocalConfig.from_json(WEIGHTS / CONFIG)
    reader = ReadingNetwork(config.network)
    checkpoint.load_weights(WEIGHTS, reader)
    validation = Validation(given.real, device="cpu")
    with (given.out / "hybrid_left_out.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("weights", "left_out", "kind", "ndcg5", "recall1", "tokens", "torch"))
        for what, kind, layers, places in choices(reader):
            kept = {place: layers[place] for place in places}
            for place in places:
                layers[place] = LeftOut()
            found = validation(reader)
            for place, layer in kept.items():
                layers[place] = layer
            figures = [round(figure, 4) for figure in (found.ndcg5, found.recall1, found.tokens)]
            writer.writerow((config.version, what, kind, *figures, torch.__version__))
            print(what, kind, *figures, flush=True)


if __name__ == "__main__":
    main()
