"""`claimsight doctor`: what is there, what is missing, what to do about it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from app.commands import console
from app.readiness import check_readiness
from app.services import Services
from app.serving import reach_of
from app.settings import HOME, Settings
from app.wiring import build_services
from retrieval.errors import ClaimsightError
from retrieval.stores import Keyring

_LEAST_FREE_BYTES = 2 * 1024**3
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/Library/Fonts")
_FONT_ENDINGS = (".ttf", ".otf", ".ttc", ".pfb", ".t1")
_MARKS = {"ok": "ok  ", "warning": "warn", "failed": "FAIL"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. advice: what to do; empty when all is well."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""


async def examine(settings: Settings, *, as_json: bool) -> int:
    """1 when something that is needed does not work."""
    findings = [*await asyncio.to_thread(lambda: list(_machine(settings))), *await _services(settings)]
    if as_json:
        console.say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            console.say(f"{_MARKS[finding.state]}  {finding.name}: {finding.found}")
            if finding.advice:
                console.say(f"      {finding.advice}")
    return 1 if any(finding.state == "failed" for finding in findings) else 0


def _machine(settings: Settings) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    fits = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if fits else "failed", version, "" if fits else "Install Python 3.11 or newer.")
    tools = [name for name in ("pdftoppm", "pdfinfo") if shutil.which(name) is None]
    if tools:
        advice = "PDFs are rendered by pdfium instead. For poppler: apt-get install poppler-utils."
        yield Finding("poppler", "warning", f"{' and '.join(tools)} not found", advice)
    else:
        yield Finding("poppler", "ok", "pdftoppm and pdfinfo are here")
    if any(_fonts()):
        yield Finding("fonts", "ok", "there are some")
    else:
        advice = "PDFs whose fonts are not embedded render without text. apt-get install fonts-dejavu-core."
        yield Finding("fonts", "warning", "none found", advice)
    folder = _existing(settings.data_folder() or HOME)
    free = shutil.disk_usage(folder).free
    enough = free >= _LEAST_FREE_BYTES
    advice = "" if enough else "Uploads fail when the disk is full: make room."
    yield Finding("disk", "ok" if enough else "warning", f"{free / 1024**3:.1f} GiB free", advice)


async def _services(settings: Settings) -> list[Finding]:
    try:
        services = await build_services(settings.model_copy(update={"workers": 1}))
    except ClaimsightError as error:
        advice = "Look at CLAIMSIGHT_STORE, and whether the store runs."
        if error.code in ("encryption_key_missing", "bad_encryption_key"):
            return [
                Finding("encryption", "failed", error.detail, "docs/operations.md says how keys are kept and changed.")
            ]
        return [Finding("store", "failed", error.detail, advice)]
    try:
        keys = await asyncio.to_thread(settings.keys)
        return [await _address(settings, services), *await _ask(services, keys)]
    finally:
        await services.close()


async def _address(settings: Settings, services: Services) -> Finding:
    address = f"{settings.host}:{settings.port}"
    try:
        return Finding("address", "ok", f"{address} answers {await reach_of(settings, services)}")
    except ClaimsightError as error:
        return Finding("address", "failed", address, error.detail)


def _encryption(keys: Keyring | None) -> Finding:
    if keys is None:
        return Finding("encryption", "ok", "originals and page pictures are not encrypted at rest")
    return Finding("encryption", "ok", f"originals and page pictures are encrypted with the key {keys.current}")


async def _ask(services: Services, keys: Keyring | None) -> list[Finding]:
    with suppress(ClaimsightError):  # The checks below say what it was.
        await services.engine()
    ready = await check_readiness(services)
    if not ready.store.ok or ready.index is None or ready.queue is None:
        return [Finding("store", "failed", ready.store.detail, "Look at whether the store runs.")]
    findings = [Finding("store", "ok", f"{ready.store.engine} answers"), _encryption(keys)]
    index = ready.index
    text = f"{index.state}, {index.indexed} of {index.pages} pages{f': {index.detail}' if index.detail else ''}"
    if index.ok:
        findings.append(Finding("index", "ok", text))
    else:
        state = "warning" if index.state == "building" else "failed"
        findings.append(Finding("index", state, text, "Run `claimsight index ensure`."))
    if ready.encoder.ok:
        findings.append(Finding("encoder", "ok", f"{ready.encoder.name} is loaded"))
    else:
        findings.append(Finding("encoder", "failed", ready.encoder.detail, "Look at CLAIMSIGHT_ENCODER."))
    counts = (
        ", ".join(f"{count} by {name}" for name, count in sorted((ready.encoder.stored or {}).items())) or "none yet"
    )
    if ready.encoder.stale:
        advice = f"{ready.encoder.stale} pages are not found by this encoder: run `claimsight encoder reindex`."
        findings.append(Finding("pages", "warning", counts, advice))
    else:
        findings.append(Finding("pages", "ok", counts))
    queue = ready.queue
    waits = queue.oldest_queued_s > 600
    advice = "Files wait long: is a worker running (`claimsight serve` or `claimsight worker`)?" if waits else ""
    text = f"{queue.queued} files wait, {queue.running} are worked on"
    findings.append(Finding("queue", "warning" if waits else "ok", text, advice))
    return findings


def _fonts() -> Iterator[Path]:
    for folder in _FONT_FOLDERS:
        for where, _, names in os.walk(Path(folder).expanduser()):
            yield from (Path(where) / name for name in names if name.lower().endswith(_FONT_ENDINGS))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
