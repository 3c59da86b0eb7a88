"""How well questions in other words than a page's find it, on the pages that may be chosen on: with what pages mean and
words of like meaning and without, beside word search over the known text of the same pages; and phrases of those pages,
which may not lose by it.

    python scripts/bench_meanings.py [PAGES]

PAGES: a folder of pages with known words, as models.training.real_pages reads it. The questions (other_words.tsv) were
written from the words of these pages, before anything was chosen by them; those of pages with even numbers are for
choosing, the others confirm. Phrases: two to five words side by side, one phrase a page. Pages marked research-only are
among them: nothing is trained here. With the known meaning: what the sentence encoder says of the known words instead
of those that a page's tokens tell.
Writes docs/benchmarks/meanings.csv.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))

from models import Embedding, EncoderOptions, create_encoder, quantise_tokens
from models.encoder import PackedPages
from models.local.config import LocalConfig, ScoreConfig
from models.local.encoder import SENSES, WEIGHTS
from models.local.scoring import score_pages
from models.local.senses import SENSE_DIM, Senses, SenseTable
from models.local.summary import summary_of
from models.local.words import canonical
from models.packing import pack_pages
from models.training.meanings import sentence_encoder
from retrieval.evaluation.metrics import page_figures
from scripts import bench_tables
from scripts.bench import pages, record
from scripts.bench.word_search import WordSearch

TARGET = record.BENCHMARKS / "meanings.csv"
QUESTIONS = Path(__file__).parent / "bench" / "other_words.tsv"
DEFAULT_PAGES = record.REPOSITORY.parent / "shared" / "data" / "docs" / "train"
FIRST = 5
"""Pages of an answer that are looked at."""
PHRASE_WORDS = (2, 3, 4, 5)
FEWEST_LETTERS = 8
"""Of a phrase: shorter ones stand on many pages."""
SEED = 5

Rank = Callable[[str], Sequence[str]]


def questions() -> list[tuple[frozenset[str], str]]:
    """The pages that answer, and what is asked."""
    with QUESTIONS.open(newline="", encoding="utf-8") as file:
        return [(frozenset(row["pages"].split(",")), row["question"]) for row in csv.DictReader(file, delimiter="\t")]


def known_texts(folder: Path) -> dict[str, str]:
    with gzip.open(folder / "pages.jsonl.gz", "rt", encoding="utf-8") as lines:
        told = [json.loads(line) for line in lines]
    return {page["page_id"]: " ".join(word["text"] for word in page["words"]) for page in told}


def phrases(texts: Mapping[str, str]) -> list[tuple[frozenset[str], str]]:
    """One of each page, and the pages that hold it, as `questions` has them."""
    draw, found = random.Random(SEED), list[tuple[frozenset[str], str]]()
    held = {page: f" {text.lower()} " for page, text in texts.items()}
    for text in texts.values():
        words = text.split()
        if len(words) <= max(PHRASE_WORDS):
            continue
        count = draw.choice(PHRASE_WORDS)
        first = draw.randrange(len(words) - count + 1)
        chosen = words[first : first + count]
        if sum(len(canonical(word)) for word in chosen) >= FEWEST_LETTERS:
            phrase = " ".join(chosen)
            found.append((frozenset(page for page in texts if f" {phrase.lower()} " in held[page]), phrase))
    return found


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


def with_meanings(packed: PackedPages, texts: Sequence[str]) -> PackedPages:
    """Pages that mean what their known text does."""
    senses = Senses(SenseTable.load(WEIGHTS / SENSES), sentence_encoder())
    dims = packed.summaries.shape[1] - SENSE_DIM
    looks = packed.summaries[:, :dims] / np.linalg.norm(packed.summaries[:, :dims], axis=1, keepdims=True)
    meant = [senses.of_words(text.split()) if text.split() else None for text in texts]
    return replace(packed, summaries=np.stack([summary_of(*one) for one in zip(looks, meant, strict=True)]))


def ways(folder: Path, texts: Mapping[str, str], wanted: Sequence[str]) -> dict[str, Rank]:
    ids = list(texts)
    packed, asked = asyncio.run(read(folder, ids, wanted))
    config = LocalConfig.from_json(WEIGHTS / "config.json").score
    wordy = replace(config, meaning=0.0)

    def ranked(used: ScoreConfig, stored: PackedPages = packed) -> Rank:
        def rank(question: str) -> Sequence[str]:
            scores = score_pages(asked[question], stored, used, torch.device("cpu"))
            return [ids[place] for place in np.argsort(-scores, kind="stable")[:FIRST]]

        return rank

    return {
        packed.encoder: ranked(config),
        "with the known meaning": ranked(config, with_meanings(packed, list(texts.values()))),
        "words alone": ranked(wordy),
        "and none of like meaning": ranked(replace(wordy, near=0.0)),
        "known text, words": WordSearch(texts, with_grams=False).rank,
        "known text, words + 4-grams": WordSearch(texts, with_grams=True).rank,
    }


def half(relevant: frozenset[str]) -> str:
    return "confirmed on" if int(min(relevant)[1:]) % 2 else "chosen on"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_PAGES, metavar="PAGES")
    given = parser.parse_args()
    stamp = record.stamp(["torch", "numpy", "pillow"])
    texts = known_texts(given.folder)
    wanted = [(half(relevant), relevant, question) for relevant, question in questions()]
    wanted += [("phrases", *one) for one in phrases(texts)]
    rows: list[dict[str, object]] = []
    for system, rank in ways(given.folder, texts, [question for *_, question in wanted]).items():
        found = [(kind, page_figures(relevant, rank(question))) for kind, relevant, question in wanted]
        rows += [{**row, **stamp} for row in pages.quality_rows(system, found)]
    record.write_csv(TARGET, rows)
    record.show_lines(bench_tables.quality_by_kind([{name: str(value) for name, value in row.items()} for row in rows]))


if __name__ == "__main__":
    main()
