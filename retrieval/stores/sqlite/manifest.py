"""What a backup says of itself: `backup.json` in words, `SHA256SUMS` a hash a file as `sha256sum --check` reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from retrieval.errors import InvalidInput, StoreUnavailable

ABOUT = "backup.json"
SUMS = "SHA256SUMS"
FORMAT = 1

# Nothing else is restored, so no name in a manifest leads out of the folder.
_PATH = re.compile(r"claimsight\.db|(?:assets|pictures)/([0-9a-f]{2})/\1[0-9a-f]{62}")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, slots=True)
class About:
    """tables: version of the tables of its database. created_at: ISO text in UTC. files, size_bytes: of all that the
    manifest lists. sums: sha256 of the manifest, so that a line that is cut off is noticed."""

    format: int
    tables: int
    created_at: str
    files: int
    size_bytes: int
    sums: str


def write_manifest(folder: Path, hashes: Mapping[str, str], *, tables: int, created_at: str, size_bytes: int) -> About:
    """hashes: sha256 by path below the folder."""
    text = "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes))
    about = About(FORMAT, tables, created_at, len(hashes), size_bytes, sha256(text.encode()).hexdigest())
    (folder / SUMS).write_text(text, encoding="utf-8")
    (folder / ABOUT).write_text(json.dumps(asdict(about), indent=2) + "\n", encoding="utf-8")
    return about


def read_manifest(folder: Path) -> tuple[About, dict[str, str]]:
    """Raises InvalidInput not_a_backup, StoreUnavailable backup_damaged, backup_newer."""
    try:
        text = (folder / ABOUT).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise InvalidInput(f"{folder} is not a backup: it has no {ABOUT}.", code="not_a_backup") from None
    about = _about(text)
    if about.format > FORMAT:
        raise StoreUnavailable(
            "A newer Claimsight made this backup: restore it with that version.", code="backup_newer"
        )
    try:
        sums = (folder / SUMS).read_bytes()
    except OSError:
        raise damaged(f"{SUMS} is missing") from None
    if sha256(sums).hexdigest() != about.sums:
        raise damaged(f"{SUMS} was changed")
    hashes: dict[str, str] = {}
    for line in sums.decode("utf-8", "replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None or _PATH.fullmatch(found[2]) is None:
            raise damaged(f"{SUMS} holds a line that is none of ours")
        hashes[found[2]] = found[1]
    return about, hashes


def damaged(what: str) -> StoreUnavailable:
    return StoreUnavailable(f"The backup is damaged: {what}. Use another one.", code="backup_damaged")


def _about(text: str) -> About:
    try:
        given: Any = json.loads(text)
        values = {name: kind(given[name]) for name, kind in _KINDS.items()}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged(f"{ABOUT} cannot be read") from None
    return About(**values)


_KINDS: Mapping[str, type] = {
    "format": int,
    "tables": int,
    "created_at": str,
    "files": int,
    "size_bytes": int,
    "sums": str,
}
