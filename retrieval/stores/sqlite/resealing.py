"""Every file of a data folder under the key that is in use, while the folder is served."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from retrieval.errors import InvalidInput
from retrieval.ports import Progress, Resealed
from retrieval.stores.sealing import HEADER_BYTES, sealed_by
from retrieval.stores.sqlite.core import Core
from retrieval.stores.sqlite.files import KINDS, Files, Kind, Spooled
from retrieval.stores.sqlite.page_texts import drop_texts
from retrieval.stores.sqlite.rows import note_deletion

_NAMES = {"assets": "SELECT DISTINCT asset_id FROM assets", "pictures": "SELECT DISTINCT picture FROM pages"}


async def reseal(core: Core, progress: Progress) -> Resealed:
    """As ports.Store.reseal says."""
    files = core.files
    if files.keys is None:
        raise InvalidInput("There is no key to encrypt with: set CLAIMSIGHT_ENCRYPTION_KEY.", code="no_encryption_key")
    if await core.db.write(_drop_texts):
        await core.forget()
    written = 0
    names = await core.db.read(_named)
    for done, (kind, name) in enumerate(names, start=1):
        spooled = await core.db.on_thread(lambda kind=kind, name=name: _sealed_anew(files, kind, name))
        if spooled is not None:
            try:
                await core.db.write(lambda connection, kind=kind, one=spooled: _settle(files, connection, kind, one))
                written += 1
            finally:
                await core.db.on_thread(lambda one=spooled: files.discard([one]))
        progress("files", done, len(names))
    keys = await core.db.write(lambda connection: _keep_used(files, connection))
    return Resealed(files=len(names), written=written, keys=tuple(keys))


def _drop_texts(connection: sqlite3.Connection) -> bool:
    """What lay open beside the files before they were encrypted; whether there was any."""
    dropped = drop_texts(connection)
    if dropped:
        note_deletion(connection)
    return dropped > 0


def _named(connection: sqlite3.Connection) -> list[tuple[Kind, str]]:
    return [(kind, row[0]) for kind in KINDS for row in connection.execute(_NAMES[kind])]


def _sealed_anew(files: Files, kind: Kind, name: str) -> Spooled | None:
    """None for what is under the key already, or gone meanwhile."""
    try:
        reader = files.reader(kind, name)
    except FileNotFoundError:
        return None
    if files.keys is not None and reader.key_id == files.keys.current:
        reader.close()
        return None
    spooled = files.spool_chunks(kind, name, reader.chunks())
    if spooled.name != name:  # damaged, and not encrypted until now: `verify` names it, and it stays as it is
        files.discard([spooled])
        return None
    return spooled


def _settle(files: Files, connection: sqlite3.Connection, kind: Kind, spooled: Spooled) -> None:
    """A file that was deleted meanwhile is not brought back."""
    if not files.unheld(connection, kind, [spooled.name]):
        files.note_key(connection)
        files.settle(kind, [spooled])


def _keep_used(files: Files, connection: sqlite3.Connection) -> Sequence[str]:
    """Forgets keys that no file is under, and says which are in use. Under the write lock, so that no process stores
    a file meanwhile."""
    used: set[str] = set()
    for kind, name in _named(connection):
        try:
            with files.path(kind, name).open("rb") as file:
                key_id = sealed_by(file.read(HEADER_BYTES))
        except FileNotFoundError:
            continue
        used |= {key_id} if key_id is not None else set[str]()
    connection.execute("DELETE FROM encryption_keys")
    connection.executemany("INSERT INTO encryption_keys VALUES (?)", [(key_id,) for key_id in used])
    return sorted(used)
