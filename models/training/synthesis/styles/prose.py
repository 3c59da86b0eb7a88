"""Letters, policies, contracts, reports: paragraphs in one or two columns, small print to large."""

from __future__ import annotations

import torch

from models.training.synthesis.scene import Scene
from models.training.synthesis.styles.look import Printer
from models.training.synthesis.words import MOST

LINES = 92


def prose(printer: Printer, scene: Scene) -> None:
    """A head of a few lines, then columns of paragraphs with headings between them."""
    chance, n = printer.chance, printer.pages
    shape = (n, 2, LINES)
    em = chance.skewed(6, 19, n, 1)
    two = chance.flag(0.35, n, 1) | (em < 9)
    em = torch.where(two, em.clamp(max=13), em)
    body = printer.look(em, text=0.75, mono=0.22, pixel=0.03, needle=0.05)
    margin = chance.uniform(6, 80, n, 1)
    room = scene.width - margin - chance.uniform(6, 80, n, 1)
    top = chance.uniform(10, 60, n, 1)

    heading = printer.look(em * chance.uniform(1.2, 3, n, 1), text=0.8, mono=0.2)
    lines = chance.integer(0, 6, n, 1)
    order = torch.arange(6, device=chance.device)
    y = top + heading.em * 1.3 * (order + 1)
    align = torch.where(chance.flag(0.5, n, 1), 0.5, 0.0)
    few = chance.integer(1, 7, n, 6)
    scene.runs.append(
        printer.runs(heading, margin, y, room, numbers=0.25, count=few, on=order < lines, align=align, common=0.4)
    )
    start = top + heading.em * 1.3 * lines + em

    ends = chance.flag(0.16, *shape)
    begins = torch.nn.functional.pad(ends[..., :-1], (1, 0), value=True)
    titled = begins & chance.flag(0.22, *shape)
    blank = begins * chance.uniform(0, 1.2, n, 1, 1)
    lead = em[:, None] * chance.uniform(1.0, 1.55, n, 1, 1) * (1 + blank + titled * 0.4)
    y = start[:, None] + torch.cumsum(lead, 2)
    gutter = chance.uniform(12, 36, n, 1)
    column = torch.where(two, (room - gutter) / 2, room)[:, None]
    second = torch.arange(2, device=chance.device)[None, :, None]
    indent = begins * torch.where(chance.flag(0.4, n, 1), chance.uniform(0, 3, n, 1), 0.0)[:, None] * em[:, None]
    x = margin[:, None] + second * (column + gutter[:, None]) + indent
    on = (y < scene.height - chance.uniform(4, 60, n, 1, 1)) & ((second == 0) | two[:, None])
    count = torch.where(ends, chance.integer(1, MOST, *shape), MOST)
    count = torch.where(titled, chance.integer(1, 7, *shape), count)
    justify = chance.flag(0.5, n, 1, 1) & ~ends & ~titled

    def flat(value: torch.Tensor) -> torch.Tensor:
        return value.expand(*shape).reshape(n, 2 * LINES)

    share = chance.uniform(0.03, 0.4, n, 1)
    body.weight = body.weight * torch.where(flat(titled), 0.6, 1.0)
    scene.runs.append(
        printer.runs(
            body, flat(x), flat(y), flat(column - indent), numbers=share, count=flat(count), on=flat(on),
            justify=flat(justify), scale=torch.where(flat(titled), chance.uniform(1, 1.5, n, 1), 1.0), common=0.35,
        )
    )  # fmt: skip
    between = margin + column[:, 0] + gutter / 2
    ruled = two & chance.flag(0.15, n, 1)
    scene.add_rules(printer.page, between, start, between + 1.2, start + scene.height, ruled)
    under = flat(y) + 0.25 * em
    lined = flat(on & titled) & chance.flag(0.2, n, 1)
    scene.add_rules(printer.page, flat(x), under, flat(x + column * 0.5), under + 1.2, lined)
