"""Why a page was found: the words it answers, the cells that answer them, and a picture of both."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoder import Embedding, Encoder, SimilarityMap
from retrieval.documents import Matched, Page
from retrieval.search.probes import encoder_errors, open_picture

LONG_SIDE_CELLS = 64
OVERLAY_SIDE = 1024
MATCHED_WORDS = 5
_HIGHLIGHT = (255, 138, 0)
_STRONGEST = 0.62


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which parts of a page answer a query.

    The page is a grid of rows x cols equal cells. words: W typed words, ("",) for a picture. grids: float32
    (W, rows, cols) in 0..1, how well the best token over that cell answers the word; 0 where there is none.
    combined: float32 (rows, cols) in 0..1, the best of all words after each word's ordinary level on this page
    is taken off, so that it shows what stands out. overlay: PNG of the page with `combined` over it, drawn
    along the exact boxes; None when not asked for. width, height: pixels of the stored page.
    """

    page_id: str
    words: tuple[str, ...]
    grids: NDArray[np.float32]
    combined: NDArray[np.float32]
    width: int
    height: int
    overlay: bytes | None = None


def draw_explanation(page: Page, similar: SimilarityMap, picture: bytes | None) -> Explanation:
    """Slow work without I/O, for a thread. picture: the stored one, to draw over."""
    rows, cols = _grid_size(page.width, page.height)
    standing_out = _stand_out(similar.scores)
    grids = [
        _paint(scores, similar.cells, rows=rows, cols=cols, width=page.width, height=page.height)
        for scores in [*similar.scores, standing_out]
    ]
    return Explanation(
        page_id=page.page_id,
        words=similar.words,
        grids=np.stack(grids[:-1]),
        combined=grids[-1],
        width=page.width,
        height=page.height,
        overlay=None if picture is None else _overlay(picture, standing_out, similar.cells, page),
    )


async def similarity(encoder: Encoder, probes: Sequence[Embedding], page: Embedding) -> SimilarityMap:
    """The map of the probe, or for several pictures the best of them as one.

    Raises EncoderTrouble explain_unsupported for an encoder without tokens, and for a page with nothing to read.
    """
    with encoder_errors():
        maps = [await encoder.explain(probe, page) for probe in probes]
    if len(maps) == 1:
        return maps[0]
    best = np.max([found.scores.max(axis=0) for found in maps], axis=0)
    return SimilarityMap(words=("",), scores=best[None], cells=maps[0].cells)


async def matched_words(encoder: Encoder, probe: Embedding, page: Embedding) -> tuple[Matched, ...]:
    """The words of a text query that the page answers best, best first; none for pictures and without tokens."""
    if not probe.words or probe.tokens is None or page.tokens is None or page.cells is None:
        return ()
    with encoder_errors():
        found = await encoder.explain(probe, page)
    best = np.clip(found.scores.max(axis=1), 0.0, 1.0)
    matched = [Matched(word, round(float(score), 4)) for word, score in zip(found.words, best, strict=True)]
    return tuple(sorted(matched, key=lambda match: -match.score)[:MATCHED_WORDS])


def _grid_size(width: int, height: int) -> tuple[int, int]:
    longest = max(width, height)
    return max(1, round(height / longest * LONG_SIDE_CELLS)), max(1, round(width / longest * LONG_SIDE_CELLS))


def _stand_out(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """(W, T) to (T,): what exceeds each word's median on the page, the word's best cell keeping its score."""
    best = scores.max(axis=1, keepdims=True)
    usual = np.median(scores, axis=1, keepdims=True) if scores.shape[1] > 1 else np.zeros_like(best)
    spread = np.maximum(best - usual, 1e-6)
    return np.clip((scores - usual) / spread * best, 0.0, 1.0).max(axis=0).astype(np.float32)


def _paint(
    scores: NDArray[np.float32], cells: NDArray[np.float32], *, rows: int, cols: int, width: int, height: int
) -> NDArray[np.float32]:
    """Boxes in pixels of a width x height page to a grid; where boxes overlap the highest score stands."""
    grid = np.zeros((rows, cols), np.float32)
    scaled = cells / np.array([width, height, width, height], np.float32)
    scaled *= np.array([cols, rows, cols, rows], np.float32)
    # A tenth of a cell may stick out, so that rounded box edges do not light the neighbours.
    first = np.floor(scaled[:, :2] + 0.1).astype(int)
    last = np.maximum(np.ceil(scaled[:, 2:] - 0.1).astype(int), first + 1)
    for place in np.argsort(scores, kind="stable"):
        (x0, y0), (x1, y1) = first[place], last[place]
        grid[max(0, y0) : y1, max(0, x0) : x1] = min(1.0, max(0.0, float(scores[place])))
    return grid


def _overlay(picture: bytes, scores: NDArray[np.float32], cells: NDArray[np.float32], page: Page) -> bytes:
    image = open_picture(picture)
    image.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE))
    mask = _paint(scores, cells, rows=image.height, cols=image.width, width=page.width, height=page.height)
    # Squared: the page stays readable where it only half matches.
    alpha = Image.fromarray((np.square(mask) * _STRONGEST * 255).astype(np.uint8))
    image.paste(Image.new("RGB", image.size, _HIGHLIGHT), mask=alpha)
    target = io.BytesIO()
    image.save(target, "PNG", compress_level=3)
    return target.getvalue()
