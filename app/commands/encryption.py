"""Commands on the encryption at rest: make a key, bring all files to it."""

from __future__ import annotations

import secrets
from dataclasses import asdict

from app.commands import console
from app.commands.session import session
from app.settings import Settings
from retrieval.stores.sealing import KEY_BYTES


def new_key() -> int:
    console.say(secrets.token_hex(KEY_BYTES))
    return 0


async def rotate(settings: Settings, *, as_json: bool) -> int:
    """Every file under the first key. May be stopped and started again."""
    async with session(settings) as services:
        with console.bars(quiet=as_json) as bars:
            done = await services.store.reseal(bars.show)
    if as_json:
        console.say_json(asdict(done))
    else:
        console.say(
            f"{done.written} of {done.files} files were encrypted anew; keys in use: {', '.join(done.keys) or 'none'}."
        )
    return 0
