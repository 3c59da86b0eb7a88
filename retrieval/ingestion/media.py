"""The kinds of files that are taken."""

from __future__ import annotations

from enum import StrEnum


class MediaType(StrEnum):
    pdf = "application/pdf"
    jpeg = "image/jpeg"
    png = "image/png"
    webp = "image/webp"
    tiff = "image/tiff"
    gif = "image/gif"
    heic = "image/heic"


ENDINGS = {
    MediaType.pdf: ".pdf",
    MediaType.jpeg: ".jpg",
    MediaType.png: ".png",
    MediaType.webp: ".webp",
    MediaType.tiff: ".tiff",
    MediaType.gif: ".gif",
    MediaType.heic: ".heic",
}
