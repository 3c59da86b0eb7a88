"""Tables: invoices, estimates with line items, schedules, statements. Grids of many kinds, numbers at the right."""

from __future__ import annotations

import torch

from models.training.synthesis.scene import Scene
from models.training.synthesis.styles.look import Printer

ROWS, COLUMNS, HEAD = 46, 8, 10


def table(printer: Printer, scene: Scene) -> None:
    """A head of loose fields in two columns, then one table down the page."""
    chance, n = printer.chance, printer.pages
    em = chance.skewed(6.5, 18, n, 1)
    look = printer.look(em, text=0.65, mono=0.3, pixel=0.05, needle=0.12)
    left = chance.uniform(4, 50, n, 1)
    room = scene.width - left - chance.uniform(4, 50, n, 1)
    top = head(printer, scene, left, room)

    order = torch.arange(COLUMNS, device=chance.device)
    columns = torch.minimum(chance.integer(3, COLUMNS + 1, n, 1), (room / (em * 6)).long().clamp(min=2))
    share = chance.uniform(0.4, 1, n, COLUMNS) * (1 + 1.5 * (order == chance.integer(0, 2, n, 1))) * (order < columns)
    share = share / share.sum(1, keepdim=True)
    edge = left + torch.nn.functional.pad(torch.cumsum(share, 1), (1, 0)) * room
    pitch = em * chance.uniform(1.15, 2.1, n, 1)
    rows = torch.minimum(chance.integer(3, ROWS + 1, n, 1), ((scene.height - top) / pitch).long().clamp(min=0))
    row = torch.arange(ROWS + 1, device=chance.device)
    line = top + pitch * row

    numeric = (chance.flag(0.6, n, COLUMNS))[:, None]
    right = numeric & chance.flag(0.75, n, 1)[..., None]
    shape = (n, ROWS, COLUMNS)
    live = (row[:-1, None] < rows[..., None]) & (order < columns)[:, None]
    first = (row[:-1] == 0)[:, None] & chance.flag(0.8, n, 1)[..., None]
    on = live & (chance.flag(0.88, *shape) | first)
    y = line[:, :-1, None] + pitch[..., None] * 0.5 + 0.36 * em[..., None]
    pad = 0.3 * em[..., None]

    def flat(value: torch.Tensor) -> torch.Tensor:
        return value.expand(*shape).reshape(n, ROWS * COLUMNS)

    many = torch.where(numeric, chance.integer(1, 2, *shape), chance.integer(1, 6, *shape))
    scene.runs.append(
        printer.runs(
            look, flat(edge[:, None, :-1] + pad), flat(y), flat(share[:, None] * room[..., None] - 2 * pad),
            numbers=flat(torch.where(first, 0.05, torch.where(numeric, 0.95, 0.2))), count=flat(many), on=flat(on),
            align=flat(torch.where(right, 1.0, 0.0)), common=0.5,
        )
    )  # fmt: skip
    grid(printer, scene, edge, line, rows, columns)


def head(printer: Printer, scene: Scene, left: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    """Name, address and fields above the table. Returns the table's top [pages, 1]."""
    chance, n = printer.chance, printer.pages
    em = chance.skewed(7, 22, n, 1)
    look = printer.look(em, text=0.75, mono=0.25)
    order = torch.arange(HEAD, device=chance.device)
    lines = chance.integer(0, HEAD + 1, n, 1)
    y = chance.uniform(4, 40, n, 1) + em * chance.uniform(1.1, 1.6, n, 1) * (order + 1)
    scale = torch.where((order == 0) & chance.flag(0.6, n, 1), chance.uniform(1.3, 2.5, n, 1), 1.0)
    on = (order < lines) & chance.flag(0.9, n, HEAD)
    left_words, right_words = chance.integer(1, 6, n, HEAD), chance.integer(1, 5, n, HEAD)
    scene.runs.append(
        printer.runs(look, left, y, room * 0.5, numbers=0.3, count=left_words, on=on, scale=scale, common=0.4)
    )
    second = on & chance.flag(0.6, n, 1)
    align = torch.where(chance.flag(0.5, n, 1), 1.0, 0.0)
    scene.runs.append(
        printer.runs(
            look,
            left + room * 0.55,
            y,
            room * 0.45,
            numbers=0.55,
            count=right_words,
            on=second,
            align=align,
            common=0.6,
        )
    )
    return y[:, :1] + em * (lines + 1) * 1.5


def grid(
    printer: Printer,
    scene: Scene,
    edge: torch.Tensor,
    line: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> None:
    """Rules, a bar under the head row, grey stripes. edge: x [pages, columns + 1], line: y [pages, rows + 1]."""
    chance, n = printer.chance, printer.pages
    kind = chance.uniform(0, 1, n, 1)
    across, down = kind < 0.65, kind < 0.42
    ends = torch.gather(line, 1, rows)
    right = edge[:, -1:]
    row = torch.arange(ROWS + 1, device=chance.device)
    outer = (row == 0) | (row == rows) | (row == 1)
    thick, ink = chance.skewed(0.7, 2.4, n, 1), chance.uniform(0.35, 1, n, 1)
    dash = torch.where(chance.flag(0.12, n, 1), chance.uniform(2, 6, n, 1), 0.0)
    drawn = (row <= rows) & (across | (outer & (kind < 0.85)))
    scene.add_rules(printer.page, edge[:, :1], line, right, line + thick, drawn, ink=ink, dash=dash)
    column = torch.arange(COLUMNS + 1, device=chance.device)
    border = (column == 0) | (column == columns)
    drawn = (column <= columns) & (down | (border & (kind < 0.55)))
    scene.add_rules(printer.page, edge, line[:, :1], edge + thick, ends, drawn, ink=ink, dash=dash)
    shade = chance.uniform(0, 1, n, 1)
    tone = torch.where(shade < 0.14, chance.uniform(0.75, 1, n, 1), chance.uniform(0.08, 0.35, n, 1))
    scene.add_rules(printer.page, edge[:, :1], line[:, :1], right, line[:, 1:2], shade < 0.45, ink=tone, shade=True)
    striped = (row[1:-1] % 2 == 0) & (row[1:-1] < rows) & chance.flag(0.2, n, 1)
    tone = chance.uniform(0.05, 0.2, n, 1)
    scene.add_rules(printer.page, edge[:, :1], line[:, 1:-1], right, line[:, 2:], striped, ink=tone, shade=True)
