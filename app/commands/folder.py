"""Commands on the data folder of the embedded store: backup, restore, verify. None of them opens the store."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from app.commands import console
from app.settings import Settings
from retrieval.errors import InvalidInput
from retrieval.stores import sqlite


def backup(settings: Settings, target: Path, *, as_json: bool) -> int:
    with console.bars(quiet=as_json) as bars:
        about = sqlite.backup(
            _data_folder(settings), target, now=datetime.now(UTC), progress=bars.show, keys=settings.keys()
        )
    return _tell(about, f"{about.files} files, {about.size_bytes:,} bytes, are in {target}.", as_json=as_json)


def restore(settings: Settings, source: Path, *, as_json: bool) -> int:
    data = _data_folder(settings)
    with console.bars(quiet=as_json) as bars:
        about = sqlite.restore(source, data, progress=bars.show)
    return _tell(about, f"{about.files} files of {about.created_at} are in {data}, all as backed up.", as_json=as_json)


def verify(settings: Settings, *, as_json: bool) -> int:
    """1 when something is wrong."""
    with console.bars(quiet=as_json) as bars:
        found = sqlite.verify(_data_folder(settings), progress=bars.show, keys=settings.keys())
    if as_json:
        console.say_json(asdict(found))
    else:
        for fault in found.faults:
            console.say(f"{fault.code}  {fault.where}: {fault.detail}")
        console.say(f"{found.files} files and the vectors of {found.pages} pages: {len(found.faults)} faults.")
    return 1 if found.faults else 0


def _tell(about: sqlite.About, sentence: str, *, as_json: bool) -> int:
    if as_json:
        console.say_json(asdict(about))
    else:
        console.say(sentence)
    return 0


def _data_folder(settings: Settings) -> Path:
    folder = settings.data_folder()
    if folder is None:
        raise InvalidInput(
            "This is for the embedded store; with MongoDB use mongodump and mongorestore (docs/operations.md).",
            code="embedded_only",
        )
    return folder
