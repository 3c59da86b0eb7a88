"""A store may be filled by a machine with a GPU and asked by one without: the same weights give the same embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models import Embedding, pack_pages, quantise_tokens
from models.encoder import FloatArray

pytest.importorskip("efficientnet_lite_pytorch", reason="the frozen picture features are packages")

from models.local.encoder import WEIGHTS
from models.local.reading import Reader
from models.local.scoring import score_pages
from models.local.weights import read_weights

DEMO = Path(__file__).parents[2] / "app" / "demo"
PAGES = 10
TIE = 0.02

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def reader(*, device: str, half: bool) -> Reader:
    config, network = read_weights(WEIGHTS)
    return Reader(config, network, device=torch.device(device), half=half, encoder=f"local/{config.version}")


def shared_words(one: Embedding, other: Embedding) -> FloatArray:
    """Cosines of the word vectors that both read in the same place."""
    assert one.tokens is not None
    assert one.cells is not None
    assert other.tokens is not None
    assert other.cells is not None
    share = overlap(one.cells, other.cells)
    rows = np.flatnonzero(share.max(axis=1) > 0.5)
    return np.einsum("rd,rd->r", one.tokens[rows], other.tokens[share[rows].argmax(axis=1)])


def overlap(one: FloatArray, other: FloatArray) -> FloatArray:
    """Intersection over union of boxes, (n, m)."""
    start = np.maximum(one[:, None, :2], other[None, :, :2])
    end = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inside = np.clip(end - start, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (one, other)]
    return inside / (areas[0][:, None] + areas[1][None] - inside)


def word_count(page: Embedding) -> int:
    return 0 if page.tokens is None else len(page.tokens)


def scores(asked: Reader, query: str, pages: list[Embedding]) -> FloatArray:
    rows = []
    for page in pages:
        assert page.tokens is not None
        rows.append((page.summary, *quantise_tokens(page.tokens)))
    config, _ = read_weights(WEIGHTS)
    return score_pages(asked.text(query), pack_pages(rows, encoder=pages[0].encoder), config.score, asked.device)


def test_bf16_on_a_gpu_gives_the_embeddings_of_fp32_on_the_cpu() -> None:
    exact, quick = reader(device="cpu", half=False), reader(device="cuda", half=True)
    pictures, queries = forms()
    pages = [exact.picture(picture) for picture in pictures]
    same = [quick.picture(picture) for picture in pictures]
    small = pictures[0].reduce(2)
    for page, other in [*zip(pages, same, strict=True), (exact.picture(small), quick.picture(small))]:
        assert float(page.summary @ other.summary) >= 0.999
        words = shared_words(page, other)
        assert np.median(words) >= 0.999
        # Where the end of a word is in doubt, rounding decides; so it does for a word hardly sure enough to be kept.
        assert (words >= 0.99).sum() >= 0.97 * max(word_count(page), word_count(other))
    for query in queries:
        asked, other = scores(exact, query, pages), scores(quick, query, same)
        first = np.argsort(-asked)[:5]
        assert set(first) == set(np.argsort(-other)[:5]) or np.ptp(asked[np.argsort(-asked)[4:6]]) < TIE


def forms() -> tuple[list[Image.Image], list[str]]:
    """Claim forms of the demo, and what is asked: their policy numbers and the first words of their reports."""
    records = json.loads((DEMO / "claims.json").read_text(encoding="utf-8"))
    chosen = [record for record in records if "claim-form.jpg" in record["files"]][:PAGES]
    pictures = []
    for record in chosen:
        with Image.open(DEMO / "data" / record["claim_id"].lower() / "claim-form.jpg") as picture:
            pictures.append(picture.convert("RGB"))
    queries = [record["policy_id"] for record in chosen]
    return pictures, queries + [" ".join(record["description"].split()[:6]) for record in chosen]
