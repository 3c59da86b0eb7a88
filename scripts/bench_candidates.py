"""How many of the first ten pages of the exact scan each way to find candidates keeps, on synthetic pages.

    python scripts/bench_candidates.py PAGES [--pages 100000] [--real 60] [--queries 100]

PAGES: a folder of pages with known words, as models.training.real_pages reads it. From some of them a model of a page's
token vector is fitted: a linear map of the text tower's vector of the word that stands there, and a noise with the
covariance of what is left. Synthetic pages draw words by Zipf's law and some rare ones, and get vectors by that model,
stored as real ones are. A query is one to three neighbouring words of a page, a rare one among them. Exact is
`score_pages` over all pages; a way keeps one page in a hundred. Indexes and coarser numbers are tried in small
collections alone, see FEW and SOME. Writes docs/benchmarks/candidates.csv; rows of other collection sizes stay in it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from models import Embedding, EncoderOptions, create_encoder
from models.encoder import FloatArray
from models.local.config import LocalConfig
from models.local.encoder import WEIGHTS
from models.local.scoring import score_pages
from scripts.bench import record
from scripts.bench.candidate_ways import (
    Cells,
    Way,
    by_cells,
    by_centroids,
    by_few_bits,
    by_fixed_encoding,
    by_mean,
    by_sketches,
)
from scripts.bench.synthetic_pages import collection, questions

TARGET = record.BENCHMARKS / "candidates.csv"
FIRST = 10
KEPT = 100
"""One page in so many is kept as a candidate."""
FEW, SOME = 5_000, 20_000
"""Pages up to which indexes, and up to which numbers of one to three bits are tried too."""


def measured(name: str, way: Way, queries: Sequence[Embedding], first: Sequence[NDArray[np.int64]],
             keep: int) -> dict[str, object]:  # fmt: skip
    kept: list[float] = []
    spent = 0.0
    for query, wanted in zip(queries, first, strict=True):
        started = time.process_time()
        scores = way(query)
        spent += time.process_time() - started
        kept.append(float(np.isin(wanted, np.argsort(-scores, kind="stable")[:keep]).mean()))
    return {"way": name, "recall": round(float(np.mean(kept)), 3), "cpu_ms_a_query": round(1000 * spent / len(kept), 1)}


async def run(given: argparse.Namespace) -> list[dict[str, object]]:
    config = LocalConfig.from_json(WEIGHTS / "config.json").score
    encoder = create_encoder("local", EncoderOptions(device="cpu", threads=1))
    try:
        made = await collection(encoder, given.folder, pages=given.pages, real=given.real)
        queries = await encoder.encode_queries(questions(made, given.queries))
    finally:
        await encoder.aclose()

    def exact(query: Embedding) -> FloatArray:
        return score_pages(query, made.pages, config, torch.device("cpu"))

    first = [np.argsort(-exact(query), kind="stable")[:FIRST] for query in queries]
    keep = given.pages // KEPT
    common = {"pages": given.pages, "candidates": keep, "queries": given.queries}
    ways: list[tuple[str, Callable[[], Way]]] = [
        ("exact scan", lambda: exact),
        ("sketches, four bits a number", lambda: by_sketches(made, config)),
        ("mean of the vectors", lambda: by_mean(made)),
    ]
    for bits in (1, 2, 3) if given.pages <= SOME else ():
        ways.append((f"{bits} bits a number, unpacked", lambda b=bits: by_few_bits(made, config, b)))
    if given.pages <= FEW:
        ways.append(("fixed encoding, 4,096 numbers", lambda: by_fixed_encoding(made)))
    for count in (256, 2048) if given.pages <= FEW else ():
        cells = Cells(made, count)
        for share in (0.05, 0.2):
            label = f"{count} cells, {share:.0%} of the vectors"
            ways.append((f"{label}, by centroid", lambda c=cells, s=share: by_centroids(c, config, s)))
            ways.append((f"{label}, compared exactly", lambda c=cells, s=share: by_cells(c, config, s)))
    rows: list[dict[str, object]] = []
    for name, make in ways:
        rows.append({**common, **measured(name, make(), queries, first, keep)})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PAGES")
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--real", type=int, default=60)
    parser.add_argument("--queries", type=int, default=100)
    given = parser.parse_args()
    stamp = record.stamp(["torch", "numpy"])
    rows = [{**row, **stamp} for row in asyncio.run(run(given))]
    record.replace_rows(TARGET, rows, key="pages")
    record.show(rows)


if __name__ == "__main__":
    main()
