"""Numbers, amounts and names of digital PDFs found with and without exact strings, and what a look-up costs.

    python scripts/bench_exact.py [--look-alikes N] [--pages N]

The pages: the digital PDFs of the demo, and N look-alikes of each case drawn here, on the same forms: numbers that
differ in one digit, amounts by a little, first names. A page is right when poppler's pdftotext finds the string on it;
Claimsight reads with PDFium. Both settings are asked in the same run, with the local encoder. Look-ups are timed on a
store of --pages drawn texts. Needs the fonts of scripts/make_demo_data.py. Writes docs/benchmarks/exact.csv and
exact_lookup.csv.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import NamedTemporaryFile, TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from demo_data.cases import Case
from demo_data.pdf import write_pdf
from make_demo_data import CASES, PAPERS

from models import create_encoder, encoder_id
from models.encoder import Encoder
from retrieval.documents import Asset, Claim, NewPage, Page, PageVectors, page_id_of
from retrieval.evaluation.indexing import index_pictures
from retrieval.evaluation.metrics import mean_figures, page_figures
from retrieval.exact import page_text
from retrieval.filters import EVERYTHING, Condition, Filter
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import Limits
from retrieval.queries import Query
from retrieval.search import SearchEngine
from retrieval.stores.sqlite import SqliteStore
from scripts.bench import record
from scripts.bench.pages import ALL

TENANT = "bench"
DEMO = record.REPOSITORY / "app" / "demo" / "data"
PAGES_A_FILE, WORDS_A_PAGE, LOOKUPS = 50, 150, 30
WORDS = [f"word{number}" for number in range(3000)]


@dataclass(frozen=True)
class LookAlike(Case):
    """A case whose numbers differ from another's in one digit. step: what is added to it."""

    step: int = 0

    @classmethod
    def of(cls, case: Case, step: int) -> LookAlike:
        """Its first item costs `step` more as well, and its holder has another first name."""
        facts = {field.name: getattr(case, field.name) for field in fields(Case)}
        words, many, price = case.items[0]
        first = CASES[(CASES.index(case) + step) % len(CASES)].holder.split()[0]
        holder = f"{first} {case.holder.split()[-1]}"
        items = ((words, many, price + step), *case.items[1:])
        return cls(**{**facts, "holder": holder, "items": items, "pictures": ()}, step=step)

    @property
    def claim_id(self) -> str:
        return self._other(super().claim_id)

    @property
    def policy_id(self) -> str:
        return self._other(super().policy_id)

    def _other(self, number: str) -> str:
        return f"{number[:-2]}{(int(number[-2]) + self.step) % 10}{number[-1]}"


def draw_look_alikes(folder: Path, count: int) -> None:
    """The digital papers of each case, of so many look-alikes."""
    for case in CASES:
        for step in range(1, count + 1):
            for paper in case.papers:
                kind, form = paper.split(":")
                layout, stem = PAPERS[kind]
                if form == "pdf" and kind != "expert":  # which shows the photos of its case
                    pages = layout(LookAlike.of(case, step), Random(1000 * step + case.number))
                    target = folder / f"{case.number}-{step}-{stem}.pdf"
                    write_pdf(target, [(page, page.info["words"]) for page in pages])


def texts_of(path: Path) -> list[str]:
    """The text of each page as pdftotext gives it, in one line each; [] for a file without any."""
    told = subprocess.run(["pdftotext", "-enc", "UTF-8", path, "-"], capture_output=True, check=True).stdout.decode()
    pages = [" ".join(page.split()) for page in told.split("\f")[:-1]]
    return pages if any(pages) else []


def questions() -> dict[str, list[tuple[str, str]]]:
    """By kind: what is typed, and the string that must stand on the page."""
    plain = {
        "claim number": [case.claim_id for case in CASES],
        "its last part": [case.claim_id.rpartition("-")[2] for case in CASES],
        "policy number": [case.policy_id for case in CASES],
        "amount": [f"{case.amount:,.2f}" for case in CASES],
        "name": [case.holder for case in CASES],
    }
    asked = {kind: [(string, string) for string in strings] for kind, strings in plain.items()}
    return asked | {"name in quotes": [(f'"{string}"', string) for string in plain["name"]]}


async def quality(folder: Path, encoder: Encoder, look_alikes: int) -> list[dict[str, object]]:
    (folder / "drawn").mkdir()
    draw_look_alikes(folder / "drawn", look_alikes)
    found = {path: texts_of(path) for path in [*sorted(DEMO.rglob("*.pdf")), *sorted((folder / "drawn").iterdir())]}
    files = {f"B-{place:04d}": path for place, path in enumerate(path for path, texts in found.items() if texts)}
    texts = {(claim, number): text for claim, path in files.items() for number, text in enumerate(found[path], 1)}
    store = await SqliteStore.open(folder / "data")
    try:
        await store.ensure_index(dims=encoder.dims)
        intake = Intake(store, folder / "work", Limits())
        failed = await index_pictures(
            store, encoder, intake, TENANT, files, work_dir=folder / "work", progress=lambda *_: None
        )
        if failed:
            raise RuntimeError(f"not indexed: {failed}")
        return await asked(SearchEngine(store, encoder), texts)
    finally:
        await store.close()


async def asked(engine: SearchEngine, texts: Mapping[tuple[str, int], str]) -> list[dict[str, object]]:
    """A row a kind of string. texts: of each page, by claim and number."""
    rows: list[dict[str, object]] = []
    everything: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for kind, strings in questions().items():
        figures: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for typed, string in strings:
            stands = re.compile(rf"(?<![^\W_]){re.escape(string)}(?![^\W_])", re.IGNORECASE)
            right = [f"{claim}/{number}" for (claim, number), text in texts.items() if stands.search(text)]
            for exact in (False, True) if right else ():
                result = await engine.search(TENANT, Query(text=typed, exact_text=exact))
                ranked = [f"{hit.claim.claim_id}/{hit.page.number}" for hit in result.hits]
                figures[exact].append(page_figures(right, ranked))
        rows.append(row(kind, figures, len(texts)))
        for exact, some in figures.items():
            everything[exact] += some
    return [row(ALL, everything, len(texts)), *rows]


def row(kind: str, figures: Mapping[bool, list[dict[str, float]]], pages: int) -> dict[str, object]:
    means = {exact: mean_figures(some) for exact, some in figures.items()}
    measured = {
        f"{name.replace('@', '')}_{'on' if exact else 'off'}": round(means[exact][name], 3)
        for name in ("recall@1", "ndcg@5")
        for exact in (False, True)
    }
    return {"kind": kind, "pages": pages, "queries": len(figures[True]), **measured}


async def fill(store: SqliteStore, pages: int) -> list[str]:
    """Pages of drawn words with a number each; one claim in twenty is of line travel. The numbers."""
    chance, numbers = random.Random(1), list[str]()
    vectors = PageVectors(np.eye(1, 8, dtype=np.float32)[0], "bench/1")
    await store.ensure_index(dims=8)
    for place in range(pages // PAGES_A_FILE):
        claim_id = f"B-{place:05d}"
        asset_id = sha256(claim_id.encode()).hexdigest()
        await store.claims.put(TENANT, Claim(claim_id, line="travel" if place % 20 == 0 else "auto"))
        with NamedTemporaryFile() as file:
            file.write(claim_id.encode())
            file.flush()
            await store.assets.add(TENANT, Asset(asset_id, claim_id, "a.pdf", len(claim_id)), Path(file.name))
        made: list[NewPage] = []
        for number in range(1, PAGES_A_FILE + 1):
            numbers.append(f"inv-2025-{len(numbers):06d}")
            text = page_text(f"invoice {numbers[-1]} total {' '.join(chance.choices(WORDS, k=WORDS_A_PAGE))} 2025")
            page = Page(page_id_of(claim_id, asset_id, number), claim_id, asset_id, number, "page", 9, 9, "bench/1")
            made.append(NewPage(page, vectors, b"no picture", text))
        await store.pages.adopt(TENANT, made)
    return numbers


async def lookups(folder: Path, pages: int) -> list[dict[str, object]]:
    """A row a kind of string and filter."""
    store = await SqliteStore.open(folder / "data")
    try:
        chance = random.Random(2)
        numbers = chance.sample(await fill(store, pages), LOOKUPS)
        kinds: dict[str, Sequence[str]] = {
            "a number of one page": numbers,
            "a number of no page": [f"{number}9" for number in numbers],
            "a word of all pages": ["total"] * LOOKUPS,
            "two words of all pages, not side by side": ["2025 invoice"] * LOOKUPS,
        }
        filters: dict[str, Filter] = {"every page": EVERYTHING, "a page in 20": Condition("line", "eq", "travel")}
        rows: list[dict[str, object]] = []
        for kind, strings in kinds.items():
            for name, filter in filters.items():
                took: list[float] = []
                for string in strings:
                    started = time.perf_counter()
                    await store.pages.containing(TENANT, [string], filter, encoder="bench/1", limit=1001)
                    took.append((time.perf_counter() - started) * 1000)
                p95 = statistics.quantiles(took, n=20)[-1]
                rows.append({"pages": pages, "string": kind, "filter": name, "lookups": len(took),
                             "p50_ms": round(statistics.median(took), 2), "p95_ms": round(p95, 2)})  # fmt: skip
    finally:
        await store.close()
    kib = bytes_of_texts(folder / "data" / "claimsight.db") / pages / 1024
    return [{**one, "kib_a_page": round(kib, 1)} for one in rows]


def bytes_of_texts(database: Path) -> int:
    """How much smaller the file is without them."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        sizes: list[int] = []
        for statement in ("VACUUM", "DELETE FROM text_words", "DELETE FROM texts", "VACUUM"):
            connection.execute(statement)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            sizes.append(database.stat().st_size)
    return sizes[0] - sizes[-1]


async def measure(look_alikes: int, pages: int) -> None:
    encoder = create_encoder("local")
    others = {"encoder": encoder_id(encoder), "sqlite": sqlite3.sqlite_version}
    stamp = record.stamp(["torch", "pypdfium2"], others=others)
    try:
        with TemporaryDirectory() as folder:
            found = await quality(Path(folder), encoder, look_alikes)
    finally:
        await encoder.aclose()
    record.write_csv(record.BENCHMARKS / "exact.csv", [{**one, **stamp} for one in found])
    record.show(found)
    with TemporaryDirectory() as folder:
        timed = await lookups(Path(folder), pages)
    record.write_csv(record.BENCHMARKS / "exact_lookup.csv", [{**one, **stamp} for one in timed])
    record.show(timed)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look-alikes", type=int, default=3)
    parser.add_argument("--pages", type=int, default=20_000)
    given = parser.parse_args()
    asyncio.run(measure(given.look_alikes, given.pages))


if __name__ == "__main__":
    main()
