"""The demo claims: read from this folder, entered through the same doors as a user's, indexed by the workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import cast

from app.auditing import audit_event
from retrieval.documents import AuditEvent, Claim, FactValue, Location, Vehicle
from retrieval.errors import Conflict
from retrieval.ingestion.intake import Intake
from retrieval.ports import Store

FOLDER = Path(__file__).parent
_ACTOR = "demo"


@dataclass(frozen=True, slots=True)
class DemoClaim:
    """A claim and the files that go into it."""

    claim: Claim
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class SeedReport:
    """claims, files: entered now (none when the demo data were already there). job_ids: of the demo claims, in
    their order, whether new or not."""

    claims: int
    files: int
    job_ids: tuple[str, ...]


def demo_claims() -> tuple[DemoClaim, ...]:
    """All of claims.json, in its order."""
    records = cast("list[dict[str, object]]", json.loads((FOLDER / "claims.json").read_text(encoding="utf-8")))
    return tuple(_demo_claim(record) for record in records)


async def seed(
    store: Store, intake: Intake, tenant: str, *, progress: Callable[[int, int], None] | None = None
) -> SeedReport:
    """Creates the demo claims that the tenant does not have and submits their files. A second run changes nothing,
    also not a demo claim that was edited meanwhile. progress: called with (claims done, claims in all).

    Raises what the stores and the intake raise.
    """
    cases = await asyncio.to_thread(demo_claims)
    new_claims = new_files = 0
    job_ids: list[str] = []
    for place, case in enumerate(cases, start=1):
        key = await asyncio.to_thread(_idempotency_key, case)
        job = await store.jobs.find_by_key(tenant, key)
        if job is None:
            try:
                await store.claims.put(tenant, case.claim, create_only=True, note=partial(_created, case.claim))
                new_claims += 1
            except Conflict:
                pass  # an earlier run was cut between the claim and its files
            received = [await intake.receive(path.name, _chunks(path)) for path in case.files]
            job, _ = await intake.submit(
                tenant, case.claim.claim_id, received, idempotency_key=key, note=partial(_uploaded, case)
            )
            new_files += len(received)
        job_ids.append(job.job_id)
        if progress is not None:
            progress(place, len(cases))
    return SeedReport(claims=new_claims, files=new_files, job_ids=tuple(job_ids))


def _created(claim: Claim, _put: tuple[Claim, bool]) -> AuditEvent:
    return audit_event(_ACTOR, "claim.create", claim.claim_id, details={})


def _uploaded(case: DemoClaim, job_id: str) -> AuditEvent:
    details: dict[str, FactValue] = {"files": len(case.files), "job_id": job_id}
    return audit_event(_ACTOR, "assets.upload", case.claim.claim_id, details=details)


def _idempotency_key(case: DemoClaim) -> str:
    """Changes with the files, so that a release with other demo files enters them."""
    digest = sha256()
    for path in case.files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"demo-{case.claim.claim_id}-{digest.hexdigest()[:16]}"


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    yield await asyncio.to_thread(path.read_bytes)


def _demo_claim(record: Mapping[str, object]) -> DemoClaim:
    folder = FOLDER / "data" / str(record["claim_id"]).lower()
    place = cast("dict[str, str]", record.get("location", {}))
    vehicle = cast("dict[str, str]", record.get("vehicle", {}))
    claim = Claim(
        claim_id=str(record["claim_id"]),
        line=str(record["line"]),
        status=str(record["status"]),
        policy_id=str(record["policy_id"]),
        loss_date=date.fromisoformat(str(record["loss_date"])),
        reported_date=date.fromisoformat(str(record["reported_date"])),
        loss_amount=float(str(record["loss_amount"])),
        currency=str(record["currency"]),
        damage_types=tuple(cast("list[str]", record["damage_types"])),
        location=Location(city=place.get("city"), region=place.get("region"), country=place.get("country")),
        vehicle=Vehicle(
            make=vehicle.get("make"),
            model=vehicle.get("model"),
            year=int(vehicle["year"]) if "year" in vehicle else None,
        ),
        description=str(record["description"]),
        attributes=cast("dict[str, FactValue]", record["attributes"]),
    )
    return DemoClaim(claim=claim, files=tuple(folder / name for name in cast("list[str]", record["files"])))
