"""Words that are nearly right: one or two edits away, as hard negatives."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from models.training.synthesis.signs import squeeze

LOOK_ALIKE = dict(zip("0o1li5s8b2z6g9ceuvnh37", "o0l11s5b8z2g9gecvuhn81", strict=True))


def hard_negatives(words: Tensor) -> Tensor:
    """Canonical bytes uint8 [n, 24] -> as many words at edit distance 1-2, each unlike its original.

    45 % one sign replaced by another of its kind, 15 % two, 15 % look-alikes (0/o, 1/l, 5/s, 8/b, rn/m), 12 % a
    sign dropped (from four signs on), 13 % neighbours swapped; what cannot be done falls back to a replacement.
    """
    count, device = words.shape[0], words.device
    kind = torch.rand(count, device=device)
    once = replaced(words)
    out = torch.where((kind < 0.15)[:, None], replaced(once), once)
    for low, high, edit in ((0.60, 0.75, look_alike), (0.75, 0.87, dropped), (0.87, 1.0, swapped)):
        out = torch.where(((kind >= low) & (kind < high))[:, None], edit(words), out)
    return torch.where((out == words).all(1)[:, None], once, out)


def some_place(words: Tensor, possible: Tensor) -> tuple[Tensor, Tensor]:
    """A random place among the possible ones of each word [n], and whether there is any."""
    draw = torch.rand(words.shape, device=words.device) * possible
    best = draw.max(1)
    return best.indices, best.values > 0


def replaced(words: Tensor) -> Tensor:
    """A digit by another digit, a letter by another letter."""
    place, _ = some_place(words, words > 0)
    rows = torch.arange(words.shape[0], device=words.device)
    old = words[rows, place].long()
    draw = torch.rand(words.shape[0], device=words.device)
    digit = 48 + (old - 48 + 1 + (draw * 9).long()) % 10
    letter = 97 + (old - 97 + 1 + (draw * 25).long()) % 26
    out = words.clone()
    out[rows, place] = torch.where(old < 58, digit, letter).to(torch.uint8)
    return out


@cache
def look_alike_table(device: torch.device) -> Tensor:
    """uint8 [256]: the sign that each looks like, 0 = none."""
    table = torch.zeros(256, dtype=torch.uint8)
    for sign, other in LOOK_ALIKE.items():
        table[ord(sign)] = ord(other)
    return table.to(device)


def look_alike(words: Tensor) -> Tensor:
    """One sign by one that looks like it; `rn` by `m` where the word has it."""
    table = look_alike_table(words.device)
    rows = torch.arange(words.shape[0], device=words.device)
    place, found = some_place(words, table[words.long()] > 0)
    out = words.clone()
    out[rows, place] = torch.where(found, table[words[rows, place].long()], words[rows, place])
    following = torch.roll(words, -1, 1)
    place, found = some_place(words, (words == ord("r")) & (following == ord("n")))
    joined = words.clone()
    joined.scatter_(1, place[:, None], ord("m"))
    joined.scatter_(1, (place[:, None] + 1) % words.shape[1], 0)
    return torch.where(found[:, None], squeeze(joined), out)


def dropped(words: Tensor) -> Tensor:
    """One sign left out, from four signs on."""
    place, _ = some_place(words, words > 0)
    out = words.scatter(1, place[:, None], 0)
    return torch.where(((words > 0).sum(1) > 3)[:, None], squeeze(out), words)


def swapped(words: Tensor) -> Tensor:
    """Two different neighbours exchanged."""
    following = torch.roll(words, -1, 1)
    following[:, -1] = 0
    rows = torch.arange(words.shape[0], device=words.device)
    place, found = some_place(words, (following > 0) & (following != words))
    after = (place + 1) % words.shape[1]
    out = words.clone()
    out[rows, place], out[rows, after] = words[rows, after], words[rows, place]
    return torch.where(found[:, None], out, words)
