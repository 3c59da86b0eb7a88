"""How well questions in other words than a page's find it, on the pages that may be chosen on: with words of like
meaning and without, beside word search over the known text of the same pages.

    python scripts/bench_meanings.py [PAGES] [--teacher FOLDER]

PAGES: a folder of pages with known words, as models.training.real_pages reads it. The questions (other_words.tsv) were
written from the words of these pages, before anything was chosen by them; those of pages with even numbers are for
choosing, the others confirm. Pages marked research-only are among them: nothing is trained here. --teacher:
all-MiniLM-L6-v2 as models.training.meanings takes it; what it would add to the scores is measured too, from the words
that the stored vectors tell and from the known text (scripts/bench/page_meaning.py).
Writes docs/benchmarks/meanings.csv.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))

from models import Embedding, EncoderOptions, create_encoder, quantise_tokens
from models.encoder import FloatArray, PackedPages
from models.local.config import LocalConfig, ScoreConfig
from models.local.encoder import WEIGHTS
from models.local.scoring import score_pages
from models.packing import pack_pages
from models.training.meanings import Teacher
from retrieval.evaluation.metrics import page_figures
from scripts import bench_tables
from scripts.bench import page_meaning, pages, record
from scripts.bench.word_search import WordSearch

TARGET = record.BENCHMARKS / "meanings.csv"
QUESTIONS = Path(__file__).parent / "bench" / "other_words.tsv"
DEFAULT_PAGES = record.REPOSITORY.parent / "shared" / "data" / "docs" / "train"
FIRST = 5
"""Pages of an answer that are looked at."""
SHARES = (0.4, 0.8)
"""Of the likeness of meaning, added to the score."""

Rank = Callable[[str], Sequence[str]]


def questions() -> list[tuple[frozenset[str], str]]:
    """The pages that answer, and what is asked."""
    with QUESTIONS.open(newline="", encoding="utf-8") as file:
        return [(frozenset(row["pages"].split(",")), row["question"]) for row in csv.DictReader(file, delimiter="\t")]


def known_texts(folder: Path) -> dict[str, str]:
    with gzip.open(folder / "pages.jsonl.gz", "rt", encoding="utf-8") as lines:
        told = [json.loads(line) for line in lines]
    return {page["page_id"]: " ".join(word["text"] for word in page["words"]) for page in told}


async def read(folder: Path, ids: Sequence[str], asked: Sequence[str]) -> tuple[PackedPages, dict[str, Embedding]]:
    """The pages as they would be stored, and the questions, by what was typed."""
    encoder = create_encoder("local", EncoderOptions(device="cpu"))
    stored: list[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]] = []
    try:
        for page_id in track(ids, "pages"):
            with Image.open(folder / "pages" / f"{page_id}.webp") as picture:
                [page] = await encoder.encode_pages([picture.convert("RGB")])
            if not isinstance(page, Embedding):
                raise SystemExit(f"{page_id}: {page.detail}")
            stored.append((page.summary, *(quantise_tokens(page.tokens) if page.tokens is not None else (None, None))))
        found = await encoder.encode_queries(asked)
        return pack_pages(stored, encoder=found[0].encoder), dict(zip(asked, found, strict=True))
    finally:
        await encoder.aclose()


def ways(folder: Path, teacher: Teacher | None) -> dict[str, Rank]:
    texts = known_texts(folder)
    ids = list(texts)
    packed, asked = asyncio.run(read(folder, ids, [question for _, question in questions()]))
    config = LocalConfig.from_json(WEIGHTS / "config.json").score

    @cache
    def scores(question: str, used: ScoreConfig = config) -> FloatArray:
        return score_pages(asked[question], packed, used, torch.device("cpu"))

    def ranked(score: Callable[[str], FloatArray]) -> Rank:
        return lambda question: [ids[place] for place in np.argsort(-score(question), kind="stable")[:FIRST]]

    found = {
        packed.encoder: ranked(scores),
        "no words of like meaning": ranked(partial(scores, used=replace(config, near=0.0))),
        "known text, words": WordSearch(texts, with_grams=False).rank,
        "known text, words + 4-grams": WordSearch(texts, with_grams=True).rank,
    }
    if teacher is not None:
        meant = teacher(list(asked))
        known = [text.split() for text in texts.values()]
        for source, words in (("stored vectors", page_meaning.told_words(packed, config)), ("known text", known)):
            near = page_meaning.likeness(meant, page_meaning.meanings_of(teacher, words))
            for share in SHARES:
                plus = dict(zip(asked, share * near, strict=True))
                found[f"{packed.encoder} + {share} x meaning, {source}"] = ranked(
                    lambda question, plus=plus: scores(question) + plus[question]
                )
    return found


def half(relevant: frozenset[str]) -> str:
    return "confirmed on" if int(min(relevant)[1:]) % 2 else "chosen on"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_PAGES, metavar="PAGES")
    parser.add_argument("--teacher", type=Path, metavar="FOLDER", help="of all-MiniLM-L6-v2")
    given = parser.parse_args()
    teacher = None if given.teacher is None else Teacher(given.teacher)
    stamp = record.stamp(["torch", "numpy", "pillow"])
    rows: list[dict[str, object]] = []
    for system, rank in ways(given.folder, teacher).items():
        found = [(half(relevant), page_figures(relevant, rank(question))) for relevant, question in questions()]
        rows += [{**row, **stamp} for row in pages.quality_rows(system, found)]
    record.write_csv(TARGET, rows)
    record.show_lines(bench_tables.quality_by_kind([{name: str(value) for name, value in row.items()} for row in rows]))


if __name__ == "__main__":
    main()
