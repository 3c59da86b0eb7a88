"""PDF pages by poppler through pdf2image, with what pdf2image lacks: bounded error output, limits for the tools, and
proof that the pages came. Runs in the rendering process only."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pdf2image
import pdf2image.exceptions
import pdf2image.pdf2image

from retrieval.errors import Refused
from retrieval.ingestion import child_limits
from retrieval.ingestion.limits import MIB, Limits

_NUMBER = re.compile(r"-(\d+)\.jpg$")
_READ_BYTES = 64 * 1024
_STDOUT_BYTES = 1 * MIB
# pdf2image's types are loose: a size may be a number, a limit may be None.
_pdfinfo: Callable[..., dict[str, Any]] = pdf2image.pdfinfo_from_path  # pyright: ignore
_convert: Callable[..., list[Any]] = pdf2image.convert_from_path  # pyright: ignore

_BY_PROCESSOR_TIME = (-signal.SIGXCPU, -signal.SIGKILL)


def is_installed() -> bool:
    return shutil.which("pdftoppm") is not None and shutil.which("pdfinfo") is not None


def count(source: Path, limits: Limits) -> int:
    """Pages of the file, as pdfinfo says. Raises Refused: encrypted, no_pages, damaged, timeout, out_of_memory."""
    _Tool.limits = limits
    try:
        pages = int(_pdfinfo(str(source), timeout=_whole(limits.wall_s))["Pages"])
    except (pdf2image.exceptions.PDFPageCountError, pdf2image.exceptions.PDFPopplerTimeoutError) as error:
        raise _refusal(_Tool.last) from error
    if pages < 1:
        raise Refused("The PDF has no pages.", code="no_pages")
    return pages


@dataclass(frozen=True, slots=True)
class Run:
    """pages: JPEG files by page number, some perhaps cut short when `stopped`. stopped: code and sentence of what
    went wrong, None when all is well. fonts_missing: text without a font was left out."""

    pages: dict[int, Path]
    stopped: tuple[str, str] | None
    fonts_missing: bool


def render(source: Path, *, first: int, last: int, folder: Path, limits: Limits) -> Run:
    """Pages first..last with a long side of `limits.long_side`. Exit status 0 is no proof: what it wrote is counted."""
    _Tool.limits = limits
    timed_out = False
    try:
        _convert(
            source,
            output_folder=folder,
            output_file="poppler",
            first_page=first,
            last_page=last,
            fmt="jpeg",
            jpegopt={"quality": 95, "progressive": "n", "optimize": "n"},
            size=limits.long_side,
            use_cropbox=True,
            paths_only=True,
            timeout=_whole(limits.wall_s),
        )
    except pdf2image.exceptions.PDFPopplerTimeoutError:
        timed_out = True
    except pdf2image.exceptions.PDFPageCountError:
        return Run({}, ("damaged", "The PDF cannot be read."), fonts_missing=False)
    ended = _Tool.last
    pages = {
        int(found[1]): path for path in sorted(folder.glob("poppler*.jpg")) if (found := _NUMBER.search(path.name))
    }
    stopped = ("timeout", _TOO_LONG) if timed_out else _stopped(ended)
    if stopped is None and len(pages) < last - first + 1:
        stopped = ("damaged", "The renderer gave no picture of the page.")
    return Run(pages, stopped, fonts_missing=b"Couldn't find a font" in ended.stderr)


_TOO_LONG = "The page needs more time than one page may use."


def _stopped(ended: _Ended) -> tuple[str, str] | None:
    if ended.returncode in _BY_PROCESSOR_TIME:
        return "timeout", _TOO_LONG
    if ended.returncode == -signal.SIGABRT or any(
        mark in ended.stderr for mark in (b"Out of memory", b"Bogus memory", b"bad_alloc")
    ):
        return "out_of_memory", "The page needs more memory than one page may use."
    if ended.flooded:
        return "damaged", "The page makes the renderer complain without end."
    if ended.returncode:
        return "damaged", "The page makes the renderer fail."
    return None


def _refusal(ended: _Ended) -> Refused:
    if b"Incorrect password" in ended.stderr:
        return Refused("The PDF is encrypted; a password is needed to open it.", code="encrypted")
    if b"Invalid page count 0" in ended.stderr:
        return Refused("The PDF has no pages.", code="no_pages")
    stopped = _stopped(ended)
    if stopped is not None and stopped[0] != "damaged":
        return Refused(f"The pages of the PDF cannot be counted within the limits ({stopped[0]}).", code=stopped[0])
    return Refused("The PDF is damaged: its pages cannot be found.", code="damaged")


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a tool ended. stderr: the first of it. flooded: there was more, and its pipe was closed."""

    returncode: int = 0
    stderr: bytes = b""
    flooded: bool = False


class _Tool(subprocess.Popen[bytes]):
    """A poppler tool with limits of its own, whose error output is kept to a bound. pdf2image would keep all of it."""

    limits: ClassVar[Limits] = Limits()
    last: ClassVar[_Ended] = _Ended()

    def __init__(self, args: list[str], **options: Any) -> None:
        limits = _Tool.limits
        counting = Path(args[0]).name == "pdfinfo"
        parent = os.getpid()

        def bind() -> None:
            child_limits.die_with_parent(parent)
            child_limits.bind(
                cpu_s=limits.count_cpu_s if counting else limits.render_cpu_s,
                memory_bytes=limits.tool_bytes,
                output_bytes=limits.output_bytes,
            )

        super().__init__(args, preexec_fn=bind, **options)

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        """As Popen's, with bounds. A pipe that gave too much is closed, which ends the tool at its next write."""
        deadline = None if timeout is None else time.monotonic() + timeout
        outputs = {self.stdout: bytearray(), self.stderr: bytearray()}
        bounds = {self.stdout: _STDOUT_BYTES, self.stderr: _Tool.limits.stderr_bytes}
        flooded = False
        with selectors.DefaultSelector() as selector:
            for pipe in outputs:
                if pipe is not None and not pipe.closed:
                    selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(self._left(deadline))
                if not ready:
                    raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
                for key, _ in ready:
                    pipe: Any = key.fileobj
                    data = os.read(pipe.fileno(), _READ_BYTES)
                    outputs[pipe] += data
                    if not data or len(outputs[pipe]) > bounds[pipe]:
                        flooded = flooded or bool(data)
                        selector.unregister(pipe)
                        pipe.close()
        self.wait(self._left(deadline))
        stderr = bytes(outputs[self.stderr][: _Tool.limits.stderr_bytes])
        _Tool.last = _Ended(self.returncode, stderr, flooded)
        return bytes(outputs[self.stdout]), stderr

    @staticmethod
    def _left(deadline: float | None) -> float | None:
        return None if deadline is None else max(0.0, deadline - time.monotonic())


# pdf2image starts its tools by this name; a process that only renders may say what stands behind it.
pdf2image.pdf2image.Popen = _Tool  # pyright: ignore[reportPrivateImportUsage]


def _whole(seconds: float) -> int:
    return max(1, round(seconds))
