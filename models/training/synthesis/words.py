"""Words for the runs of a page: which kind, in which case, with the digits and letters of templates filled in."""

from __future__ import annotations

import torch
from torch import Tensor

from models.local.config import WORD_BYTES
from models.training.synthesis.assets import Assets
from models.training.synthesis.chance import Chance
from models.training.synthesis.scene import Runs
from models.training.synthesis.signs import DIGIT, LETTER

MOST = 20
"""Most words of a run."""
PREFIX = 0.06
"""Share of the words that is a currency or `No.` with a number after it: the split form of what is also joined."""


def draw_words(assets: Assets, chance: Chance, runs: Runs, pages: int) -> Tensor:
    """uint8 [runs, MOST, 24]: printed bytes for the words of every run."""
    shape = (runs.page.shape[0], MOST)
    number = torch.rand(*shape, device=chance.device) < runs.numbers[:, None]
    before = chance.flag(PREFIX, *shape) & (runs.numbers > 0.02)[:, None]
    before = before & (torch.arange(MOST, device=chance.device) < runs.count[:, None] - 1)
    number[:, 1:] |= before[:, :-1]
    text = chance.rows(assets.pools["text"], *shape)
    common = torch.rand(*shape, device=chance.device) < runs.common[:, None]
    text = torch.where(common[..., None], chance.rows(assets.pools["common"], *shape), text)
    text = torch.where(raised(chance, runs, pages), assets.upper[text.long()], text)
    text = torch.where(number[..., None], chance.rows(assets.pools["number"], *shape), text)
    text = torch.where(before[..., None], chance.rows(assets.pools["prefix"], *shape), text)
    digits = chance.integer(48, 58, *text.shape).to(torch.uint8)
    letters = chance.integer(65, 91, *text.shape).to(torch.uint8)
    return torch.where(text == DIGIT, digits, torch.where(text == LETTER, letters, text))


def raised(chance: Chance, runs: Runs, pages: int) -> Tensor:
    """bool [runs, 1, 24], which letters are capitals: all, the first, or none, mostly the same on one page."""
    count = runs.page.shape[0]
    mode = chance.uniform(0, 1, pages)[runs.page]
    mode = torch.where(chance.flag(0.15, count), chance.uniform(0, 1, count), mode)[:, None, None]
    first = torch.arange(WORD_BYTES, device=chance.device) == 0
    return (mode < 0.35) | ((mode < 0.6) & first)
