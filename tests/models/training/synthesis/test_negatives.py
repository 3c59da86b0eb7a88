"""Hard negatives are near their word and never equal to it."""

import torch

from models.training.synthesis import hard_negatives
from models.training.synthesis.negatives import look_alike

WORDS = ["claim", "4711", "a", "00", "burned", "aa1b", "x9", "2024", "modern", "q"]


def packed(words: list[str]) -> torch.Tensor:
    return torch.tensor([list(word.encode().ljust(24, b"\0")) for word in words], dtype=torch.uint8)


def text(row: torch.Tensor) -> str:
    return bytes(row.tolist()).rstrip(b"\0").decode()


def distance(a: str, b: str) -> int:
    """Edits between two words, an exchange of neighbours counted as one."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, change)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


def test_one_or_two_edits_and_never_the_word_itself():
    torch.manual_seed(0)
    words = packed(WORDS * 60)
    spoiled = hard_negatives(words)
    assert spoiled.dtype == torch.uint8
    assert spoiled.shape == words.shape
    for before, after in zip(words, spoiled, strict=True):
        assert 1 <= distance(text(before), text(after)) <= 2
        assert text(after).isalnum()
        assert b"\0" not in bytes(after.tolist()).rstrip(b"\0")
    lengths = {len(text(row)) for row in hard_negatives(packed(["invoice"] * 200))}
    assert lengths == {6, 7}


def test_look_alikes_look_alike():
    assert text(look_alike(packed(["burned"]))[0]) == "bumed"
    assert text(look_alike(packed(["x0x"]))[0]) == "xox"
    assert text(look_alike(packed(["tt8t"]))[0]) == "ttbt"
