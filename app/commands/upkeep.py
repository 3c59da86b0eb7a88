"""Commands for the one who runs it: index, encoder, config, openapi."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from dataclasses import asdict

from app.commands import console
from app.commands.session import session
from app.main import create_app
from app.settings import Settings, load_settings
from app.settings_shown import effective, settings_markdown
from models import encoder_id
from retrieval.ports import IndexStatus
from retrieval.reindex import reindex


async def index_ensure(settings: Settings, *, wait_s: float, as_json: bool) -> int:
    async with session(settings) as services:
        encoder = await services.encoder()
        status = await services.store.ensure_index(dims=encoder.dims, wait_s=wait_s)
    return _tell_index(status, as_json=as_json)


async def index_status(settings: Settings, *, as_json: bool) -> int:
    async with session(settings) as services:
        status = await services.store.index_status()
    return _tell_index(status, as_json=as_json)


async def index_drop(settings: Settings) -> int:
    async with session(settings) as services:
        await services.store.drop_index()
    console.say("The vector index is dropped; `claimsight index ensure` makes it again from the stored vectors.")
    return 0


async def encoder_info(settings: Settings, *, as_json: bool) -> int:
    """The configured encoder, and whose vectors are stored."""
    async with session(settings) as services:
        encoder = await services.encoder()
        stored = await services.store.pages.counts()
    found = {"encoder": encoder_id(encoder), "dims": encoder.dims, "batch_size": encoder.batch_size, "stored": stored}
    if as_json:
        console.say_json(found)
        return 0
    console.say(f"{encoder_id(encoder)}: {encoder.dims} dims, {encoder.batch_size} pages a batch")
    for name, count in sorted(stored.items()):
        note = "" if name == encoder_id(encoder) else "  (not searched: run `claimsight encoder reindex`)"
        console.say(f"  {count} pages stored by {name}{note}")
    return 0


async def encoder_reindex(settings: Settings, *, as_json: bool) -> int:
    """Gives every page vectors of the configured encoder. May be stopped and started again. 1 when pages failed or
    it was stopped."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    async with session(settings) as services:
        encoder = await services.encoder()
        with console.bars(quiet=as_json) as bars:
            report = await reindex(
                services.store, encoder, progress=lambda done, total: bars.show("pages", done, total), stop=stop
            )
    failed = [{"page_id": page.page_id, "code": page.code, "detail": page.detail} for page in report.failed]
    if as_json:
        console.say_json({"done": report.done, "failed": failed, "finished": report.finished})
    else:
        console.say(f"{report.done} pages have new vectors.")
        for page in failed:
            console.say(f"  {page['page_id']} keeps its old ones: {page['detail']}")
        if not report.finished:
            console.note("Stopped before the end; run it again to go on.")
    return 0 if report.finished and not failed else 1


def config(given: Mapping[str, object], *, as_json: bool, markdown: bool) -> int:
    if markdown:
        console.say(settings_markdown().rstrip("\n"))
        return 0
    rows = effective(load_settings(**given), given)
    if as_json:
        console.say_json([asdict(row) for row in rows])
    else:
        console.say(
            console.table([(row.name, row.value, row.source) for row in rows], header=("setting", "value", "from"))
        )
    return 0


async def openapi(settings: Settings) -> int:
    """The document that the API serves at /openapi.json, without serving it."""
    async with session(settings) as services:
        console.say(json.dumps(create_app(services).openapi(), indent=2))
    return 0


def _tell_index(status: IndexStatus, *, as_json: bool) -> int:
    if as_json:
        console.say_json(asdict(status))
    else:
        detail = f": {status.detail}" if status.detail else ""
        console.say(f"{status.name} is {status.state}{detail} ({status.indexed} of {status.pages} pages indexed)")
    return 0 if status.state in ("ready", "building") else 1
