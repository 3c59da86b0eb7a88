"""Receipts: a narrow strip, centred head and foot, items with amounts at the right, dashed separators."""

from __future__ import annotations

import torch

from models.training.synthesis.scene import Scene
from models.training.synthesis.styles.look import Printer

LINES = 58


def receipt(printer: Printer, scene: Scene) -> None:
    """One strip a page; on some pages the desk shows beside it."""
    chance, n = printer.chance, printer.pages
    shape = (n, LINES)
    strip = scene.width * chance.uniform(0.42, 0.98, n, 1)
    left = (scene.width - strip) * chance.uniform(0, 1, n, 1)
    em = (strip / (chance.uniform(22, 46, n, 1) * 0.56)).clamp(8, 34)
    look = printer.look(em, text=0.25, mono=0.55, pixel=0.2, needle=0.2)
    order = torch.arange(LINES, device=chance.device)
    total = chance.integer(12, LINES, n, 1)
    head = order < chance.integer(2, 9, n, 1)
    foot = order >= total - chance.integer(0, 6, n, 1)
    large = chance.flag(0.06, *shape) | (head & chance.flag(0.15, *shape))
    scale = torch.where(large, chance.uniform(1.2, 1.7, n, 1), 1.0)
    lead = em * chance.uniform(1.0, 1.6, n, 1) * scale * (1 + chance.flag(0.07, *shape) * 0.7)
    y = chance.uniform(0, 60, n, 1) + torch.cumsum(lead, 1)
    live = (order < total) & (y < scene.height - 3)
    pad = chance.uniform(0.01, 0.08, n, 1) * strip
    x, room = left + pad, strip - 2 * pad

    centred = head | (foot & chance.flag(0.7, n, 1)) | (chance.flag(0.03, *shape))
    parted = live & chance.flag(0.10, *shape) & ~head
    text = live & ~parted
    scene.runs.append(
        printer.runs(
            look,
            x,
            y,
            room,
            numbers=0.35,
            count=chance.integer(1, 7, *shape),
            align=0.5,
            on=text & centred,
            scale=scale,
        )
    )
    item = text & ~centred
    priced = item & chance.flag(0.7, *shape)
    wide = torch.where(priced, room * chance.uniform(0.4, 0.68, n, 1), room)
    items = chance.integer(1, 6, *shape)
    scene.runs.append(printer.runs(look, x, y, wide, numbers=0.4, count=items, on=item, scale=scale, loose=0.05))
    sums = torch.where(chance.flag(0.4, n, 1), chance.integer(2, 4, *shape), 1)
    scene.runs.append(
        printer.runs(
            look, x + wide, y, room - wide, numbers=0.97, count=sums, align=1.0, on=priced, scale=scale,
            loose=torch.where(chance.flag(0.5, n, 1), 0.5, 0.0),
        )
    )  # fmt: skip
    dash = torch.where(chance.flag(0.6, n, 1), chance.uniform(3, 10, n, 1), 0.0)
    middle = y - 0.35 * em
    thick = chance.uniform(0.8, 2.2, n, 1)
    scene.add_rules(printer.page, x, middle, x + room, middle + thick, parted, dash=dash)
    double = parted & chance.flag(0.25, n, 1)
    scene.add_rules(printer.page, x, middle + 3 * thick, x + room, middle + 4 * thick, double, dash=dash)
    bar = text & chance.flag(0.15, n, 1) & chance.flag(0.06, *shape)
    scene.add_rules(printer.page, x, y - em * scale, x + room, y + 0.3 * em, bar, shade=True)

    shown = chance.flag(0.4, n, 1)
    edges = torch.cat([left - pad, chance.uniform(-40, 12, n, 1), left + strip + pad, scene.height - left * 0.1], 1)
    whole = torch.tensor([0.0, 0.0, scene.width, scene.height], device=chance.device)
    scene.paper[printer.page] = torch.where(shown, edges, whole)
