"""The type comes from the bytes."""

from __future__ import annotations

import pytest

from retrieval.errors import Refused
from retrieval.ingestion.media import MediaType
from retrieval.ingestion.sniff import HEAD_BYTES, sniff


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"%PDF-1.4\n", MediaType.pdf),
        (b"x" * 1019 + b"%PDF-1.4\n", MediaType.pdf),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", MediaType.jpeg),
        (b"\x89PNG\r\n\x1a\n", MediaType.png),
        (b"RIFF\0\0\0\0WEBPVP8 ", MediaType.webp),
        (b"II*\0", MediaType.tiff),
        (b"MM\0*", MediaType.tiff),
        (b"GIF89a", MediaType.gif),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", MediaType.heic),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", MediaType.heic),
    ],
)
def test_taken_types(head: bytes, media_type: MediaType) -> None:
    assert sniff(head) is media_type


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"x" * 1100 + b"%PDF-1.4\n", "plain text"),
        (b"MZ" + b"\0" * 60 + b"%PDF-1.4", "a program"),
        (b"PK\x03\x04" + b"\0" * 26 + b"a.pdf%PDF-1.4", "a ZIP archive"),
        (b"PK\x03\x04" + b"\0" * 26 + b"word/document.xml", "a DOCX document; save as PDF"),
        (b"PK\x03\x04" + b"\0" * 26 + b"xl/workbook.xml", "an XLSX spreadsheet; save as PDF"),
        (b"PK\x03\x04" + b"\0" * 26 + b"ppt/presentation.xml", "a PPTX presentation; save as PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 50, "an old Office document or Outlook message"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript program"),
        (b"\x7fELF\x02\x01", "a program"),
        (b"#!/bin/sh\n", "a program"),
        (b"<!DOCTYPE html><p>", "an HTML page"),
        (b"\xef\xbb\xbf\n<HTML><script>", "an HTML page"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "an SVG drawing"),
        (b"<?xml version='1.0'?><a/>", "an XML file"),
        (b"{\\rtf1 x}", "an RTF document"),
        (b"From: a@b\r\nTo: c@d\r\nSubject: x\r\n\r\nhello", "an e-mail"),
        (b"Dear all,\nplease pay.", "plain text"),
        ("Schäden".encode()[:5], "plain text"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "an AVIF picture"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "a video"),
        (b"fLaC\0\0\0\x22", "data that looks like Free Lossless Audio"),
        (b"\x01\x02\x03\xff\xfe\x99", "data of an unknown kind"),
    ],
)
def test_other_types_are_refused_by_name(head: bytes, found: str) -> None:
    with pytest.raises(Refused, match=f"Found {found}") as caught:
        sniff(head)
    assert caught.value.code == "unsupported_type"


def test_nothing_is_refused_as_empty() -> None:
    with pytest.raises(Refused) as caught:
        sniff(b"")
    assert caught.value.code == "empty_file"


def test_long_random_head_ends_with_a_refusal() -> None:
    with pytest.raises(Refused):
        sniff(bytes(range(255, -1, -1)) * (HEAD_BYTES // 256))
