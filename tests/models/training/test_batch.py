"""Joining batches keeps every word on its page."""

import torch

from models.training.batch import Batch, join


def batch(pages: int, shade: float, words: list[tuple[int, int, bytes]]) -> Batch:
    """Pages of one shade with words (page, cell, text)."""
    texts = [list(text.ljust(24, b"\0")) for _, _, text in words]
    return Batch(
        image=torch.full((pages, 1, 32, 32), shade),
        signs=torch.zeros(pages, 8, 2, dtype=torch.int64),
        word_page=torch.tensor([page for page, _, _ in words]),
        word_cell=torch.tensor([cell for _, cell, _ in words]),
        word_bytes=torch.tensor(texts, dtype=torch.uint8),
    )


def test_join_moves_the_page_numbers_of_later_batches():
    first = batch(2, 1.0, [(0, 3, b"total"), (1, 5, b"date")])
    second = batch(3, 0.5, [(2, 7, b"cash")])
    joined = join([first, second])
    assert joined.image.shape == (5, 1, 32, 32)
    assert joined.signs.shape == (5, 8, 2)
    assert joined.word_page.tolist() == [0, 1, 4]
    assert joined.word_cell.tolist() == [3, 5, 7]
    assert bytes(joined.word_bytes[2].tolist()).rstrip(b"\0") == b"cash"
    assert joined.image[4].max() == 0.5
