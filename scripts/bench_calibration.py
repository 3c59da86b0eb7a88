"""Whether the chance that a hit shows the same kind of damage is right: dev photos, the pairs that searches show.

    python scripts/bench_calibration.py PHOTOS/dev [--vectors FILE]

Every photo whose label has four or more asks, its ten nearest others are the pairs, and the chance is the one that hits
carry. It is right where, of the pairs given 70 %, 70 % have the same fine label. --vectors: summaries of the photos as
.npy, in the order of labels.jsonl, from an earlier run. Writes docs/benchmarks/photo_calibration.csv and a curve,
docs/pictures/photo_calibration.svg.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.local.config import LocalConfig
from models.local.pictures import log_aspect, thumbnail
from models.local.weights import read_weights
from scripts.bench import record
from scripts.bench.neighbours import SHOWN, Neighbours, nearest_pairs

WEIGHTS = record.REPOSITORY / "models" / "local" / "weights"
CURVE = record.REPOSITORY / "docs" / "pictures" / "photo_calibration.svg"
BINS = 10
SIDE, EDGE = 320, 44


def summaries(folder: Path, files: Sequence[str]) -> NDArray[np.float32]:
    """As the encoder makes them, a photo at a time."""
    config, network = read_weights(WEIGHTS)
    found: list[torch.Tensor] = []
    with torch.inference_mode():
        for name in files:
            with Image.open(folder / name) as opened:
                photo = opened.convert("RGB")
            look = torch.from_numpy(thumbnail(photo, side=config.network.thumbnail))[None]
            found.append(network.visual(look, torch.tensor([log_aspect(photo)])))
    return torch.cat(found).numpy()


def curve(chances: NDArray[np.float64], pairs: Neighbours) -> list[dict[str, object]]:
    """Pairs by their chance, in BINS equal steps: how many, the chance they were given, the share that is alike."""
    step = np.minimum((chances * BINS).astype(int), BINS - 1)
    return [
        {
            "from": place / BINS,
            "to": (place + 1) / BINS,
            "pairs": int((step == place).sum()),
            "given": f"{chances[step == place].mean():.4f}",
            "alike": f"{pairs.same[step == place].mean():.4f}",
        }
        for place in range(BINS)
        if (step == place).any()
    ]


def error(rows: Sequence[dict[str, object]]) -> float:
    """Expected calibration error: the mean distance of given and alike, by pairs."""
    count = np.array([float(str(row["pairs"])) for row in rows])
    apart = np.array([abs(float(str(row["given"])) - float(str(row["alike"]))) for row in rows])
    return float((count * apart).sum() / count.sum())


def drawn(rows: Sequence[dict[str, object]], found: float) -> str:
    """The curve as SVG: dots of the steps, as large as the share of pairs, beside the line where chances are right."""
    most = max(float(str(row["pairs"])) for row in rows)

    def place(row: dict[str, object]) -> tuple[float, float, float]:
        across, up = (float(str(row[name])) for name in ("given", "alike"))
        return EDGE + across * SIDE, 16 + (1 - up) * SIDE, 3 + 7 * (float(str(row["pairs"])) / most) ** 0.5

    dots = [place(row) for row in rows]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)
    marks = "".join(
        f'<text x="{EDGE + part * SIDE:.0f}" y="{SIDE + 34}" text-anchor="middle">{part:.0%}</text>'
        f'<text x="{EDGE - 6}" y="{20 + (1 - part) * SIDE:.0f}" text-anchor="end">{part:.0%}</text>'
        for part in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    circles = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>' for x, y, size in dots)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE + EDGE + 16}" height="{SIDE + 62}" '
        f'font-family="sans-serif" font-size="11" fill="#1c2733"><rect width="100%" height="100%" fill="#fff"/>'
        f'<rect x="{EDGE}" y="16" width="{SIDE}" height="{SIDE}" fill="none" stroke="#dde2e1"/>'
        f'<path d="M{EDGE} {16 + SIDE}L{EDGE + SIDE} 16" stroke="#b9c2c9" stroke-dasharray="4 4"/>{marks}'
        f'<polyline points="{line}" fill="none" stroke="#0f5c63"/><g fill="#0f5c63">{circles}</g>'
        f'<text x="{EDGE + SIDE / 2}" y="{SIDE + 52}" text-anchor="middle">chance given to a neighbour</text>'
        f'<text x="{EDGE + 10}" y="36">up: share with the same label; error {found:.3f}</text></svg>\n'
    )


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--vectors", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    labels = [json.loads(line) for line in (given.photos / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    config = LocalConfig.from_json(WEIGHTS / "config.json")
    if given.vectors is not None and given.vectors.is_file():
        vectors = np.load(given.vectors)
    else:
        vectors = summaries(given.photos, [label["file"] for label in labels])
    pairs = nearest_pairs(vectors, [label["label_fine"] for label in labels])
    chances = 1 / (1 + np.exp(-(config.score.picture_slope * pairs.cosines + config.score.picture_bias)))
    rows = curve(chances, pairs)
    found = error(rows)
    stamp = record.stamp(["torch", "numpy"], others={"weights": config.version})
    size = {"neighbours of a photo": SHOWN, "calibration error": f"{found:.4f}"}
    record.write_csv(record.BENCHMARKS / "photo_calibration.csv", [{**row, **size, **stamp} for row in rows])
    record.show([{**row, **size, **stamp} for row in rows])
    CURVE.write_text(drawn(rows, found), encoding="utf-8")


if __name__ == "__main__":
    main()
