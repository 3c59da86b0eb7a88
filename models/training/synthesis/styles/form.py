"""Forms: boxes or lines to fill in, small labels, values by typewriter, printer or hand, check boxes, signatures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.synthesis.scene import Marks, Scene
from models.training.synthesis.styles.look import Look, Printer, chosen

ROWS, SLOTS, HEAD, TICKS = 22, 4, 5, 16


@dataclass(slots=True)
class Fields:
    """Fields of a form. x0, x1: [pages, ROWS, SLOTS]; y0, y1: [pages, ROWS, 1]; bar, check: rows [pages, ROWS, 1]
    that are a section title or check boxes; live: [pages, ROWS, SLOTS], which fields there are."""

    x0: Tensor
    x1: Tensor
    y0: Tensor
    y1: Tensor
    bar: Tensor
    check: Tensor
    live: Tensor


def form(printer: Printer, scene: Scene) -> None:
    """A title, then rows of one to four fields. Three kinds: label above in a box, label left of a line, plain."""
    chance, n = printer.chance, printer.pages
    label = printer.look(chance.skewed(6.5, 15, n, 1), text=0.8, mono=0.17, pixel=0.03)
    value = filled(printer, label.em * chance.uniform(1.0, 1.7, n, 1))
    kind = chance.uniform(0, 1, n, 1, 1)
    boxed, ruled = kind < 0.45, (kind >= 0.45) & (kind < 0.8)
    fields = divide(printer, scene, label, value, boxed, title(printer, scene))
    shape = fields.live.shape
    plain = fields.live & ~fields.bar & ~fields.check

    def flat(part: Tensor) -> Tensor:
        return part.expand(shape).reshape(n, ROWS * SLOTS)

    width = fields.x1 - fields.x0
    em, tall = label.em[..., None], value.em[..., None]
    pad = 0.35 * em
    base = fields.y1 - tall * chance.uniform(0.15, 0.4, n, 1, 1)
    label_y = torch.where(boxed, fields.y0 + 1.0 * em, base)
    beside = chance.uniform(0.3, 0.5, n, 1, 1) * width
    room = torch.where(boxed, width - 2 * pad, beside - pad)
    names = chance.integer(1, 5, *shape)
    scene.runs.append(
        printer.runs(
            label,
            flat(fields.x0 + pad),
            flat(label_y),
            flat(room),
            numbers=0.06,
            count=flat(names),
            on=flat(plain),
            common=0.85,
        )
    )
    # the typewriter is never quite in line with the form
    off_x, off_y = chance.normal(2.0, n, 1, 1), chance.normal(0.12, n, 1, 1) * tall
    start = torch.where(boxed, fields.x0 + pad, fields.x0 + beside)
    room = torch.where(boxed, width - 2 * pad, width - beside)
    on = plain & chance.flag(0.8, *shape)
    scene.runs.append(
        printer.runs(
            value, flat(start + off_x), flat(base + off_y), flat(room), numbers=flat(chance.uniform(0.2, 0.8, n, 1, 1)),
            count=flat(chance.integer(1, 6, *shape)), on=flat(on), common=0.15,
        )
    )  # fmt: skip
    rules(printer, scene, fields, boxed & plain, ruled & plain, start)
    sections(printer, scene, label, fields)
    checks(printer, scene, label, fields)
    sign(printer, scene)


def filled(printer: Printer, em: Tensor) -> Look:
    """How the values are written: by hand on two fifths of the pages, else by machine."""
    chance, n = printer.chance, printer.pages
    typed = printer.look(em, text=0.3, mono=0.62, pixel=0.08, needle=0.12)
    worn = chance.flag(0.5, n, 1)
    typed.jitter = torch.where(worn, chance.uniform(0.005, 0.03, n, 1), typed.jitter)
    typed.uneven = torch.where(worn, chance.uniform(0.1, 0.7, n, 1), typed.uneven)
    return chosen(chance.flag(0.4, n, 1), printer.hand(em), typed)


def title(printer: Printer, scene: Scene) -> Tensor:
    """Head lines; returns where the fields may begin [pages, 1]."""
    chance, n = printer.chance, printer.pages
    look = printer.look(chance.skewed(10, 30, n, 1), text=0.75, mono=0.25)
    order = torch.arange(HEAD, device=chance.device)
    lines = chance.integer(0, HEAD + 1, n, 1)
    scale = torch.where(order > 0, chance.uniform(0.4, 1, n, HEAD), 1.0)
    y = chance.uniform(4, 40, n, 1) + torch.cumsum(look.em * scale * 1.25, 1)
    align = torch.where(chance.flag(0.5, n, 1), 0.5, torch.where(chance.flag(0.2, n, 1), 1.0, 0.0))
    left = chance.uniform(8, 60, n, 1)
    count = chance.integer(1, 6, n, HEAD)
    scene.runs.append(
        printer.runs(
            look, left, y, scene.width - 2 * left, numbers=0.25, count=count, on=order < lines, align=align,
            scale=scale, common=0.5,
        )
    )  # fmt: skip
    return torch.where(order == lines - 1, y, 0.0).sum(1, keepdim=True) + chance.uniform(6, 30, n, 1)


def divide(printer: Printer, scene: Scene, label: Look, value: Look, boxed: Tensor, top: Tensor) -> Fields:
    """Rows and columns of fields from `top` down."""
    chance, n = printer.chance, printer.pages
    height = value.em * chance.uniform(1.15, 2.0, n, 1) + torch.where(boxed[:, 0], label.em * 1.1, 0.0)
    tall = torch.where(chance.flag(0.1, n, ROWS), chance.uniform(1.5, 3, n, ROWS), 1.0)
    y1 = top + torch.cumsum(height * tall, 1)
    y0 = F.pad(y1[:, :-1], (1, 0)) + F.pad(torch.zeros_like(y1[:, :-1]), (1, 0))
    y0[:, :1] = top
    left = chance.uniform(6, 50, n, 1)
    room = scene.width - left - chance.uniform(6, 50, n, 1)
    most = chance.integer(1, SLOTS + 1, n, 1)
    count = torch.where(chance.flag(0.5, n, 1), most, chance.integer(1, SLOTS + 1, n, ROWS))[..., None]
    order = torch.arange(SLOTS, device=chance.device)
    share = torch.where(chance.flag(0.4, n, 1, 1), 1.0, chance.uniform(0.4, 1.4, n, ROWS, SLOTS)) * (order < count)
    share = torch.cumsum(share / share.sum(-1, keepdim=True), -1) * room[..., None]
    x1 = left[..., None] + share
    x0 = left[..., None] + F.pad(share[..., :-1], (1, 0))
    # plain lines leave a gap between neighbours, boxes touch
    x1 = torch.where(boxed | (order == count - 1), x1, x1 - 0.8 * label.em[..., None])
    draw = chance.uniform(0, 1, n, ROWS)[..., None]
    live = (order < count) & (y1 < scene.height - 4)[..., None] & chance.flag(0.94, n, ROWS)[..., None]
    return Fields(x0, x1, y0[..., None], y1[..., None], draw < 0.07, (draw > 0.9), live)


def rules(printer: Printer, scene: Scene, fields: Fields, boxed: Tensor, ruled: Tensor, start: Tensor) -> None:
    """Boxes around fields, lines under values, on some forms a comb of ticks for single signs."""
    chance, n = printer.chance, printer.pages
    thick, ink = chance.skewed(0.7, 2.4, n, 1), chance.uniform(0.35, 1, n, 1)
    dash = torch.where(chance.flag(0.15, n, 1), chance.uniform(2, 5, n, 1), 0.0)
    shape = fields.live.shape

    def flat(part: Tensor) -> Tensor:
        return part.expand(shape).reshape(n, ROWS * SLOTS)

    x0, x1, y0, y1, on = (flat(part) for part in (fields.x0, fields.x1, fields.y0, fields.y1, boxed))
    page = printer.page
    scene.add_rules(page, x0, y0, x1, y0 + thick, on, ink=ink)
    scene.add_rules(page, x0, y1, x1, y1 + thick, on, ink=ink)
    scene.add_rules(page, x0, y0, x0 + thick, y1, on, ink=ink)
    scene.add_rules(page, x1, y0, x1 + thick, y1, on, ink=ink)
    scene.add_rules(page, flat(start), y1, x1, y1 + thick, flat(ruled), ink=ink, dash=dash)
    tick = torch.arange(TICKS, device=chance.device)
    x = fields.x0[:, :, 0, None] + (fields.x1 - fields.x0)[:, :, 0, None] / TICKS * tick
    comb = (boxed[:, :, :1] & chance.flag(0.08, n, 1, 1) & chance.flag(0.4, n, ROWS, 1)).expand(x.shape)
    x, comb = x.reshape(n, ROWS * TICKS), comb.reshape(n, ROWS * TICKS)
    low = fields.y1.expand(n, ROWS, TICKS).reshape(n, ROWS * TICKS)
    scene.add_rules(page, x, low - 5, x + 1, low, comb, ink=ink)


def sections(printer: Printer, scene: Scene, label: Look, fields: Fields) -> None:
    """Bars across the form with a title, grey, black with white letters, or none."""
    chance, n = printer.chance, printer.pages
    on = (fields.bar & fields.live[..., :1])[..., 0]
    x0, x1 = fields.x0[:, :, 0], fields.x1.amax(-1)
    y0, y1 = fields.y0[..., 0], fields.y1[..., 0]
    tone = torch.where(chance.flag(0.35, n, 1), chance.uniform(0.75, 1, n, 1), chance.uniform(0.05, 0.3, n, 1))
    scene.add_rules(printer.page, x0, y0, x1, y1, on & chance.flag(0.7, n, 1), ink=tone, shade=True)
    align = torch.where(chance.flag(0.3, n, 1), 0.5, 0.0)
    scale = torch.minimum(chance.uniform(1, 1.6, n, 1), (y1 - y0) * 0.75 / label.em)
    scene.runs.append(
        printer.runs(
            label, x0 + 4, y1 - 0.28 * (y1 - y0), x1 - x0 - 8, numbers=0.1, count=chance.integer(1, 6, n, ROWS), on=on,
            align=align, scale=scale, common=0.7,
        )
    )  # fmt: skip


def checks(printer: Printer, scene: Scene, label: Look, fields: Fields) -> None:
    """Rows of small squares, some ticked, each with words at its right."""
    chance, n = printer.chance, printer.pages
    shape = (n, ROWS * SLOTS)
    on = (fields.check & fields.live).reshape(shape)
    side = (label.em * chance.uniform(0.8, 1.3, n, 1)).expand(shape)
    x = (fields.x0 + 3).reshape(shape)
    y1 = fields.y1.expand(n, ROWS, SLOTS).reshape(shape) - 3
    y0, x1 = y1 - side, x + side
    page = printer.page
    for edges in ((x, y0, x1, y0 + 1), (x, y1 - 1, x1, y1), (x, y0, x + 1, y1), (x1 - 1, y0, x1, y1)):
        scene.add_rules(page, *edges, on)
    room = fields.x1.reshape(shape) - x1 - 6
    count = chance.integer(1, 5, *shape)
    scene.runs.append(printer.runs(label, x1 + 5, y1 - 1, room, numbers=0.08, count=count, on=on, common=0.6))
    first, number = printer.assets.scribbles["tick"]
    ticked = on & chance.flag(0.4, *shape)
    size = side / 28 * chance.uniform(0.9, 1.6, *shape)
    scene.marks.append(
        Marks(
            page=page[:, None].expand(shape).reshape(-1),
            sprite=chance.integer(first, first + number, n * ROWS * SLOTS),
            x=(x + chance.normal(1.5, *shape)).reshape(-1),
            y=(y0 - chance.uniform(0, 4, *shape)).reshape(-1),
            scale=size.reshape(-1),
            angle=torch.zeros(n * ROWS * SLOTS, device=chance.device),
            ink=torch.where(ticked, chance.uniform(0.5, 1, *shape), 0.0).reshape(-1),
        )
    )


def sign(printer: Printer, scene: Scene) -> None:
    """A line near the foot with a name of what goes there, and a signature across it."""
    chance, n = printer.chance, printer.pages
    on = chance.flag(0.5, n, 1)
    x, y = chance.uniform(20, scene.width * 0.6, n, 1), scene.height - chance.uniform(20, 60, n, 1)
    length = chance.uniform(100, 260, n, 1)
    scene.zones.append(torch.zeros(scene.count, 1, 4, device=chance.device))
    box = torch.stack([x, y - 42, x + length, y + 14], -1)
    scene.zones[-1][printer.page] = torch.where(on[..., None], box, 0.0)
    scene.add_rules(printer.page, x, y, x + length, y + 1.2, on)
    small = printer.look(chance.uniform(7, 12, n, 1), text=0.9, mono=0.1)
    scene.runs.append(
        printer.runs(
            small,
            x,
            y + small.em * 1.05,
            length,
            numbers=0.1,
            count=chance.integer(1, 4, n, 1),
            on=on,
            common=0.9,
            over=True,
        )
    )
    first, number = printer.assets.scribbles["signature"]
    scene.marks.append(
        Marks(
            page=printer.page,
            sprite=chance.integer(first, first + number, n),
            x=(x + chance.uniform(0, 40, n, 1))[:, 0],
            y=(y - chance.uniform(24, 44, n, 1))[:, 0],
            scale=chance.uniform(0.7, 1.2, n),
            angle=chance.normal(0.08, n),
            ink=torch.where(on[:, 0] & chance.flag(0.75, n), chance.uniform(0.5, 1, n), 0.0),
        )
    )
