"""The local encoder beside Tesseract on the same pages, in one run: processor time, size of a page, quality by kind.

    python scripts/bench_encoder.py [DATASET] [--fast | --answers]

DATASET is a folder as `claimsight evaluate` reads it. Every page is read by the encoder on one thread and by Tesseract
on one thread, in turn; then all queries are asked, through the search engine and through BM25 over what Tesseract read.
Writes encoder.csv, encoder_pages.csv and quality.csv in docs/benchmarks, and the answers of the encoder to
var/runs/local.jsonl. --fast takes one page in eight and writes nothing. --answers measures quality alone, with what
Tesseract read in an earlier run of this script or of bench_ocr.py, and leaves the files of costs as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.progress import Progress, track

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.logs import configure_logs
from models import Embedding, Encoder, EncoderOptions, create_encoder, encoder_id, quantise_tokens
from models.packing import bits_needed, narrowed
from retrieval.evaluation import Report, evaluate
from retrieval.evaluation.datasets import Dataset
from scripts import bench_tables
from scripts.bench import pages, record, tesseract
from scripts.bench_ocr import ocr_cache, read_pages, word_systems

RUN = pages.CACHE / "runs" / "local.jsonl"
FAST_EVERY = 8
OCR = "Tesseract"


@dataclass(frozen=True)
class PageCost:
    """One page read by both. *_cpu_s: processor seconds. token_bytes: of its token vectors as they are stored."""

    page_id: str
    width: int
    height: int
    encoder_cpu_s: float
    tesseract_cpu_s: float
    tokens: int
    token_bytes: int


async def page_costs(dataset: Dataset, encoder: Encoder) -> tuple[list[PageCost], dict[str, str]]:
    """What each page costs both, in turn, and what Tesseract read on it."""
    cache = ocr_cache()
    costs: list[PageCost] = []
    texts: dict[str, str] = {}
    for first, (page_id, path) in enumerate(track(dataset.pictures.items(), "pages, both in turn")):
        picture = tesseract.open_page(path)
        reading = tesseract.read(picture)
        if not first:
            await encoder.encode_pages([picture])  # first calls load code and choose kernels
        started = time.process_time()
        [page] = await encoder.encode_pages([picture])
        spent = time.process_time() - started
        if not isinstance(page, Embedding):
            raise SystemExit(f"{page_id}: {page.detail}")
        texts[page_id] = reading.text
        cache.keep(path, reading, enlarge=1)
        count, size = stored_size(page)
        costs.append(PageCost(page_id, *picture.size, spent, reading.cpu_s, count, size))
    return costs, texts


def stored_size(page: Embedding) -> tuple[int, int]:
    """Token vectors of a page, and their bytes as they are stored: rows and scales."""
    if page.tokens is None:
        return 0, 0
    rows, scales = quantise_tokens(page.tokens)
    return len(rows), narrowed(rows, bits_needed(rows)).nbytes + scales.nbytes


async def query_costs(dataset: Dataset, encoder: Encoder) -> list[float]:
    """Processor milliseconds to turn each query into vectors."""
    spent: list[float] = []
    for query in dataset.queries:
        started = time.process_time()
        await encoder.encode_queries([query.text or ""])
        spent.append((time.process_time() - started) * 1000)
    return spent[1:]


def cost_rows(name: str, costs: Sequence[PageCost], queries_ms: Sequence[float]) -> list[dict[str, object]]:
    """name: of the encoder. The ratios divide its figure by Tesseract's."""
    ours = pages.spread([cost.encoder_cpu_s for cost in costs], digits=4)
    theirs = pages.spread([cost.tesseract_cpu_s for cost in costs], digits=4)
    lines: list[tuple[str, str, int, dict[str, float]]] = [
        (name, "CPU s a page", len(costs), ours),
        (OCR, "CPU s a page", len(costs), theirs),
        (f"{name} : {OCR}", "CPU a page, ratio", len(costs), {key: round(ours[key] / theirs[key], 3) for key in ours}),
        (name, "CPU ms a query", len(queries_ms), pages.spread(queries_ms, digits=2)),
        (name, "token vectors a page", len(costs), pages.spread([cost.tokens for cost in costs], digits=1)),
        (name, "token bytes a page", len(costs), pages.spread([cost.token_bytes for cost in costs], digits=0)),
    ]
    return [{"system": system, "figure": figure, "count": count, **values} for system, figure, count, values in lines]


async def measure(dataset: Dataset) -> tuple[str, list[PageCost], list[float], dict[str, str]]:
    """On one thread: name of the encoder, pages, queries, Tesseract's texts."""
    cores = torch.get_num_threads()
    encoder = create_encoder("local", EncoderOptions(device="cpu", threads=1))
    try:
        costs, texts = await page_costs(dataset, encoder)
        return encoder_id(encoder), costs, await query_costs(dataset, encoder), texts
    finally:
        await encoder.aclose()
        # The next encoder takes as many as torch has, and what it reads differs in the last bits with their number.
        torch.set_num_threads(cores)


async def quality(dataset: Dataset) -> Report:
    """The encoder as `claimsight evaluate` asks it, on all cores."""
    encoder = create_encoder("local", EncoderOptions(device="cpu"))
    try:
        with TemporaryDirectory() as folder, Progress() as bars:
            tasks = {stage: bars.add_task(stage) for stage in ("index", "search")}
            return await evaluate(
                dataset.folder,
                encoder,
                store_folder=Path(folder),
                progress=lambda stage, done, total: bars.update(tasks[stage], completed=done, total=total),
            )
    finally:
        await encoder.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", type=Path, default=pages.DEFAULT_DATASET)
    parser.add_argument("--fast", action="store_true", help="one page in eight; prints and writes nothing")
    parser.add_argument("--answers", action="store_true", help="quality alone; costs stay as they are")
    given = parser.parse_args()
    if given.fast and given.answers:
        parser.error("--fast and --answers are two ways to measure less")
    configure_logs("warning")
    stamp = record.stamp(["torch", "numpy", "pillow"], others={"tesseract": tesseract.version()})
    dataset = pages.load(given.dataset)
    with TemporaryDirectory() as folder:
        if given.fast:
            dataset = pages.sample(dataset, every=FAST_EVERY, folder=Path(folder) / "sample")
        if given.answers:
            known = read_pages(dataset, enlarge=1, at_once=os.cpu_count() or 1)
            answers(dataset, {page_id: reading.text for page_id, reading in known.items()}, stamp, keep=True)
        else:
            run(dataset, stamp, keep=not given.fast)


def run(dataset: Dataset, stamp: dict[str, str], *, keep: bool) -> None:
    """Measures and prints; keep: also writes the tables, and reads the pages enlarged."""
    name, costs, queries_ms, texts = asyncio.run(measure(dataset))
    cost_table = [{**row, **stamp} for row in cost_rows(name, costs, queries_ms)]
    record.show(cost_table)

    answers(dataset, texts, stamp, keep=keep)
    if keep:
        record.write_csv(record.BENCHMARKS / "encoder.csv", cost_table)
        record.write_csv(record.BENCHMARKS / "encoder_pages.csv", [page_row(cost) | stamp for cost in costs])


def answers(dataset: Dataset, texts: dict[str, str], stamp: dict[str, str], *, keep: bool) -> None:
    """Quality of the encoder and of word search over what Tesseract read; keep as for `run`."""
    report = asyncio.run(quality(dataset))
    if report.failed:
        raise SystemExit(f"{len(report.failed)} pages could not be indexed: {report.failed}")
    quality_table = pages.quality_rows(report.encoder, [(one.kind, one.figures) for one in report.runs])
    systems = word_systems(texts, enlarge=1)
    if keep:
        enlarged = read_pages(dataset, enlarge=2, at_once=os.cpu_count() or 1)
        systems |= word_systems({page_id: reading.text for page_id, reading in enlarged.items()}, enlarge=2)
    for system, search in systems.items():
        found = [(query.kind, one) for query, one in pages.figures(dataset, search.rank)]
        quality_table += pages.quality_rows(system, found)
    told = [{name: str(value) for name, value in row.items()} for row in quality_table]
    record.show_lines(bench_tables.quality(told))
    record.show_lines(bench_tables.quality_by_kind(told))
    if keep:
        record.write_csv(record.BENCHMARKS / "quality.csv", [{**row, **stamp} for row in quality_table])
        RUN.parent.mkdir(parents=True, exist_ok=True)
        report.write_run(RUN)


def page_row(cost: PageCost) -> dict[str, object]:
    return {
        "page_id": cost.page_id,
        "width": cost.width,
        "height": cost.height,
        "encoder_cpu_s": round(cost.encoder_cpu_s, 4),
        "tesseract_cpu_s": round(cost.tesseract_cpu_s, 4),
        "tokens": cost.tokens,
        "token_bytes": cost.token_bytes,
    }


if __name__ == "__main__":
    main()
