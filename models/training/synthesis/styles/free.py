"""Loose lines: labels, cards, slides, cover pages. Sizes, gaps, cases and alignment change from line to line."""

from __future__ import annotations

import torch

from models.training.synthesis.scene import Scene
from models.training.synthesis.styles.look import Printer

LINES, WORDS = 46, 12


def free(printer: Printer, scene: Scene) -> None:
    """Lines down the page, some with a wide gap, some with an amount at the right edge, some ruled."""
    chance, n = printer.chance, printer.pages
    shape = (n, LINES)
    sparse = chance.flag(0.25, n, 1)
    em = torch.where(sparse, chance.skewed(18, 56, n, 1), chance.skewed(8, 34, n, 1))
    first = printer.look(em, text=0.55, mono=0.4, pixel=0.05, needle=0.1)
    second = printer.look(em, text=0.7, mono=0.25, pixel=0.05)
    look = printer.mixed(first, second, 0.2, *shape)
    kind = chance.uniform(0, 1, *shape)
    scale = torch.where(kind < 0.78, 1.0, torch.where(kind < 0.86, 1.3, torch.where(kind < 0.93, 0.82, 1.8)))
    scale = (scale * em).clamp(6, 64) / em
    look.stretch = look.stretch * torch.where(chance.flag(0.05, *shape), 1.6, 1.0)
    look.tracking = look.tracking + torch.where(chance.flag(0.04, *shape), chance.uniform(0.1, 0.5, *shape), 0.0)
    lead = chance.uniform(1.0, 1.8, n, 1) * em * scale.clamp(min=1) * (1 + chance.flag(0.12, *shape) * 0.8)
    y = chance.uniform(0, 50, n, 1) + torch.cumsum(lead, 1)
    left = chance.uniform(2, 70, n, 1)
    width = scene.width - chance.uniform(2, 40, n, 1) - left
    align = torch.where(chance.flag(0.15, *shape), chance.uniform(0, 1, *shape), chance.uniform(0, 1, n, 1))
    align = torch.where(align > 0.8, 0.5, torch.where(align > 0.72, 1.0, 0.0))
    share = (chance.uniform(0.1, 0.75, n, 1) + chance.uniform(-0.15, 0.15, *shape)).clamp(0, 1)
    count = (1 + chance.uniform(0, 1, *shape) ** chance.uniform(0.5, 2, n, 1) * WORDS).long()
    on = (y < scene.height - 4) & chance.flag(0.95, *shape)
    amount = on & chance.flag(0.45, n, 1) & chance.flag(0.6, *shape) & (align < 0.5)
    room = torch.where(amount, width * 0.6, width)
    loose = torch.where(chance.flag(0.4, n, 1), 0.12, 0.0)
    scene.runs.append(
        printer.runs(look, left, y, room, numbers=share, count=count, align=align, on=on, scale=scale, loose=loose)
    )
    few = chance.integer(1, 3, *shape)
    scene.runs.append(
        printer.runs(
            look, left + width * 0.65, y, width * 0.35, numbers=0.95, count=few, align=1.0, on=amount, scale=scale
        )
    )
    top = y + em * scale * 0.3
    right = left + width * chance.uniform(0.2, 1, *shape)
    ruled = on & chance.flag(0.3, n, 1) & chance.flag(0.2, *shape)
    thick, ink = chance.uniform(0.8, 2.5, *shape), chance.uniform(0.4, 1, n, 1)
    scene.add_rules(printer.page, left, top, right, top + thick, ruled, ink=ink)
