"""Pictures of files and how alike they look, as the fake API has them."""

from __future__ import annotations

import io

import numpy as np
import pypdfium2
from PIL import Image


def pictures_of(filename: str, content: bytes) -> list[bytes]:
    """JPEGs of the pages of a PDF, or of the picture that the file is."""
    if filename.endswith(".pdf"):
        with pypdfium2.PdfDocument(content) as document:
            images = [page.render(scale=1.3).to_pil() for page in document]
    else:
        images = [Image.open(io.BytesIO(content))]
    pictures: list[bytes] = []
    for image in images:
        target = io.BytesIO()
        image.convert("RGB").save(target, "JPEG", quality=80)
        pictures.append(target.getvalue())
    return pictures


def colours_of(picture: bytes) -> np.ndarray:
    """float32 (192,), length 1: where the picture has which colour; what the fake API takes for its look."""
    with Image.open(io.BytesIO(picture)) as image:
        values = np.asarray(image.convert("RGB").resize((8, 8)), dtype=np.float32).ravel() - 128
    return values / max(1e-6, float(np.linalg.norm(values)))
