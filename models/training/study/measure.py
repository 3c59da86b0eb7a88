"""What a trained variant can do: words and numbers found, and a code found on ever longer pages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from models.local.config import WORD_BYTES
from models.local.reading_network import ReadingNetwork
from models.training.batch import Batch
from models.training.study.pool import Packed
from models.training.synthesis import hard_negatives

CODE_SIGNS = 5
"""A code has a digit and at least so many signs."""
MOST_QUERIES = 1500
AT_ONCE = 32

Words = list[list[bytes]]


def laid_open(packed: Packed, device: torch.device) -> tuple[Tensor, Words]:
    """Pages [n, 1, height, width] of batches of one size, and the words of each."""
    images: list[Tensor] = []
    words: Words = []
    for each in packed:
        batch = Batch.unpacked(each, device)
        here: Words = [[] for _ in range(len(batch.image))]
        for page, letters in zip(batch.word_page.tolist(), batch.word_bytes.cpu(), strict=True):
            here[page].append(bytes(letters.tolist()))
        images.append(batch.image)
        words += here
    return torch.cat(images), words


def half(device: torch.device) -> torch.autocast:
    """bf16 on a GPU, as in training; products of finished vectors stay outside."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


@torch.no_grad()
def encoded(reader: ReadingNetwork, images: Tensor, *, at_once: int = AT_ONCE) -> list[Tensor]:
    """Tokens [chunks, token_dim] of each page, as it is read in use; `at_once` pages a call."""
    pages: list[Tensor] = []
    with half(images.device):
        for part in images.split(at_once):
            tokens, chunks, _ = reader.page.read(part)
            pages += [row[mask] for row, mask in zip(tokens, chunks.mask, strict=True)]
    return pages


def best_of(typed: Tensor, pages: Sequence[Tensor]) -> Tensor:
    """Best cosine of each typed word on each page [words, pages]; -1 on a page without a token."""
    rows = [(typed @ page.T).amax(1) if len(page) else typed.new_full((len(typed),), -1.0) for page in pages]
    return torch.stack(rows, 1)


def unique_words(words: Words) -> dict[bytes, int]:
    """Words that stand on one page only, and which."""
    pages: dict[bytes, set[int]] = defaultdict(set)
    for number, held in enumerate(words):
        for word in held:
            pages[word].add(number)
    return {word: min(where) for word, where in pages.items() if len(where) == 1}


def is_number(word: bytes) -> bool:
    """Whether a digit is in it."""
    return any(48 <= sign < 58 for sign in word)


def letters_of(words: Sequence[bytes], device: torch.device) -> Tensor:
    """uint8 [n, 24]."""
    return torch.tensor([list(word) for word in words], dtype=torch.uint8, device=device).view(-1, WORD_BYTES)


def typed_tokens(reader: ReadingNetwork, letters: Tensor) -> Tensor:
    """fp32 unit vectors of typed words."""
    with half(letters.device):
        return reader.text.tokens(reader.text.features(letters))


@torch.no_grad()
def word_recall(reader: ReadingNetwork, pages: Sequence[Tensor], words: Words) -> dict[str, float]:
    """pages: tokens of each; words: that stand on each. Of words that stand on one of the pages: share whose page comes
    first, of plain words and of those with digits. exact: share that their page answers better to than to the same
    word with an edit or two."""
    unique = unique_words(words)
    asked = sorted(unique)[:: max(1, len(unique) // MOST_QUERIES)]
    device = pages[0].device
    right = torch.tensor([unique[word] for word in asked], device=device)
    letters = letters_of(asked, device)
    torch.manual_seed(0)
    best = best_of(typed_tokens(reader, letters), pages)
    edited = best_of(typed_tokens(reader, hard_negatives(letters)), pages)
    row = torch.arange(len(asked), device=device)
    first = (best.argmax(1) == right).float()
    exact = (best[row, right] > edited[row, right]).float()
    numbers = torch.tensor([is_number(word) for word in asked], device=device)
    return {
        "words": first[~numbers].mean().item(),
        "numbers": first[numbers].mean().item(),
        "exact": exact.mean().item(),
        "tokens": sum(map(len, pages)) / len(pages),
    }


@torch.no_grad()
def needle_recall(
    reader: ReadingNetwork, images: Tensor, pages: Sequence[Tensor], words: Words, *, length: int, candidates: int
) -> dict[str, float]:
    """Codes on crowded pages, each `length` held-out pages laid below each other: share found first among
    `candidates` such pages, by one vector a word; `apart`, with the same held-out pages read one by one (pages: their
    tokens); and `pooled`, with the mean of its vectors for the whole page, which is a state of fixed size. The codes
    are those of the first held-out page of each long one, wherever it lies."""
    device = images.device
    draw = torch.Generator().manual_seed(length)
    count = len(images)
    step_to = count // candidates
    laid_out: list[Tensor] = []
    apart: list[Tensor] = []
    held: Words = []
    codes: dict[bytes, int] = {}
    often = Counter(word for page in words[:count] for word in set(page))
    for number in range(candidates):
        parts = [(number * step_to + step) % count for step in range(length)]
        place = torch.randperm(length, generator=draw).tolist()
        laid = [parts[step] for step in place]
        laid_out.append(torch.cat([images[part] for part in laid], 1))
        apart.append(torch.cat([pages[part] for part in laid]))
        held.append([word for part in laid for word in words[part]])
        for word in words[parts[0]]:
            if is_number(word) and len(word.rstrip(b"\0")) >= CODE_SIGNS and often[word] == 1:
                codes[word] = number
    long = encoded(reader, torch.stack(laid_out), at_once=max(1, AT_ONCE // length))
    owners = Counter(word for page in held for word in set(page))
    asked = [word for word in sorted(codes) if owners[word] == 1]
    right = torch.tensor([codes[word] for word in asked], device=device)
    typed = typed_tokens(reader, letters_of(asked, device))
    means = torch.stack([F.normalize(page.mean(0), dim=-1) if len(page) else typed.new_zeros(typed.shape[1])
                         for page in long])  # fmt: skip
    answers = {"needle": best_of(typed, long), "apart": best_of(typed, apart), "pooled": typed @ means.T}
    return {f"{kind}_{length}": (best.argmax(1) == right).float().mean().item() for kind, best in answers.items()}
