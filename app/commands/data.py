"""Commands that work on claims: ingest, search, evaluate."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Literal

from PIL import Image

from app.auditing import CLI_ACTOR, audit_event
from app.commands import console
from app.commands.session import session
from app.schemas.common import check_id
from app.schemas.files import JobReply
from app.schemas.search import HitReply, LossesReply
from app.services import Services
from app.settings import Settings
from app.wiring import load_encoder
from retrieval.documents import FINISHED_ENTRY, FINISHED_JOB, Claim, EntryState, Job, Losses, SearchResult
from retrieval.errors import Conflict, InvalidInput, NotFound, Refused
from retrieval.evaluation import evaluate
from retrieval.filters import Filter, parse_filter
from retrieval.ingestion.intake import Received, RefusedFile
from retrieval.ingestion.worker import Worker
from retrieval.queries import Query
from retrieval.reindex import stale_pages

_CHUNK_BYTES = 1024 * 1024
_POLL_S = 0.2
_NO_PAGES = "This store has no pages yet: `claimsight ingest` takes files in; CLAIMSIGHT_STORE names another store."


async def ingest(
    settings: Settings, claim_id: str, files: Sequence[Path], *, create: bool, wait: bool, as_json: bool
) -> int:
    """Takes the files into the claim and, unless told not to wait, works on them here. 1 when one of them failed."""
    _check_claim_id(claim_id)
    async with session(settings) as services:
        if create:
            with suppress(Conflict):  # It is there; that is what was wanted.
                made = audit_event(CLI_ACTOR, "claim.create", claim_id, details={})
                await services.store.claims.put(services.tenant, Claim(claim_id), create_only=True, note=lambda _: made)
        else:
            try:
                await services.store.claims.get(services.tenant, claim_id)
            except NotFound as error:
                raise NotFound(f"{error.detail} With --create it is made.", code=error.code) from None
        received: list[Received | RefusedFile] = []
        try:
            for path in files:
                received.append(await _receive(services, path))
        except BaseException:
            await services.intake.discard(received)
            raise
        job, _ = await services.intake.submit(
            services.tenant,
            claim_id,
            received,
            note=lambda job_id: audit_event(
                CLI_ACTOR, "assets.upload", claim_id, details={"files": len(received), "job_id": job_id}
            ),
        )
        if wait:
            with console.bars(quiet=as_json) as bars:
                job = await _work_until_done(settings, services, job, bars)
    _tell_job(job, as_json=as_json)
    return 1 if any(entry.state in (EntryState.failed, EntryState.cancelled) for entry in job.entries) else 0


async def search(
    settings: Settings,
    *,
    text: str | None,
    images: Sequence[Path],
    page_id: str | None,
    claim_id: str | None,
    filter_json: str | None,
    group_by: Literal["page", "claim"],
    limit: int,
    exact_text: bool,
    as_json: bool,
) -> int:
    """Prints the hits; 0 also when there are none."""
    filter = _filter(filter_json)
    if claim_id is not None:
        _check_claim_id(claim_id)

    def asked(pictures: tuple[Image.Image, ...] = ()) -> Query:
        return Query(
            text=text,
            images=pictures,
            page_id=page_id,
            claim_id=claim_id,
            filter=filter,
            group_by=group_by,
            limit=limit,
            exact_text=exact_text,
        )

    question = asked() if not images else None
    digests: list[str] = []
    async with session(settings) as services:
        if question is None:
            question = asked(tuple([await services.intake.read_picture(_chunks(path)) for path in images]))
            digests = [await asyncio.to_thread(_digest, path) for path in images]
        engine = await services.engine()
        result = await engine.search(services.tenant, question)
        action, target, details = services.marks.search(question, digests, filter_json)
        shown = [hit.claim.claim_id for hit in result.hits]
        event = audit_event(CLI_ACTOR, action, target, claims=shown, details={**details, "hits": len(result.hits)})
        await services.store.audit.append(services.tenant, event)
        nothing = "Nothing was found." if claim_id is None else "No claim can be compared with it."
        stored = await services.store.pages.counts(services.tenant)
    _tell_found(result, by_claim=group_by == "claim", as_json=as_json, nothing=nothing if stored else _NO_PAGES)
    if stale := stale_pages(stored, result.encoder):
        console.note(f"{stale} pages are not found by {result.encoder}: run `claimsight encoder reindex`.")
    return 0


def _tell_found(result: SearchResult, *, by_claim: bool, as_json: bool, nothing: str) -> None:
    """nothing: what to say where there is no hit."""
    if as_json:
        hits = [HitReply.of(hit).model_dump(mode="json", warnings=False) for hit in result.hits]
        costs = [LossesReply.of(losses).model_dump(mode="json") for losses in result.losses]
        found = {"hits": hits, "total": result.total, "encoder": result.encoder, "asked": result.asked, "losses": costs}
        console.say_json(found)
        return
    if not result.hits:
        console.note(nothing)
        return
    rows = [
        (
            hit.rank,
            round(hit.score, 3),
            hit.claim.claim_id,
            f"{hit.asset.filename}, {hit.page.kind} {hit.page.number}",
            hit.page.page_id,
            "exact text" if hit.exact_text else " ".join(matched.word for matched in hit.why),
        )
        for hit in result.hits
    ]
    console.say(console.table(rows, header=("", "score", "claim", "file", "page id", "words")))
    if by_claim:
        for losses in result.losses:
            console.say(cost_line(losses))


def cost_line(losses: Losses) -> str:
    """What claims of one currency cost; one amount is no median."""
    if losses.count == 1:
        return f"Loss of 1 claim in {losses.currency}: {losses.median:,.2f}"
    spread = f"half of them {losses.lower:,.2f} to {losses.upper:,.2f}"
    return f"Loss of {losses.count} claims in {losses.currency}: median {losses.median:,.2f}, {spread}"


async def evaluate_set(
    settings: Settings, dataset: Path, *, encoder_name: str | None, report_path: Path | None, as_json: bool
) -> int:
    """How well the encoder answers a labelled set, in a store that is thrown away afterwards."""
    encoder = await load_encoder(replace_workers(settings), encoder_name)
    try:
        with tempfile.TemporaryDirectory(prefix="claimsight-") as folder, console.bars(quiet=as_json) as bars:
            found = await evaluate(dataset, encoder, store_folder=Path(folder), progress=bars.show)
    finally:
        await encoder.aclose()
    if report_path is not None:
        await asyncio.to_thread(found.write_run, report_path)
    for name, reason in found.failed.items():
        console.note(f"{name} could not be indexed: {reason}")
    if as_json:
        console.say_json(found.as_json())
    else:
        console.say(found.table())
        console.say(f"\n{found.pages} {found.kind}, encoder {found.encoder}, {found.seconds:.1f} s")
    return 0


def replace_workers(settings: Settings) -> Settings:
    """The same with all cores for this process, which has no workers beside it."""
    return settings.model_copy(update={"workers": 1})


async def _receive(services: Services, path: Path) -> Received | RefusedFile:
    try:
        return await services.intake.receive(path.name, _chunks(path))
    except Refused as error:
        return RefusedFile.of(path.name, error)


async def _work_until_done(settings: Settings, services: Services, job: Job, bars: console.Bars) -> Job:
    encoder = await services.encoder()
    stop = asyncio.Event()
    worker = Worker(
        services.store,
        encoder,
        worker_id="ingest",
        work_dir=settings.spool_folder(),
        limits=services.limits,
        lease_ttl=timedelta(seconds=settings.lease_ttl_s),
        poll_interval_s=_POLL_S,
    )
    running = asyncio.create_task(worker.run(stop))
    try:
        while job.state not in FINISHED_JOB:
            await asyncio.wait({running}, timeout=_POLL_S)
            if running.done():
                running.result()
            job = await services.store.jobs.get(services.tenant, job.job_id)
            _show(job, bars)
    finally:
        stop.set()
        await asyncio.wait({running})
    return job


def _show(job: Job, bars: console.Bars) -> None:
    if any(entry.pages_total is None and entry.state not in FINISHED_ENTRY for entry in job.entries):
        bars.show("files", sum(entry.state in FINISHED_ENTRY for entry in job.entries), len(job.entries))
        return
    bars.show(
        "pages", sum(entry.pages_done for entry in job.entries), sum(entry.pages_total or 0 for entry in job.entries)
    )


def _tell_job(job: Job, *, as_json: bool) -> None:
    if as_json:
        console.say_json(JobReply.of(job).model_dump(mode="json"))
        return
    for entry in job.entries:
        pages = f", pages {entry.pages_done} of {entry.pages_total}" if entry.pages_total else ""
        reason = f": {entry.detail}" if entry.detail else ""
        console.say(f"{entry.filename}: {entry.state.value}{pages}{reason}")
        for page in entry.failed_pages:
            console.say(f"  page {page.number} failed: {page.detail}")


def _check_claim_id(claim_id: str) -> None:
    try:
        check_id(claim_id)
    except ValueError as error:
        raise InvalidInput(f"A claim number cannot be this: {error}.", code="bad_id", field="claim_id") from None


def _filter(text: str | None) -> Filter:
    if text is None:
        return parse_filter(None)
    try:
        source: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput('--filter takes JSON, for example \'{"line": "auto"}\'.', code="bad_filter") from None
    return parse_filter(source)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    handle = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(handle.read, _CHUNK_BYTES):
            yield chunk
    finally:
        handle.close()
