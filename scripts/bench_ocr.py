"""The rival for pages: Tesseract, then BM25. Quality and processor time, pages as stored and enlarged twice.

    python scripts/bench_ocr.py [DATASET] [--at-once 2]

DATASET is a folder as `claimsight evaluate` reads it. Texts and times are kept below var/ocr, so a second run reads
nothing again. Writes docs/benchmarks/ocr.csv.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))

from retrieval.evaluation.datasets import Dataset
from scripts import bench_tables
from scripts.bench import pages, record, tesseract
from scripts.bench.word_search import WordSearch

TARGET = record.BENCHMARKS / "ocr.csv"
SIZES = {1: "as stored", 2: "enlarged twice"}


def ocr_cache() -> tesseract.Cache:
    """Where texts are kept between runs."""
    return tesseract.Cache(pages.CACHE / "ocr", tesseract.version())


def read_pages(dataset: Dataset, *, enlarge: int, at_once: int) -> dict[str, tesseract.Reading]:
    """All pages of the set, from the cache where an earlier run read them."""
    found = tesseract.read_all(dataset.pictures, ocr_cache(), enlarge=enlarge, at_once=at_once)
    return dict(track(found, f"Tesseract, pages {SIZES[enlarge]}", len(dataset.pictures)))


def word_systems(texts: dict[str, str], *, enlarge: int) -> dict[str, WordSearch]:
    """Both word searches over these texts, by the names that the tables use."""
    name = "Tesseract" if enlarge == 1 else f"Tesseract, pages x {enlarge}"
    return {
        f"{name}, words": WordSearch(texts, with_grams=False),
        f"{name}, words + 4-grams": WordSearch(texts, with_grams=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", type=Path, default=pages.DEFAULT_DATASET)
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="pages read side by side")
    given = parser.parse_args()
    stamp = record.stamp([], others={"tesseract": tesseract.version()})
    dataset = pages.load(given.dataset)
    rows: list[dict[str, object]] = []
    for enlarge in SIZES:
        readings = read_pages(dataset, enlarge=enlarge, at_once=given.at_once)
        times = pages.spread([reading.cpu_s for reading in readings.values()], digits=3)
        texts = {page_id: reading.text for page_id, reading in readings.items()}
        for system, search in word_systems(texts, enlarge=enlarge).items():
            found = [(query.kind, one) for query, one in pages.figures(dataset, search.rank)]
            for row in pages.quality_rows(system, found):
                cpu = {f"cpu_s_{name}": value for name, value in times.items()}
                rows.append({**row, "pages": len(readings), **cpu, **stamp})
    record.write_csv(TARGET, rows)
    told = [{name: str(value) for name, value in row.items()} for row in rows]
    record.show_lines(bench_tables.ocr(told))
    record.show_lines(bench_tables.quality_by_kind(told))


if __name__ == "__main__":
    main()
