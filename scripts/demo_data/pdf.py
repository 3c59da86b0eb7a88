"""PDFs with a text layer: each page a picture, with its words unseen where they stand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from .paper import Words

DPI = 110


def write_pdf(path: Path, pages: Sequence[tuple[Image.Image, Sequence[Words]]], *, quality: int = 52) -> None:
    """pages: pictures at DPI, grey or RGB, with their words. quality: of the JPEGs within."""
    kids = [4 + 3 * place for place in range(len(pages))]
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for kid, (picture, words) in zip(kids, pages, strict=True):
        width, height = (side * 72 / DPI for side in picture.size)
        space = "DeviceGray" if picture.mode == "L" else "DeviceRGB"
        encoded = io.BytesIO()
        picture.save(encoded, "JPEG", quality=quality, optimize=True)
        content = _content(words, width, height)
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.4f} {height:.4f}] /Contents {kid + 1} 0 R "
            f"/Resources << /Font << /F 3 0 R >> /XObject << /P {kid + 2} 0 R >> >> >>".encode(),
            _stream(b"", content),
            _stream(
                f"/Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height} /ColorSpace /{space} "
                "/BitsPerComponent 8 /Filter /DCTDecode".encode(),
                encoded.getvalue(),
            ),
        ]
    body, offsets = bytearray(b"%PDF-1.7\n"), list[int]()
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(body)
    body += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    body += "".join(f"{offset:010d} 00000 n \n" for offset in offsets).encode()
    body += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    path.write_bytes(body)


def _content(words: Sequence[Words], width: float, height: float) -> bytes:
    """The picture over the whole page, and the words in text mode 3, which draws nothing."""
    scale = 72 / DPI
    lines = [f"q {width:.4f} 0 0 {height:.4f} 0 0 cm /P Do Q BT 3 Tr".encode()]
    for one in words:
        text = one.text.encode("cp1252", "replace").replace(b"\\", b"\\\\")
        text = text.replace(b"(", b"\\(").replace(b")", b"\\)")
        place = f"/F {one.size * scale:.1f} Tf 1 0 0 1 {one.x * scale:.2f} {height - one.y * scale:.2f} Tm (".encode()
        lines.append(place + text + b") Tj")
    return b"\n".join([*lines, b"ET"])


def _stream(entries: bytes, content: bytes) -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(content), content)
