"""Kinds of pages: each fills its part of a batch; extras come onto all."""

from __future__ import annotations

import torch

from models.training.synthesis.assets import Assets
from models.training.synthesis.chance import Chance
from models.training.synthesis.scene import Scene
from models.training.synthesis.styles.extras import extras
from models.training.synthesis.styles.form import form
from models.training.synthesis.styles.free import free
from models.training.synthesis.styles.look import Printer
from models.training.synthesis.styles.prose import prose
from models.training.synthesis.styles.receipt import receipt
from models.training.synthesis.styles.table import table
from models.training.synthesis.styles.written import written

SHARES = ((form, 0.26), (receipt, 0.18), (table, 0.15), (prose, 0.14), (written, 0.12), (free, 0.15))
"""Share of each style; what rounding leaves goes to the last."""


def compose(assets: Assets, chance: Chance, count: int, height: int, width: int) -> Scene:
    """The scene of `count` pages, styles in random order over the batch."""
    whole = torch.tensor([0.0, 0.0, width, height], device=chance.device)
    scene = Scene(count, height, width, paper=whole.repeat(count, 1))
    pages = torch.randperm(count, device=chance.device)
    first = 0
    for number, (style, share) in enumerate(SHARES):
        last = number == len(SHARES) - 1
        size = count - first if last else min(count - first, chance.share(count, share))
        if size:
            style(Printer(assets, chance, pages[first : first + size]), scene)
        first += size
    extras(Printer(assets, chance, pages), scene)
    return scene
