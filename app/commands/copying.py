"""The command that moves a store into another."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict

from app.commands import console
from app.settings import Settings
from retrieval.copying import copy_store
from retrieval.errors import InvalidInput
from retrieval.ports import Store
from retrieval.stores import open_store


async def copy(settings: Settings, source: str | None, target: str | None, *, as_json: bool) -> int:
    """1 when the two differ at the end. None: the configured store."""
    configured = settings.store.get_secret_value()
    keys = await asyncio.to_thread(settings.keys)
    addresses = [configured if address is None else address for address in (source, target)]
    if addresses[0] == addresses[1]:
        raise InvalidInput("--from and --to name the same store.", code="same_store")
    async with AsyncExitStack() as stack:
        stores: list[Store] = []
        for address in addresses:
            stores.append(await open_store(address, keys=keys))
            stack.push_async_callback(stores[-1].close)
        with console.bars(quiet=as_json) as bars:
            copied = await copy_store(*stores, progress=bars.show)
    if as_json:
        console.say_json(asdict(copied))
        return 1 if copied.differences else 0
    for difference in copied.differences:
        console.say(f"{difference.what}  {difference.where}: {difference.detail}")
    console.say(
        f"{copied.claims} claims, {copied.assets} files, {copied.pages} pages, {copied.jobs} jobs and "
        f"{copied.audit_records} audit records compared: {len(copied.differences)} differences."
    )
    if copied.differences:
        console.note("Run it again when nothing is written to the source.")
    return 1 if copied.differences else 0
