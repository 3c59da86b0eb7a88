"""Pages written by hand from top to bottom: letters, notes, lists, pages of a notebook."""

from __future__ import annotations

import torch

from models.training.synthesis.scene import Scene
from models.training.synthesis.styles.look import Printer, chosen
from models.training.synthesis.words import MOST

LINES, HEAD, GRID = 46, 3, 60


def written(printer: Printer, scene: Scene) -> None:
    """Blank, ruled or squared paper, some with a printed head; paragraphs, or a list with figures at the right."""
    chance, n = printer.chance, printer.pages
    shape = (n, LINES)
    lead = chance.skewed(20, 66, n, 1)
    first = printer.hand(lead * chance.uniform(0.45, 0.85, n, 1))
    second = printer.hand(lead * chance.uniform(0.45, 0.85, n, 1))
    hand = chosen(chance.flag(0.12, *shape), second, first)
    left = chance.uniform(6, 130, n, 1)
    room = scene.width - left - chance.uniform(2, 60, n, 1)

    printed = printer.look(chance.skewed(10, 30, n, 1), text=0.8, mono=0.2)
    order = torch.arange(HEAD, device=chance.device)
    head = chance.flag(0.4, n, 1) & (order < chance.integer(1, HEAD + 1, n, 1))
    top = chance.uniform(4, 30, n, 1) + printed.em * 1.4 * (order + 1)
    align = torch.where(chance.flag(0.5, n, 1), 0.5, 0.0)
    few = chance.integer(1, 6, n, HEAD)
    scene.runs.append(printer.runs(printed, left, top, room, numbers=0.3, count=few, on=head, align=align, common=0.4))

    lines = torch.arange(LINES, device=chance.device)
    y = top.amax(1, keepdim=True) + lead * (lines + 1)
    list_of = chance.flag(0.3, n, 1)
    ends = chance.flag(0.2, *shape) | list_of
    on = (y < scene.height - 4) & chance.flag(0.9, *shape)
    count = torch.where(ends, chance.integer(1, 8, *shape), MOST)
    x = left + chance.normal(5, *shape) + chance.flag(0.15, *shape) * chance.uniform(10, 60, *shape)
    angle = chance.normal(0.012, n, 1) + chance.normal(0.008, *shape)
    figures = on & list_of & chance.flag(0.7, *shape)
    wide = torch.where(list_of, room * 0.6, room)
    share = chance.uniform(0.05, 0.5, n, 1)
    off = chance.normal(0.06, *shape) * lead
    scene.runs.append(printer.runs(hand, x, y + off, wide, numbers=share, count=count, on=on, angle=angle, common=0.4))
    scene.runs.append(
        printer.runs(
            hand, left + 0.65 * room, y + off, room * 0.35, numbers=0.95, count=chance.integer(1, 3, *shape),
            on=figures, angle=angle, align=torch.where(chance.flag(0.5, n, 1), 1.0, 0.0),
        )
    )  # fmt: skip
    paper(printer, scene, left, y, lead)


def paper(printer: Printer, scene: Scene, left: torch.Tensor, y: torch.Tensor, lead: torch.Tensor) -> None:
    """Lines, a margin, squares. y: baselines [pages, LINES]; the lines of the paper are as far apart, or not."""
    chance, n = printer.chance, printer.pages
    kind = chance.uniform(0, 1, n, 1)
    ruled, squared = kind < 0.5, (kind >= 0.5) & (kind < 0.62)
    ink, thick = chance.uniform(0.12, 0.6, n, 1), chance.uniform(0.7, 1.8, n, 1)
    line = y + lead * chance.normal(0.05, n, 1)
    edge = torch.where(chance.flag(0.7, n, 1), 0.0, left - 4)
    dash = torch.where(chance.flag(0.15, n, 1), chance.uniform(2, 6, n, 1), 0.0)
    right = scene.width - edge
    scene.add_rules(printer.page, edge, line, right, line + thick, ruled, ink=ink, dash=dash)
    margin = ruled & chance.flag(0.4, n, 1)
    low = torch.full_like(left, scene.height)
    scene.add_rules(printer.page, left - 8, torch.zeros_like(left), left - 7, low, margin, ink=ink)
    step = chance.uniform(14, 30, n, 1) * torch.arange(GRID, device=chance.device)
    none = torch.zeros_like(left)
    scene.add_rules(printer.page, none, step, none + scene.width, step + 0.8, squared, ink=ink * 0.6)
    scene.add_rules(printer.page, step, none, step + 0.8, low, squared, ink=ink * 0.6)
