"""The worst answers of the encoder to labelled queries: a table to explain them in, and one picture to see them on.

    python scripts/bench_failures.py [DATASET] [--run var/runs/local.jsonl]

RUN is what scripts/bench_encoder.py or `claimsight evaluate --report` wrote. Writes docs/benchmarks/failures.csv, whose
column what_went_wrong is written by a person and kept while a query still finds the same wrong page, and
docs/pictures/failures.webp. Only pages under an open licence are drawn, as pages.tsv of the data set tells; the column
drawn names their licence and repository, for the credits.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

sys.path.insert(0, str(Path(__file__).parents[1]))

from retrieval.evaluation.datasets import Dataset
from scripts.bench import pages, record, tesseract

TARGET = record.BENCHMARKS / "failures.csv"
PICTURE = record.REPOSITORY / "docs" / "pictures" / "failures.webp"
RUN = pages.CACHE / "runs" / "local.jsonl"
WORST = 20
OPEN_LICENCES = frozenset({"MIT", "MIT-0", "Apache-2.0", "CC-BY-4.0", "public-domain"})
ACROSS = 5
THUMBNAIL = (150, 200)
GAP, HEAD = 12, 24


@dataclass(frozen=True)
class Failure:
    """rank: of the best right page, counted from 1; 0 where none was found. found: "" where nothing was."""

    qid: str
    query: str
    kind: str
    expected: tuple[str, ...]
    found: str
    rank: int
    ndcg5: float


def worst(dataset: Dataset, answers: Sequence[Mapping[str, Any]]) -> list[Failure]:
    """The WORST queries: lowest nDCG@5, then the right page furthest down."""
    queries = {query.qid: query for query in dataset.queries}
    failures: list[Failure] = []
    for answer in answers:
        query = queries[answer["qid"]]
        ranked: list[str] = answer["page_ids"]
        rank = next((place for place, page_id in enumerate(ranked, 1) if page_id in query.relevant), 0)
        expected = tuple(sorted(query.relevant))
        found = ranked[0] if ranked else ""
        failures.append(Failure(query.qid, query.text or "", query.kind, expected, found, rank, answer["ndcg@5"]))
    failures.sort(key=lambda failure: (failure.ndcg5, 1 / failure.rank if failure.rank else 0, failure.qid))
    return failures[:WORST]


def explained(path: Path) -> dict[tuple[str, str], str]:
    """What a person wrote earlier, by query and wrong page."""
    if not path.is_file():
        return {}
    return {(row["qid"], row["found"]): row["what_went_wrong"] for row in record.read_csv(path)}


def licences(folder: Path) -> dict[str, tuple[str, str]]:
    """Licence and repository of each page; empty where the data set does not say."""
    path = folder / "pages.tsv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["page_id"]: (row["licence"], row["repo"]) for row in csv.DictReader(file, delimiter="\t")}


def gallery(failures: Sequence[Failure], dataset: Dataset, shown: frozenset[str]) -> Image.Image:
    """A numbered field a query: the page that should have come on the left, the one that came on the right."""
    width, height = 2 * THUMBNAIL[0] + 2 * GAP, THUMBNAIL[1] + HEAD + GAP
    rows = -(-len(failures) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * width + GAP, rows * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for place, failure in enumerate(failures):
        left, top = GAP + place % ACROSS * width, GAP + place // ACROSS * height
        draw.text((left, top), f"{place + 1}  {failure.kind}", fill="black", font=font)
        for column, page_id in enumerate((failure.expected[0], failure.found)):
            corner = (left + column * (THUMBNAIL[0] + GAP // 2), top + HEAD)
            sheet.paste(_thumbnail(dataset, page_id, shown), corner)
    return sheet


def _thumbnail(dataset: Dataset, page_id: str, shown: frozenset[str]) -> Image.Image:
    if page_id in shown:
        small = ImageOps.pad(tesseract.open_page(dataset.pictures[page_id]), THUMBNAIL, color="#e8e8e8")
    else:
        small = Image.new("RGB", THUMBNAIL, "#e8e8e8")
        text = "not shown" if page_id else "nothing found"
        ImageDraw.Draw(small).text((12, THUMBNAIL[1] // 2 - 8), text, fill="#707070", font=ImageFont.load_default(14))
    return ImageOps.expand(small.crop((1, 1, THUMBNAIL[0] - 1, THUMBNAIL[1] - 1)), 1, "#a0a0a0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", type=Path, default=pages.DEFAULT_DATASET)
    parser.add_argument("--run", type=Path, default=RUN)
    given = parser.parse_args()
    if not given.run.is_file():
        raise SystemExit(f"There is no {given.run.name}: run scripts/bench_encoder.py first.")
    dataset = pages.load(given.dataset)
    summary, *answers = [json.loads(line) for line in given.run.read_text(encoding="utf-8").splitlines()]
    failures = worst(dataset, answers)
    known = explained(TARGET)
    stamp = record.stamp([], others={"encoder": summary["summary"]["encoder"]})
    sources = licences(dataset.folder)
    shown = frozenset(page_id for page_id, (licence, _) in sources.items() if licence in OPEN_LICENCES)
    rows: list[dict[str, object]] = []
    for place, failure in enumerate(failures, 1):
        drawn = [" ".join(sources[page]) for page in (failure.expected[0], failure.found) if page in shown]
        rows.append(
            {
                "place": place,
                "qid": failure.qid,
                "kind": failure.kind,
                "query": failure.query,
                "expected": " ".join(failure.expected),
                "found": failure.found,
                "rank": failure.rank or "not found",
                "ndcg5": round(failure.ndcg5, 4),
                "what_went_wrong": known.get((failure.qid, failure.found), ""),
                "drawn": "; ".join(dict.fromkeys(drawn)),
                **stamp,
            }
        )
    record.write_csv(TARGET, rows)
    gallery(failures, dataset, shown).save(PICTURE, "WEBP", quality=75, method=6)
    record.show([{name: row[name] for name in ("place", "kind", "query", "expected", "found", "rank")} for row in rows])


if __name__ == "__main__":
    main()
