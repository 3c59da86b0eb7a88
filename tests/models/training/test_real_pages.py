"""Crops of real pages, and pages that only validate."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from models.local.ink import ink_of
from models.local.reading_network import ReadingNetwork
from models.training.batch import UNKNOWN
from models.training.real_pages import RealPages, known_pages
from models.training.validate import Validation
from tests.models.training.tiny import TINY, known_folder


def test_research_only_pages_never_train_and_ocr_text_never_counts(tmp_path: Path) -> None:
    folder = known_folder(tmp_path / "known")
    assert [page.page_id for page in known_pages(folder, research_only=False)] == ["a1", "a2"]
    assert [page.page_id for page in known_pages(folder, research_only=True)] == ["r1"]


def test_the_words_of_a_crop_stand_on_ink(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pages = RealPages(known_folder(tmp_path / "known"), device="cpu", height=128, width=256, network=TINY, seed=3)
    batch = pages(16)
    assert batch.image.shape == (16, 1, 128, 256)
    assert (batch.signs == UNKNOWN).all()
    ink = torch.nn.functional.max_pool2d(ink_of(batch.image), (16, 8), padding=(8, 4), stride=(16, 8)).flatten(2)[:, 0]
    rows, columns = 128 // 16 + 1, 256 // 8 + 1
    row, column = batch.word_cell // 32, batch.word_cell % 32
    near = torch.stack(
        [ink[batch.word_page, (row + dy).clamp(max=rows - 1) * columns + (column + dx).clamp(max=columns - 1)]
         for dy in (0, 1) for dx in (0, 1)]
    )  # fmt: skip
    assert len(batch.word_page) > 16
    assert (near.amax(0) > 0.4).float().mean() > 0.9


def test_a_folder_without_pages_to_train_on_says_so(tmp_path: Path) -> None:
    import gzip

    with gzip.open(tmp_path / "pages.jsonl.gz", "wt") as file:
        file.write("")
    with pytest.raises(ValueError, match="no page to train on"):
        RealPages(tmp_path, device="cpu", height=128, width=256, network=TINY, seed=0)


def test_validation_asks_phrases_of_the_pages_that_may_judge(tmp_path: Path) -> None:
    torch.manual_seed(0)
    validation = Validation(known_folder(tmp_path / "known"), device="cpu")
    assert validation.queries
    assert all(right == [0] for _, right in validation.queries)
    found = validation(ReadingNetwork(TINY))
    assert found.recall1 == 1.0  # there is only one page
    assert found.ndcg5 == 1.0


def test_words_of_real_pages_are_compared_as_typed_ones_are(tmp_path: Path) -> None:
    folder = known_folder(tmp_path / "known")
    with gzip.open(folder / "pages.jsonl.gz", "rt", encoding="utf-8") as file:
        text = file.read().replace("invoice", "Zürich")
    with gzip.open(folder / "pages.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    words = {word for page in known_pages(folder, research_only=False) for word, *_ in page.words}
    assert "zurich" in words
