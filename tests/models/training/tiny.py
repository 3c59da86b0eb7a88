"""A network and pages small enough to train in a test."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from models.local.config import NetworkConfig
from models.training.batch import Batch

TINY = NetworkConfig(
    stem_dim=16, cell_dim=64, cell_layers="rwc", window=32, chunk_dim=64, chunk_layers="sa", token_dim=16, text_dim=64,
    text_layers="s", summary_dim=16, visual_dim=64,
)  # fmt: skip
WORDS = ("invoice", "hail", "4711", "windscreen", "total", "policy")


def drawn_batch(*, height: int = 64, width: int = 256) -> Batch:
    """Two pages with three printed words each; no sign labels but for the first cell of each page."""
    images, pages, cells, letters = [], [], [], []
    for page in range(2):
        picture = Image.new("L", (width, height), 255)
        for place, word in enumerate(WORDS[page * 3 : page * 3 + 3]):
            x, y = 4, 2 + 20 * place
            ImageDraw.Draw(picture).text((x, y), word, fill=0, font=ImageFont.load_default(14))
            pages.append(page)
            cells.append(((y + 8) // 16) * (width // 8) + (x + 4) // 8)
            letters.append(list(word.encode().ljust(24, b"\0")))
        images.append(torch.tensor(list(picture.tobytes()), dtype=torch.float32).view(1, height, width) / 255)
    signs = torch.zeros(2, (height // 16) * (width // 8), 2, dtype=torch.long)
    for page, cell in zip(pages, cells, strict=True):
        signs[page, cell, 0] = 9
    return Batch(
        torch.stack(images), signs, torch.tensor(pages), torch.tensor(cells), torch.tensor(letters, dtype=torch.uint8)
    )


def known_folder(folder: Path) -> Path:
    """Real pages in small: two that may train, one that may only validate, one whose text an OCR wrote."""
    kinds = [
        ("a1", "MIT", "annotation-line"),
        ("a2", "MIT", "pdf-text-layer"),
        ("r1", "research-only", "annotation-word"),
        ("o1", "MIT", "pdf-ocr-layer"),
    ]
    (folder / "pages").mkdir(parents=True)
    with gzip.open(folder / "pages.jsonl.gz", "wt", encoding="utf-8") as lines:
        for number, (page_id, licence, source) in enumerate(kinds):
            picture = Image.new("L", (320, 200), 230)
            words = []
            for row in range(4):
                text = f"{WORDS[(number + row) % 6]} No. {number}{row}17"
                ImageDraw.Draw(picture).text((20, 20 + 40 * row), text, fill=20, font=ImageFont.load_default(18))
                words.append({"text": text, "box": [20, 20 + 40 * row, 20 + 9 * len(text), 40 + 40 * row]})
            picture.save(folder / "pages" / f"{page_id}.webp", lossless=True)
            page = {"page_id": page_id, "type": "receipt", "licence": licence, "text_source": source, "words": words}
            lines.write(json.dumps(page) + "\n")
    return folder
