"""What a file is, by its first bytes; its name says nothing."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any, cast

import puremagic

from retrieval.errors import Refused
from retrieval.ingestion.media import MediaType

HEAD_BYTES = 8192
PDF_HEADER_WITHIN = 1024

ACCEPTED = "PDF, JPEG, PNG, WebP, TIFF, GIF or HEIC"


_SAVE_AS_PDF = "save as PDF and upload that"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def sniff(head: bytes) -> MediaType:
    """head: the first HEAD_BYTES of the file, or all of it. Raises Refused: empty_file, or unsupported_type with a
    sentence that names what was found."""
    if not head:
        raise Refused("The file is empty.", code="empty_file")
    found = _media_type(head)
    if found is None:
        raise Refused(_refusal(head), code="unsupported_type")
    return found


def _media_type(head: bytes) -> MediaType | None:
    if head.startswith(b"\xff\xd8\xff"):
        return MediaType.jpeg
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return MediaType.png
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return MediaType.webp
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return MediaType.tiff
    if head.startswith((b"GIF87a", b"GIF89a")):
        return MediaType.gif
    if head[4:8] == b"ftyp" and _is_heif(head):
        return MediaType.heic
    # A PDF may have junk before its header, but a file of another known kind that quotes a PDF is not one.
    at = head.find(b"%PDF-", 0, PDF_HEADER_WITHIN + 5)
    if at == 0 or (at > 0 and _program_or_archive(head) is None):
        return MediaType.pdf
    return None


def _is_heif(head: bytes) -> bool:
    box = head[8 : min(int.from_bytes(head[:4], "big"), 128)]
    brands = {box[:4], *(box[i : i + 4] for i in range(8, len(box), 4))}
    return b"avif" not in brands and b"avis" not in brands and not brands.isdisjoint(_HEIF_BRANDS)


def _refusal(head: bytes) -> str:
    found, advice = _name_of(head)
    return f"Found {found}; {advice or f'Claimsight takes {ACCEPTED}'}."


def _name_of(head: bytes) -> tuple[str, str]:
    """What the bytes are, with its article, and what to do about it ("" for the usual)."""
    named = _program_or_archive(head) or _markup(head)
    if named is not None:
        return named
    if head[4:8] == b"ftyp":
        return ("an AVIF picture", "") if b"avi" in head[8:32] else ("a video", "")
    if _is_text(head):
        return ("an e-mail", "save its attachments and upload those") if _is_mail(head) else ("plain text", "")
    return _by_puremagic(head), ""


def _program_or_archive(head: bytes) -> tuple[str, str] | None:
    if head.startswith((b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")):
        return "a program", ""
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "a PostScript program", _SAVE_AS_PDF
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return "an old Office document or Outlook message", _SAVE_AS_PDF
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_content(head)
    if head.startswith((b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "an archive", "unpack it and upload the files in it"
    return None


def _zip_content(head: bytes) -> tuple[str, str]:
    for mark, name in (
        (b"word/", "a DOCX document"),
        (b"xl/", "an XLSX spreadsheet"),
        (b"ppt/", "a PPTX presentation"),
        (b"mimetypeapplication/vnd.oasis", "an OpenDocument file"),
    ):
        if mark in head:
            return name, _SAVE_AS_PDF
    return "a ZIP archive", "unpack it and upload the files in it"


def _markup(head: bytes) -> tuple[str, str] | None:
    start = head[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start or b"<!doctype svg" in start:
        return "an SVG drawing", "save as PNG or PDF and upload that"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")) or b"<html" in start[:512]:
        return "an HTML page", "print it to PDF and upload that"
    if start.startswith(b"<?xml"):
        return "an XML file", ""
    if start.startswith(b"{\\rtf"):
        return "an RTF document", _SAVE_AS_PDF
    return None


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a character cut at the end is no error here
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _is_mail(head: bytes) -> bool:
    lines = head[:4096].lower().splitlines()
    fields = {line.split(b":")[0] for line in lines if b":" in line}
    return len(fields & {b"from", b"to", b"subject", b"date", b"mime-version", b"received", b"message-id"}) >= 3


def _by_puremagic(head: bytes) -> str:
    try:
        found = cast(Sequence[tuple[Any, ...]], puremagic.magic_string(head))  # pyright: ignore[reportUnknownMemberType]
    except (puremagic.PureError, ValueError):
        found = ()
    # (byte_match, offset, extension, mime_type, name, confidence): short matches fit too much to be named.
    names = [str(match[4]) for match in found if len(match[0]) >= 4 and match[4]]
    return f"data that looks like {names[0]}" if names else "data of an unknown kind"
