"""Files to pictures, in a child process with limits: the only door through which hostile bytes are opened."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from retrieval.capture import Capture
from retrieval.documents import FailedPage, PageKind
from retrieval.errors import Refused
from retrieval.exact import MOST_TEXT, page_text
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.media import MediaType

_CHILD = "retrieval.ingestion.render_child"
_ROOT = Path(__file__).parents[2]
# What a tool may see of this process's environment: where it finds itself and its fonts, no secrets.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "FONTCONFIG_FILE",
    "FONTCONFIG_PATH",
    "XDG_CACHE_HOME",
    "LD_LIBRARY_PATH",
)
_LINE_BYTES = 64 * 1024
_TEXT_BYTES = 4 * MOST_TEXT
_CRASHED = ("damaged", "The file makes the renderer crash.")
_KILLED = ("timeout", "The file needs more processor time than one file may use.")


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A derived picture on disk. number: from 1. path: a WebP without metadata, in the folder given to `render`.
    text_path: a file with the page's own text beside it; None where the page has none."""

    number: int
    kind: PageKind
    width: int
    height: int
    path: Path
    text_path: Path | None = None

    def own_text(self) -> str:
        """The page's own text in the form that is kept, taken from disk; empty where there is none."""
        if self.text_path is None:
            return ""
        try:
            with self.text_path.open("rb") as file:
                said = file.read(_TEXT_BYTES)
            self.text_path.unlink()
        except OSError:  # a page is whole without it
            return ""
        return page_text(said.decode("utf-8", "ignore"))

    def load(self) -> tuple[bytes, Image.Image]:
        """The encoded picture and its pixels (RGB), taken from disk. Raises ValueError when it is not what was said."""
        encoded = self.path.read_bytes()
        self.path.unlink()
        with Image.open(io.BytesIO(encoded), formats=["WEBP"]) as picture:
            if picture.size != (self.width, self.height):
                raise ValueError(f"a rendered picture is {picture.size}, not {(self.width, self.height)}")
            return encoded, picture.convert("RGB")


@dataclass(frozen=True, slots=True)
class Rendering:
    """What one run gave. page_count: of the whole file. warnings: (code, sentence) about the file. capture: what a
    picture says of its making, told by the run with the first page."""

    page_count: int
    pages: tuple[RenderedPage, ...] = ()
    failed: tuple[FailedPage, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    capture: Capture | None = None


@dataclass(slots=True)
class _Report:
    """The lines of one child process, gathered. stopped: code and sentence of what ended it early."""

    page_count: int | None = None
    pages: dict[int, RenderedPage] = field(default_factory=dict[int, RenderedPage])
    failed: dict[int, FailedPage] = field(default_factory=dict[int, FailedPage])
    warnings: dict[str, str] = field(default_factory=dict[str, str])
    capture: Capture | None = None
    refused: Refused | None = None
    stopped: tuple[str, str] | None = None

    def missing(self, first: int, last: int) -> list[int]:
        return [number for number in range(first, last + 1) if number not in self.pages and number not in self.failed]

    def read(self, line: bytes, folder: Path, long_side: int) -> None:
        """One line of the child. Hostile bytes may speak through it: raises ValueError for what cannot be."""
        said: dict[str, Any] = json.loads(line)
        match said["event"]:
            case "count":
                self.page_count = int(said["pages"])
            case "page":
                number = int(said["number"])
                kind: PageKind = "photo" if said["kind"] == "photo" else "page"
                width, height = int(said["width"]), int(said["height"])
                if not 0 < max(width, height) <= long_side:
                    raise ValueError(f"a picture of {width} x {height}")
                self.pages[number] = RenderedPage(number, kind, width, height, folder / f"{number}.webp")
            case "text":
                if (page := self.pages.get(int(said["number"]))) is not None:
                    self.pages[page.number] = replace(page, text_path=folder / f"{page.number}.txt")
            case "failed":
                number = int(said["number"])
                self.failed[number] = FailedPage(number, str(said["code"]), str(said["detail"]))
            case "capture":
                self.capture = Capture.from_record(said)
            case "warning":
                self.warnings[str(said["code"])] = str(said["detail"])
            case "refused":
                self.refused = Refused(str(said["detail"]), code=str(said["code"]))
            case _:
                self.stopped = (str(said["code"]), str(said["detail"]))


class Renderer:
    """Renders runs of pages, each in a process of its own that dies with this one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def render(self, source: Path, media_type: MediaType, *, first: int, last: int, folder: Path) -> Rendering:
        """Pages first..last (from 1, at most `pages_per_render`), as WebP files in `folder`; last < first only counts.

        A page that fails is in `failed` while its neighbours are in `pages`. Raises Refused for the file as a whole.
        Cancelling kills the process and all it started.
        """
        last = min(last, first + self._limits.pages_per_render - 1)
        report = await self._run(source, media_type, first=first, last=last, folder=folder)
        if report.refused is not None:
            raise report.refused
        if report.page_count is None:
            code, detail = report.stopped or _CRASHED
            raise Refused(detail, code=code)
        last = min(last, report.page_count)
        for number in report.missing(first, last):
            await self._once_more(report, source, media_type, number=number, alone=first == last, folder=folder)
        return Rendering(
            page_count=report.page_count,
            pages=tuple(report.pages[number] for number in sorted(report.pages)),
            failed=tuple(report.failed[number] for number in sorted(report.failed)),
            warnings=tuple(report.warnings.items()),
            capture=report.capture,
        )

    async def _once_more(
        self, report: _Report, source: Path, media_type: MediaType, *, number: int, alone: bool, folder: Path
    ) -> None:
        """A page that its run did not give, in a process of its own, so that it costs its neighbours nothing.
        alone: it was the whole run, so that the answer is known."""
        again = report if alone else await self._run(source, media_type, first=number, last=number, folder=folder)
        report.warnings.update(again.warnings)
        if number in again.pages:
            report.pages[number] = again.pages[number]
        elif number in again.failed:
            report.failed[number] = again.failed[number]
        elif again.refused is not None:
            report.failed[number] = FailedPage(number, again.refused.code, again.refused.detail)
        else:
            report.failed[number] = FailedPage(number, *(again.stopped or _CRASHED))

    async def _run(self, source: Path, media_type: MediaType, *, first: int, last: int, folder: Path) -> _Report:
        """One child process from start to end. Nothing of it is left when this returns or is cancelled."""
        request = {
            "source": str(source),
            "media_type": media_type.value,
            "first": first,
            "last": last,
            "folder": str(folder),
            "parent": os.getpid(),
            "limits": asdict(self._limits),
        }
        report, long_side = _Report(), self._limits.long_side
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            _CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
            limit=_LINE_BYTES,
        )
        try:
            async with asyncio.timeout(2 * self._limits.wall_s):
                await _listen(process, json.dumps(request).encode(), lambda line: report.read(line, folder, long_side))
        except TimeoutError:
            report.stopped = _KILLED
        except (ValueError, TypeError, KeyError):  # no line of ours: the child was taken over
            report.stopped = _CRASHED
        finally:
            await asyncio.shield(_end(process))
        if report.stopped is None and process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            report.stopped = _KILLED
        return report


async def _listen(process: asyncio.subprocess.Process, request: bytes, read: Callable[[bytes], None]) -> None:
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise RuntimeError("the child was started without pipes")
    with suppress(BrokenPipeError, ConnectionResetError):  # it died at once: its end says why
        stdin.write(request)
        stdin.close()
        await stdin.wait_closed()
    while line := await stdout.readline():
        read(line)
    await process.wait()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kills whatever is left of the child's process group and waits for the child."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        with suppress(ValueError):
            await process.stdout.read()
    await process.wait()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
