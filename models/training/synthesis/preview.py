"""`python -m models.training.synthesis.preview OUT.png --assets FOLDER`: a sheet of pages to look at."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from models.training.batch import Batch
from models.training.synthesis import Composer


def sheet(batch: Batch, columns: int, boundaries: bool) -> Image.Image:
    """All pages of a batch side by side; boundaries: a spot at the first sign of every word."""
    count, _, height, width = batch.image.shape
    out = Image.new("RGB", (width * columns, height * -(-count // columns)))
    grid = width // 8
    for number in range(count):
        page = Image.fromarray((batch.image[number, 0] * 255).byte().numpy()).convert("RGB")
        if boundaries:
            draw = ImageDraw.Draw(page)
            for cell in batch.word_cell[batch.word_page == number].tolist():
                x, y = cell % grid * 8, cell // grid * 16
                draw.rectangle((x, y, x + 7, y + 15), outline=(255, 0, 0))
        out.paste(page, (width * (number % columns), height * (number // columns)))
    return out


def main() -> None:
    """Read the command line, draw, say what the pages hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--assets", type=Path, default=Path(".carry/assets"))
    parser.add_argument("--pages", type=int, default=8)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--words", action="store_true", help="mark the first sign of every word")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    composer = Composer(options.assets, device="cpu")
    start = time.perf_counter()
    batch = composer(options.pages)
    seconds = time.perf_counter() - start
    sheet(batch, options.columns, options.words).save(options.out)
    print(f"{seconds / options.pages:.2f} s a page, {len(batch.word_cell) / options.pages:.0f} words a page")


if __name__ == "__main__":
    main()
