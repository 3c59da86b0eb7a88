"""What comes onto a page from outside: handwritten notes, lines up the margin, stamps, logos, photos, stray rules."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.training.synthesis.scene import Marks, Scene
from models.training.synthesis.styles.look import Printer

QUARTER = math.pi / 2


def some(printer: Printer, share: float) -> Printer | None:
    """A printer for about `share` of the pages, None if these are none."""
    pages = printer.chance.some(printer.pages, share)
    return Printer(printer.assets, printer.chance, printer.page[pages]) if pages.shape[0] else None


def keep_free(scene: Scene, printer: Printer, x0: Tensor, y0: Tensor, x1: Tensor, y1: Tensor, on: Tensor) -> None:
    """Zones [pages, 1] that the print leaves out."""
    zone = torch.zeros(scene.count, 1, 4, device=x0.device)
    zone[printer.page] = torch.where(on[..., None], torch.stack(torch.broadcast_tensors(x0, y0, x1, y1), -1), 0.0)
    scene.zones.append(zone)


def extras(printer: Printer, scene: Scene) -> None:
    """All of them, each on its own share of the pages."""
    for addition, share in ((notes, 0.2), (margin, 0.5), (stamp, 0.12), (logo, 0.22), (photo, 0.07), (stray, 0.22)):
        part = some(printer, share)
        if part is not None:
            addition(part, scene)


def notes(printer: Printer, scene: Scene) -> None:
    """One to six lines by hand, somewhere; mostly on free paper."""
    chance, n, lines = printer.chance, printer.pages, 6
    hand = printer.hand(chance.skewed(12, 30, n, 1))
    order = torch.arange(lines, device=chance.device)
    count = chance.integer(1, lines + 1, n, 1)
    lead = hand.em * chance.uniform(0.9, 1.5, n, 1)
    x = chance.uniform(5, scene.width * 0.6, n, 1)
    y = chance.uniform(20, scene.height * 0.85, n, 1)
    room = torch.minimum(scene.width - x - 4, chance.uniform(120, 600, n, 1))
    angle = torch.where(chance.flag(0.5, n, 1), chance.normal(0.03, n, 1), 0.0)
    words = chance.integer(1, 7, n, lines)
    begin = x + chance.normal(4, n, lines)
    scene.runs.append(
        printer.runs(
            hand,
            begin,
            y + lead * (order + 1),
            room,
            numbers=0.35,
            count=words,
            on=order < count,
            angle=angle,
            over=True,
        )
    )
    free = chance.flag(0.75, n, 1)
    keep_free(scene, printer, x - 6, y - 2, x + room + 6, y + lead * (count + 0.5), free)
    ruled = (order < count) & chance.flag(0.4, n, 1)
    line = y + lead * (order + 1) + chance.normal(1.5, n, 1)
    scene.add_rules(printer.page, x, line, x + room, line + 1.2, ruled, ink=chance.uniform(0.3, 1, n, 1))


def margin(printer: Printer, scene: Scene) -> None:
    """One or two short lines, numbers mostly, turned by a quarter near the left or right edge; mostly to be read
    downwards."""
    chance, n, lines = printer.chance, printer.pages, 2
    em = chance.skewed(8, 28, n, 1)
    look = printer.look(em, text=0.55, mono=0.35, pixel=0.1)
    down = chance.flag(0.8, n, 1)
    right = chance.flag(0.72, n, 1)
    away = chance.uniform(3, 50, n, 1)
    strip = torch.where(right, scene.width - away - em, away)
    order = torch.arange(lines, device=chance.device)
    # signs of a line that runs downwards stand to the right of its baseline
    x = torch.where(down, strip, strip + 0.75 * em) + order * 0.0
    room = chance.uniform(50, 330, n, 1)
    top = chance.uniform(4, scene.height - 60, n, 1) + order * (room + chance.uniform(10, 200, n, 1))
    y = torch.where(down, top, top + room)
    on = (order == 0) | chance.flag(0.4, n, lines)
    angle = torch.where(down, QUARTER, -QUARTER)
    words = torch.where(chance.flag(0.65, n, lines), 1, chance.integer(2, 4, n, lines))
    scene.runs.append(
        printer.runs(look, x, y, room, numbers=0.8, count=words, on=on, angle=angle, over=True, common=0.5)
    )
    for number in range(lines):
        first, last = top[:, number : number + 1], (top + room)[:, number : number + 1]
        keep_free(scene, printer, strip - 4, first - 3, strip + em + 4, last + 3, on[:, number : number + 1])


def stamp(printer: Printer, scene: Scene) -> None:
    """A seal with two turned lines in it, over or beside the print."""
    chance, n = printer.chance, printer.pages
    angle = chance.normal(0.18, n, 1)
    x, y = chance.uniform(90, scene.width - 90, n, 1), chance.uniform(70, scene.height - 70, n, 1)
    room = chance.uniform(90, 180, n, 1)
    look = printer.look(room / chance.uniform(4, 9, n, 1), text=0.8, mono=0.2)
    look.ink = chance.uniform(0.35, 0.9, n, 1)
    look.uneven = chance.uniform(0, 0.5, n, 1)
    line = torch.tensor([-0.2, 1.0], device=chance.device) * look.em
    cos, sin = angle.cos(), angle.sin()
    start_x, start_y = x - cos * room / 2 - sin * line, y - sin * room / 2 + cos * line
    scale = torch.tensor([1.0, 0.75], device=chance.device)
    share = torch.tensor([0.1, 0.8], device=chance.device)
    scene.runs.append(
        printer.runs(
            look, start_x, start_y, room, numbers=share, count=chance.integer(1, 3, n, 2), align=0.5, angle=angle,
            scale=scale, common=0.8, over=True,
        )
    )  # fmt: skip
    first, number = printer.assets.scribbles["seal"]
    sprite = chance.integer(first, first + number, n)
    size = room[:, 0] / 120
    half = printer.assets.size[sprite].float() * size[:, None] / 2
    scene.marks.append(
        Marks(
            page=printer.page,
            sprite=sprite,
            x=(x - cos * half[:, 1:] + sin * half[:, :1])[:, 0],
            y=(y - sin * half[:, 1:] - cos * half[:, :1])[:, 0],
            scale=size,
            angle=angle[:, 0],
            ink=torch.where(chance.flag(0.75, n), look.ink[:, 0], 0.0),
        )
    )
    free = chance.flag(0.6, n, 1)
    keep_free(scene, printer, x - room * 0.55, y - look.em * 1.6, x + room * 0.55, y + look.em * 1.6, free)


def logo(printer: Printer, scene: Scene) -> None:
    """A mark near the top, or several anywhere."""
    chance, n = printer.chance, printer.pages
    first, number = printer.assets.scribbles["logo"]
    sprite = chance.integer(first, first + number, n)
    scale = chance.uniform(0.4, 1.6, n, 1)
    x, y = chance.uniform(4, scene.width - 120, n, 1), chance.uniform(4, scene.height * 0.3, n, 1)
    size = printer.assets.size[sprite].float() * scale
    angle = torch.zeros(n, device=chance.device)
    ink = chance.uniform(0.3, 1, n)
    scene.marks.append(Marks(printer.page, sprite, x[:, 0], y[:, 0], scale[:, 0], angle, ink))
    keep_free(scene, printer, x - 3, y - 3, x + size[:, 1:] + 3, y + size[:, :1] + 3, chance.flag(1.0, n, 1))


def photo(printer: Printer, scene: Scene) -> None:
    """A picture made of grey patches."""
    chance, n, patches = printer.chance, printer.pages, 14
    x, y = chance.uniform(0, scene.width * 0.6, n, 1), chance.uniform(0, scene.height * 0.7, n, 1)
    width, height = chance.uniform(90, 300, n, 1), chance.uniform(80, 240, n, 1)
    a, b = chance.uniform(0, 0.8, n, patches), chance.uniform(0, 0.8, n, patches)
    right = (a + chance.uniform(0.1, 0.7, n, patches)).clamp(max=1)
    low = (b + chance.uniform(0.1, 0.7, n, patches)).clamp(max=1)
    everywhere = chance.flag(1.0, n, patches)
    ink = chance.uniform(0.03, 0.3, n, patches)
    scene.add_rules(
        printer.page, x + a * width, y + b * height, x + right * width, y + low * height, everywhere, ink=ink
    )
    scene.add_rules(printer.page, x, y, x + width, y + height, everywhere[:, :1], ink=chance.uniform(0.1, 0.5, n, 1))
    keep_free(scene, printer, x - 2, y - 2, x + width + 2, y + height + 2, everywhere[:, :1])


def stray(printer: Printer, scene: Scene) -> None:
    """Rules without regard to the text, through it too."""
    chance, n, count = printer.chance, printer.pages, 3
    shape = (n, count)
    y, x = chance.uniform(0, scene.height, *shape), chance.uniform(0, scene.width, *shape)
    thick, ink = chance.uniform(0.8, 3, *shape), chance.uniform(0.3, 1, *shape)
    start = chance.uniform(0, 0.5, *shape)
    end = start + chance.uniform(0.1, 0.5, *shape)
    on = chance.flag(0.5, *shape)
    scene.add_rules(printer.page, start * scene.width, y, end * scene.width, y + thick, on, ink=ink)
    on = chance.flag(0.3, *shape)
    scene.add_rules(printer.page, x, start * scene.height, x + thick, end * scene.height, on, ink=ink)
    band = chance.uniform(18, 60, n, 1)
    inverse = chance.flag(0.25, n, 1)
    tone = chance.uniform(0.7, 1, n, 1)
    edge = torch.zeros_like(band)
    scene.add_rules(printer.page, edge, y[:, :1], edge + scene.width, y[:, :1] + band, inverse, ink=tone, shade=True)
