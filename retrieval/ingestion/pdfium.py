"""PDFs by pypdfium2: the pages where poppler is missing or lacks a font (PDFium brings its own), and the text that
pages have of their own. Runs in the rendering process only, under that process's limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pypdfium2  # pyright: ignore[reportMissingTypeStubs]
import pypdfium2.raw  # pyright: ignore[reportMissingTypeStubs]
from PIL import Image

from retrieval.errors import Refused
from retrieval.ingestion.limits import Limits


def count(source: Path, limits: Limits) -> int:
    """Pages of the file. Raises Refused: encrypted, no_pages, damaged."""
    with closing(_opened(source)) as document:
        pages = len(document)
        if pages < 1:
            raise Refused("The PDF has no pages.", code="no_pages")
        if pages > limits.pages and not _has_page(document, pages - 1):
            raise Refused("The PDF is damaged: it names pages that it does not have.", code="damaged")
        return pages


def render(source: Path, *, first: int, last: int, limits: Limits) -> Iterator[tuple[int, Image.Image | Refused]]:
    """Pages first..last one by one, each with a long side of `limits.long_side`."""
    with closing(_opened(source)) as document:
        for number in range(first, last + 1):
            try:
                yield number, _picture(document, number, limits)
            except pypdfium2.PdfiumError:
                yield number, Refused("The page is damaged.", code="damaged")


def texts(source: Path, numbers: Sequence[int], limits: Limits) -> Iterator[tuple[int, str]]:
    """The own text of those pages that have one, at most `limits.text_chars` of each; nothing for a page
    that cannot be read."""
    with closing(_opened(source)) as document:
        for number in numbers:
            try:
                with closing(document[number - 1]) as page, closing(page.get_textpage()) as layer:
                    text = layer.get_text_range(0, min(layer.count_chars(), limits.text_chars))
            except pypdfium2.PdfiumError:
                continue
            if text.strip():
                yield number, text


def _opened(source: Path) -> Any:
    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise Refused("The PDF is encrypted; a password is needed to open it.", code="encrypted") from error
        raise Refused("The PDF is damaged: its pages cannot be found.", code="damaged") from error
    return document


def _has_page(document: Any, place: int) -> bool:
    try:
        document[place].close()
    except pypdfium2.PdfiumError:
        return False
    return True


def _picture(document: Any, number: int, limits: Limits) -> Image.Image | Refused:
    with closing(document[number - 1]) as page:
        width, height = page.get_size()
        long_side, short_side = max(width, height), min(width, height)
        if short_side <= 0 or long_side / short_side > limits.max_ratio:
            return Refused("The page has no size that can be shown.", code="page_too_large")
        with closing(page.render(scale=limits.long_side / long_side)) as bitmap:
            return bitmap.to_pil().convert("RGB")
