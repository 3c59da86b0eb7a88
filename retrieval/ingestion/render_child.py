"""The process that opens hostile bytes: `python -m retrieval.ingestion.render_child`, a request on standard input,
one JSON line per fact on standard output. It limits itself first, and imports nothing that it does not need."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from retrieval.errors import Refused
from retrieval.ingestion import child_limits
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.media import MediaType

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.documents import PageKind

_WEBP_METHOD = 1  # of 0 (fast) to 6 (small)


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    child_limits.die_with_parent(request["parent"])
    limits = Limits(**request["limits"])
    media_type = MediaType(request["media_type"])
    child_limits.bind(
        cpu_s=2 * limits.render_cpu_s,
        memory_bytes=limits.tool_bytes if media_type is MediaType.pdf else limits.picture_bytes,
        output_bytes=limits.output_bytes,
    )
    job = _Job(
        source=Path(request["source"]),
        media_type=media_type,
        first=request["first"],
        last=request["last"],
        folder=Path(request["folder"]),
        limits=limits,
        output=_taken_over_stdout(),
    )
    try:
        job.run()
    except Refused as refused:
        job.say("refused", code=refused.code, detail=refused.detail)
    except MemoryError:
        job.say("stopped", code="out_of_memory", detail="The file needs more memory than one file may use.")
    except Exception as error:  # noqa: BLE001  Decoders raise anything on bad data; whatever it is, the data are bad.
        job.say("stopped", code="damaged", detail=_damaged(error))


def _taken_over_stdout() -> BinaryIO:
    """Standard output for facts alone: whatever a library prints goes nowhere."""
    output = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return output


@dataclass(frozen=True)
class _Job:
    source: Path
    media_type: MediaType
    first: int
    last: int
    folder: Path
    limits: Limits
    output: BinaryIO

    def say(self, event: str, **facts: object) -> None:
        """Written at once: what was said stays true when the process is killed later."""
        self.output.write(json.dumps({"event": event, **facts}).encode() + b"\n")
        self.output.flush()

    def run(self) -> None:
        if self.media_type is MediaType.pdf:
            if kept := self._pdf():
                self._texts(sorted(kept))
        else:
            self._frames()

    def _pdf(self) -> set[int]:
        """Numbers of the pages that were kept."""
        from retrieval.ingestion import poppler

        if not poppler.is_installed():
            from retrieval.ingestion import pdfium

            return self._by_pdfium(self._accepted(pdfium.count(self.source, self.limits)))
        last = self._accepted(poppler.count(self.source, self.limits))
        if last < self.first:
            return set()
        run = poppler.render(self.source, first=self.first, last=last, folder=self.folder, limits=self.limits)
        pages, kept = dict(run.pages), set[int]()
        if run.fonts_missing:
            kept = self._by_pdfium(last)
            for number in kept:
                pages.pop(number, None)
        if run.fonts_missing and pages:
            self.say("warning", code="missing_fonts", detail="This server has no fonts; text may be missing.")
        # Which page of a run drained the memory is not known: each is asked for again, alone.
        if run.stopped is None or run.stopped[0] != "out_of_memory":
            kept |= self._by_poppler(pages)
        if run.stopped is not None:
            self.say("stopped", code=run.stopped[0], detail=run.stopped[1])
        return kept

    def _accepted(self, count: int) -> int:
        """Tells the count; the last page to render. Raises Refused too_many_pages."""
        if count > self.limits.pages:
            detail = f"The PDF has {count} pages; at most {self.limits.pages} are taken."
            raise Refused(detail, code="too_many_pages")
        self.say("count", pages=count)
        return min(self.last, count)

    def _by_poppler(self, pages: dict[int, Path]) -> set[int]:
        """Numbers of the pages that came."""
        from PIL import Image

        kept: set[int] = set()
        for number, path in sorted(pages.items()):
            try:
                with Image.open(path, formats=["JPEG"]) as picture:
                    side = self.limits.long_side
                    # Of a square page poppler rounds a side up.
                    if max(picture.size) not in (side, side + 1):
                        self._fail(number, "page_too_large", "The page is too large to be shown.")
                        continue
                    whole = picture.convert("RGB").crop((0, 0, min(picture.width, side), min(picture.height, side)))
                    self._keep(number, whole, "page", shape_code="page_too_large")
                    kept.add(number)
            except OSError:
                continue  # cut short when the tool was stopped: a page that did not come
            finally:
                path.unlink()
        return kept

    def _by_pdfium(self, last: int) -> set[int]:
        """Numbers of the pages that it gave."""
        from retrieval.ingestion import pdfium

        kept: set[int] = set()
        for number, page in pdfium.render(self.source, first=self.first, last=last, limits=self.limits):
            if isinstance(page, Refused):
                self._fail(number, page.code, page.detail)
            else:
                self._keep(number, page, "page", shape_code="page_too_large")
                kept.add(number)
        return kept

    def _texts(self, numbers: list[int]) -> None:
        """The own text of the pages, each in a file beside its picture. Last of all, and no error: whatever becomes of
        it, the pages were told."""
        from retrieval.ingestion import pdfium

        child_limits.bind_rest(cpu_s=self.limits.text_cpu_s)
        with suppress(Exception):  # as with decoders, bad data raise anything
            for number, text in pdfium.texts(self.source, numbers, self.limits):
                (self.folder / f"{number}.txt").write_text(text, encoding="utf-8", errors="ignore")
                self.say("text", number=number)

    def _frames(self) -> None:
        from retrieval.ingestion import exif, kinds, normalise

        with normalise.open_picture(self.source, self.media_type) as picture:
            count = normalise.count_frames(picture, self.media_type, self.limits)
            last = self._accepted(count)
            if self.first == 1 and (facts := exif.facts_of(picture)):
                self.say("capture", **facts)
            for number in range(self.first, last + 1):
                try:
                    if count > 1:
                        picture.seek(number - 1)
                    upright = normalise.normalised(picture, self.media_type, self.limits)
                except Refused as refused:
                    self._fail(number, refused.code, refused.detail)
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001  Decoders raise anything on bad data: the data are bad.
                    self._fail(number, "damaged", _damaged(error))
                else:
                    kind = "page" if self.media_type is MediaType.tiff else kinds.kind_of(upright)
                    self._keep(number, upright, kind, shape_code="too_small")

    def _keep(self, number: int, picture: Image.Image, kind: PageKind, *, shape_code: str) -> None:
        from retrieval.ingestion.normalise import check_shape

        try:
            check_shape(picture.size, self.limits, code=shape_code, noun="page")
        except Refused as refused:
            self._fail(number, refused.code, refused.detail)
            return
        target = self.folder / f"{number}.webp"
        picture.save(target, "WEBP", quality=self.limits.webp_quality, method=_WEBP_METHOD, icc_profile=b"", exif=b"")
        self.say("page", number=number, kind=kind, width=picture.width, height=picture.height)

    def _fail(self, number: int, code: str, detail: str) -> None:
        self.say("failed", number=number, code=code, detail=detail)


def _damaged(error: Exception) -> str:
    """The kind of the fault alone: the text of an error may hold bytes of the file or paths of the server."""
    return f"The file is damaged ({type(error).__name__})."


if __name__ == "__main__":
    main()
