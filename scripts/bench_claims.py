"""Claims that find claims, through the API: the first five of claim search beside chance and beside search by page.

    python scripts/bench_claims.py PHOTOS

Two collections. The demo claims, where a claim is right that has the line and at least one kind of damage of the one
asked with. And claims made of the labelled photos in PHOTOS/dev (nothing was trained, tuned or chosen on them): three
photos of one label each, then two of one label and one of any other, where a claim is right that was made for the same
label. Files go in by upload and worker, questions by `POST /v1/claims/{id}/similar`. By page: `GET
/v1/pages/{id}/similar` for each page that claim search asks with, as a list of pages and as a list of claims, the mean
of all of them. Only claims that have a right one are asked with. Writes docs/benchmarks/claims.csv.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.demo import demo_claims
from app.logs import configure_logs
from app.main import create_app
from app.settings import Settings
from app.wiring import build_services, load_encoder
from models import Encoder
from models.training.photos.data import photo_entries
from retrieval.ingestion.worker import Worker
from scripts.bench import record

FIRST = 5
PHOTOS_A_CLAIM = 3
SEED = 0
CLAIMS, PAGES, PAGES_BY_CLAIM = "claim search", "page search", "page search, by claim"
CHANCE, BEST = "chance", "best possible"


@dataclass(frozen=True, slots=True)
class Case:
    """A claim with its files. marks: two claims that share one are alike."""

    claim_id: str
    facts: dict[str, Any]
    marks: frozenset[str]
    files: tuple[Path, ...]


def demo_cases() -> list[Case]:
    return [
        Case(
            claim_id=case.claim.claim_id,
            facts={"line": case.claim.line},
            marks=frozenset(f"{case.claim.line}: {kind}" for kind in case.claim.damage_types),
            files=case.files,
        )
        for case in demo_claims()
    ]


def photo_cases(folder: Path, *, strangers: int) -> list[Case]:
    """Claims of PHOTOS_A_CLAIM photos, so many of them of another label than the claim's; each photo in one claim."""
    rng = random.Random(SEED)
    photos: dict[str, list[Path]] = defaultdict(list)
    for entry in photo_entries(folder):
        photos[entry.fine].append(entry.path)
    for paths in photos.values():
        rng.shuffle(paths)
    own = PHOTOS_A_CLAIM - strangers
    made: list[tuple[str, list[Path]]] = []
    left = {label: list(paths) for label, paths in photos.items()}
    while any(len(paths) >= own for paths in left.values()):
        label = rng.choice([label for label, paths in left.items() if len(paths) >= own])
        files = [left[label].pop() for _ in range(own)]
        others = [path for other, paths in left.items() if other != label for path in paths]
        if len(others) < strangers:
            break
        for path in rng.sample(others, strangers):
            files.append(path)
            next(paths for paths in left.values() if path in paths).remove(path)
        made.append((label, files))
    return [
        Case(f"P-{number:04}", {"line": "other"}, frozenset({label}), tuple(files))
        for number, (label, files) in enumerate(made, start=1)
    ]


@asynccontextmanager
async def filled(cases: Sequence[Case], encoder: Encoder) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of an API whose embedded store holds these claims, all indexed."""

    with TemporaryDirectory() as folder:
        settings = Settings(store=SecretStr(f"sqlite:{folder}/data"), encoder="local", log_level="error")
        services = await build_services(settings)
        app = create_app(services)
        client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1", timeout=600)
        async with app.router.lifespan_context(app), client:
            for case in cases:
                (await client.put(f"/v1/claims/{case.claim_id}", json=case.facts)).raise_for_status()
                files = [("files", (path.name, path.read_bytes())) for path in case.files]
                (await client.post(f"/v1/claims/{case.claim_id}/assets", files=files)).raise_for_status()
            worker = Worker(
                services.store,
                encoder,
                worker_id="bench",
                work_dir=settings.spool_folder(),
                limits=services.limits,
            )
            while await worker.run_once():
                pass
            yield client


def alike(case: Case, cases: Sequence[Case]) -> set[str]:
    return {other.claim_id for other in cases if other is not case and other.marks & case.marks}


def precision(found: Sequence[str], right: set[str]) -> float:
    """Of the first FIRST; a list that is shorter has nothing in its other places."""
    return sum(claim_id in right for claim_id in found[:FIRST]) / FIRST


async def found_by(client: httpx2.AsyncClient, case: Case) -> dict[str, list[list[str]]]:
    """For each way, the claims found, best first, a list for each question that was asked."""
    reply = await client.post(f"/v1/claims/{case.claim_id}/similar", json={"limit": FIRST})
    answer = reply.raise_for_status().json()
    lists: dict[str, list[list[str]]] = {CLAIMS: [_claims(answer)], PAGES: [], PAGES_BY_CLAIM: []}
    for page_id in answer["asked"]:
        for way, group_by in ((PAGES, "page"), (PAGES_BY_CLAIM, "claim")):
            asked = {"limit": FIRST, "group_by": group_by}
            reply = await client.get(f"/v1/pages/{page_id}/similar", params=asked)
            lists[way].append(_claims(reply.raise_for_status().json()))
    return lists


def _claims(answer: dict[str, Any]) -> list[str]:
    return [hit["claim"]["claim_id"] for hit in answer["hits"]]


async def rows_of(name: str, cases: Sequence[Case], encoder: Encoder) -> list[dict[str, object]]:
    asked = [(case, alike(case, cases)) for case in cases]
    asked = [(case, right) for case, right in asked if right]
    found: dict[str, list[float]] = defaultdict(list)
    async with filled(cases, encoder) as client:
        for case, right in asked:
            for way, lists in (await found_by(client, case)).items():
                found[way].append(mean(precision(one, right) for one in lists))
    found[CHANCE] = [len(right) / (len(cases) - 1) for _, right in asked]
    found[BEST] = [min(FIRST, len(right)) / FIRST for _, right in asked]
    return [
        {"claims": name, "count": len(cases), "asked": len(asked), "way": way, "p5": f"{mean(found[way]):.4f}"}
        for way in (CHANCE, PAGES, PAGES_BY_CLAIM, CLAIMS, BEST)
    ]


async def measure(photos: Path) -> None:
    encoder = await load_encoder(Settings(encoder="local"))
    stamp = record.stamp(["torch"], others={"weights": encoder.version})
    sets = {
        "demo": demo_cases(),
        "three photos of one label": photo_cases(photos / "dev", strangers=0),
        "two of one label, one of another": photo_cases(photos / "dev", strangers=1),
    }
    for name, cases in sets.items():
        rows = await rows_of(name, cases, encoder)
        # Set by set, so that a run that is cut short keeps what it has.
        record.replace_rows(record.BENCHMARKS / "claims.csv", [{**row, **stamp} for row in rows], key="claims")
        record.show(rows)
    await encoder.aclose()


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    given = parser.parse_args()
    configure_logs("error")
    asyncio.run(measure(given.photos))


if __name__ == "__main__":
    main()
