"""Pages that lie on their side or upside down: how many are read as they stand, and what that costs.

    python scripts/bench_turns.py [DATASET]

DATASET is a folder as `claimsight evaluate` reads it. Every page is read as it is by the encoder and by one that turns
nothing, and by the encoder once more in each of the three other ways. Writes docs/benchmarks/turns.csv: pages whose
vectors are those that the page has where nothing is turned, bit for bit, and processor seconds of one thread.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))

from models import Embedding, EncoderOptions, create_encoder, encoder_id
from models.encoder import Encoder
from models.local import LocalEncoder
from models.local.encoder import UPRIGHT, WEIGHTS
from models.local.upright import turned
from scripts.bench import pages, record, tesseract

TARGET = record.BENCHMARKS / "turns.csv"
WAYS = ("as it stands", "on its left side", "upside down", "on its right side")
"""After so many quarter turns to the left."""


def without_turning(folder: Path) -> Encoder:
    """The encoder that ships, with its weights but one file."""
    for path in WEIGHTS.iterdir():
        if path.name != UPRIGHT:
            (folder / path.name).symlink_to(path)
    return LocalEncoder.load("cpu", threads=1, weights=folder)


async def read(encoder: Encoder, picture: Image.Image) -> tuple[Embedding, float]:
    """And its processor seconds."""
    started = time.process_time()
    [page] = await encoder.encode_pages([picture])
    if not isinstance(page, Embedding):
        raise SystemExit(page.detail)
    return page, time.process_time() - started


def same(one: Embedding, other: Embedding) -> bool:
    if (one.tokens is None) != (other.tokens is None) or not np.array_equal(one.summary, other.summary):
        return False
    return one.tokens is None or other.tokens is None or np.array_equal(one.tokens, other.tokens)


async def measure(paths: Sequence[Path]) -> list[dict[str, object]]:
    """A row for each way that the pages lie."""
    encoder = create_encoder("local", EncoderOptions(device="cpu", threads=1))
    with TemporaryDirectory() as folder:
        plain = without_turning(Path(folder))
        found: list[list[tuple[bool, float]]] = [[] for _ in WAYS]
        for path in track(paths, "pages"):
            picture = tesseract.open_page(path)
            wanted, _ = await read(plain, picture)
            for turns, row in enumerate(found):
                page, spent = await read(encoder, turned(picture, turns))
                row.append((same(page, wanted), spent))
        await asyncio.gather(encoder.aclose(), plain.aclose())
    return [
        {
            "system": encoder_id(encoder),
            "lies": way,
            "pages": len(row),
            "as_upright": sum(same for same, _ in row),
            "cpu_s_a_page": round(float(np.mean([spent for _, spent in row])), 3),
        }
        for way, row in zip(WAYS, found, strict=True)
    ]


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, nargs="?", default=pages.DEFAULT_DATASET, metavar="DATASET")
    given = parser.parse_args()
    paths = list(pages.load(given.dataset).pictures.values())
    stamp = record.stamp(["torch", "numpy", "pillow"])
    rows = [{**row, **stamp} for row in asyncio.run(measure(paths))]
    record.write_csv(TARGET, rows)
    record.show(rows)


if __name__ == "__main__":
    main()
