"""The demo data are whole, credited and small, and enter a store once."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.demo import FOLDER, demo_claims, seed
from retrieval.documents import LINES, STATUSES, Claim, EntryState, Sort
from retrieval.filters import EVERYTHING
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import Limits
from retrieval.stores import open_store

TENANT = "demo-test"


def test_every_file_of_the_data_folder_belongs_to_one_claim() -> None:
    listed = Counter(path for case in demo_claims() for path in case.files)
    assert set(listed.values()) == {1}
    assert set(listed) == {path for path in (FOLDER / "data").rglob("*") if path.is_file()}


def test_the_claims_show_every_line_but_other_and_every_status() -> None:
    cases = demo_claims()
    assert len({case.claim.claim_id for case in cases}) == len(cases) >= 40
    assert {case.claim.line for case in cases} == set(LINES) - {"other"}
    assert {case.claim.status for case in cases} == set(STATUSES)
    assert all(case.files and (case.claim.loss_amount or 0) > 0 for case in cases)


@pytest.mark.parametrize("damage", ["windscreen", "dent", "scratch", "hail", "fire", "burst pipe", "phone screen"])
def test_common_damage_appears_in_several_claims(damage: str) -> None:
    assert sum(damage in case.claim.damage_types for case in demo_claims()) >= 2


def test_the_data_are_small() -> None:
    assert sum(path.stat().st_size for case in demo_claims() for path in case.files) < 6_000_000


def test_every_photo_is_credited_or_drawn_by_us() -> None:
    credits = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+\.jpg) \| (\S+)@\w+:\S+ \| (.+) \|$", credits, flags=re.MULTILINE)
    licences = {source: licence for _, source, licence in rows}
    assert licences == {
        "yatharthbhatia/car-damage-analysis": "CC BY 4.0",
        "jvk1chaitanya/fire-image-detection": "Apache-2.0",
    }
    photos = {str(p.relative_to(FOLDER)) for case in demo_claims() for p in case.files if p.name.startswith("photo")}
    photos.add("try-this.jpg")
    drawn = photos - {name for name, _, _ in rows}
    assert {name for name, _, _ in rows} <= photos
    # Real photos are at most 320 pixels on the long side; our drawings are 480 x 360.
    for name in drawn:
        with Image.open(FOLDER / name) as picture:
            assert picture.size == (480, 360), f"{name} has no credit"


def test_names_in_claims_json_stay_in_the_data_folder() -> None:
    for record in json.loads((FOLDER / "claims.json").read_text(encoding="utf-8")):
        assert all(re.fullmatch(r"[a-z0-9-]+\.(pdf|jpg|png)", name) for name in record["files"])


async def test_seed_enters_everything_once(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path / 'data'}")
    try:
        await store.ensure_index(dims=8)
        intake = Intake(store, tmp_path / "spool", Limits())
        steps: list[tuple[int, int]] = []
        first = await seed(store, intake, TENANT, progress=lambda done, total: steps.append((done, total)))
        cases = demo_claims()
        assert (first.claims, first.files) == (len(cases), sum(len(case.files) for case in cases))
        assert steps[-1] == (len(cases), len(cases))
        jobs = [await store.jobs.get(TENANT, job_id) for job_id in first.job_ids]
        assert {entry.state for job in jobs for entry in job.entries} == {EntryState.queued}

        await store.claims.update(TENANT, cases[0].claim.claim_id, _closed)
        second = await seed(store, intake, TENANT)
        assert (second.claims, second.files, second.job_ids) == (0, 0, first.job_ids)
        assert (await store.claims.get(TENANT, cases[0].claim.claim_id)).status == "closed"
        assert await store.claims.count("someone-else") == 0
    finally:
        await store.close()


async def test_seed_goes_on_after_a_cut(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path / 'data'}")
    try:
        await store.ensure_index(dims=8)
        intake = Intake(store, tmp_path / "spool", Limits())
        case = demo_claims()[0]
        await store.claims.put(TENANT, case.claim)
        report = await seed(store, intake, TENANT)
        assert report.claims == len(demo_claims()) - 1
        listing = await store.claims.list(TENANT, EVERYTHING, sort=Sort(), limit=100)
        assert {claim.claim_id for claim in listing.items} == {case.claim.claim_id for case in demo_claims()}
        assert len(await store.assets.list(TENANT, case.claim.claim_id)) == len(case.files)
    finally:
        await store.close()


def _closed(claim: Claim) -> Claim:
    return replace(claim, status="closed")
