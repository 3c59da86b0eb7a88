"""Tables, charts, maps and diagrams."""

from __future__ import annotations

import itertools
import math

from PIL import Image, ImageDraw, ImageFont

from models.training.looks import marks
from models.training.looks.sheet import INKS, Box, Colour, Sheet, frame, rule
from models.training.synthesis.scribbles import smooth


def table(
    sheet: Sheet, box: Box, font: ImageFont.FreeTypeFont, *, tint: Colour | None = None, numbers: float = 0.6
) -> None:
    """Rows and columns, with all, some or no rules; a head that may be coloured."""
    chance = sheet.chance
    columns = chance.randint(3, 8)
    shares = [chance.uniform(0.5, 1.0) * (2.5 if not n else 1.0) for n in range(columns)]
    edges = [box[0] + (box[2] - box[0]) * sum(shares[:n]) / sum(shares) for n in range(columns + 1)]
    high = font.size * chance.uniform(1.3, 2.2)
    rows = max(2, int((box[3] - box[1]) / high))
    style, striped = chance.random(), chance.random() < 0.3
    light = tuple(int(255 - (255 - part) * 0.25) for part in tint) if tint else (232, 232, 232)
    for row in range(rows):
        y = box[1] + row * high
        head = not row
        if head and (tint or chance.random() < 0.3):
            frame(
                sheet,
                (box[0], y, box[2], y + high),
                fill=tint or chance.choice(((40, 40, 40), (210, 210, 210))),
                ink=sheet.ink,
            )
        elif striped and row % 2:
            sheet.draw.rectangle((box[0], y, box[2], y + high), fill=light)
        for column in range(columns):
            if chance.random() < 0.92:
                room = edges[column + 1] - edges[column] - 6
                count = chance.randint(1, 3) if column == 0 else 1
                share = 0.0 if head or column == 0 else numbers
                align = 1.0 if column and not head else 0.0
                sheet.line(edges[column] + 3, y + high * 0.12, room, font, count=count, numbers=share, align=align)
        if style < 0.55 or (style < 0.8 and row in (0, 1, rows)):
            rule(sheet, (box[0], y, box[2], y))
    bottom = box[1] + rows * high
    if style < 0.8:
        rule(sheet, (box[0], bottom, box[2], bottom))
    if style < 0.45:
        for edge in edges:
            rule(sheet, (edge, box[1], edge, bottom))
    sheet.things.append(("table", (box[0], box[1], box[2], bottom)))


def chart(sheet: Sheet, box: Box) -> None:
    """Bars, lines or a pie with a title, labels and often a legend, sometimes in a frame on a tinted ground."""
    chance = sheet.chance
    inks = [chance.choice(list(INKS.values())) for _ in range(6)]
    if chance.random() < 0.3:
        inks = [(tone, tone, tone) for tone in chance.sample((30, 80, 120, 160, 200, 225), 6)]
    width, height = box[2] - box[0], box[3] - box[1]
    if chance.random() < 0.35:
        ground = chance.choice(((255, 255, 255), (235, 235, 235), (240, 245, 255), (255, 250, 235)))
        edge = (box[0] - width * 0.1, box[1] - height * 0.16, box[2] + width * 0.03, box[3] + height * 0.12)
        frame(sheet, edge, fill=ground)
    font = sheet.font("text", max(8, height / chance.uniform(16, 28)))
    title = sheet.font("text", font.size * chance.uniform(1.1, 1.6))
    count = chance.randint(2, 6)
    sheet.line(box[0], box[1] - title.size * 1.5, width, title, count=count, numbers=0.1, align=chance.choice((0, 0.5)))
    if chance.random() < 0.5:
        room = width * 0.24
        x, y = box[2] - room, box[1] + height * chance.uniform(0, 0.5)
        for number in range(chance.randint(2, 5)):
            frame(sheet, (x, y, x + font.size * 0.7, y + font.size * 0.7), fill=inks[number])
            sheet.line(x + font.size, y - font.size * 0.2, room - font.size, font, count=1, numbers=0)
            y += font.size * 1.4
        box = (box[0], box[1], x - font.size, box[3])
    chance.choice((bars, bars, lines, lines, pie))(sheet, box, font, inks)
    sheet.things.append(("chart", box))


def axes(sheet: Sheet, box: Box, font: ImageFont.FreeTypeFont, count: int) -> None:
    """Two axes with numbers, and lines behind what will be drawn."""
    width, height = box[2] - box[0], box[3] - box[1]
    steps, lined = sheet.chance.randint(3, 8), sheet.chance.random() < 0.7
    for step in range(steps + 1):
        y = box[3] - height * step / steps
        if lined:
            rule(sheet, (box[0], y, box[2], y), thick=1, ink=(205, 205, 205))
        sheet.draw.text((box[0] - font.size * 2, y - font.size * 0.6), str(step * 10), font=font, fill=sheet.ink)
    rule(sheet, (box[0], box[3], box[2], box[3]), thick=2)
    rule(sheet, (box[0], box[1], box[0], box[3]), thick=2)
    for number in range(0, count, 1 + int(count * font.size * 3 / width)):
        place = (box[0] + width * (number + 0.2) / count, box[3] + 3)
        sheet.draw.text(place, str(1990 + number), font=font, fill=sheet.ink)


def bars(sheet: Sheet, box: Box, font: ImageFont.FreeTypeFont, inks: list[Colour]) -> None:
    """One to three bars a place, side by side, growing or by chance."""
    chance, count, series = sheet.chance, sheet.chance.randint(3, 14), sheet.chance.randint(1, 3)
    axes(sheet, box, font, count)
    wide, growing = (box[2] - box[0]) / count, chance.random() < 0.4
    for number in range(count):
        for one in range(series):
            share = (number + 1) / count * chance.uniform(0.75, 0.98) if growing else chance.uniform(0.1, 0.97)
            left = box[0] + wide * (number + 0.12 + 0.76 * one / series)
            top = box[3] - (box[3] - box[1]) * share
            sheet.draw.rectangle((left, top, left + wide * 0.74 / series, box[3]), fill=inks[one], outline=sheet.ink)


def lines(sheet: Sheet, box: Box, font: ImageFont.FreeTypeFont, inks: list[Colour]) -> None:
    """Lines that wander, with or without dots."""
    chance, count = sheet.chance, sheet.chance.randint(5, 40)
    axes(sheet, box, font, count)
    width, height = box[2] - box[0], box[3] - box[1]
    dotted, restless = chance.random() < 0.5, chance.uniform(0.02, 0.15)
    for number in range(chance.randint(1, 4)):
        level, points = chance.uniform(0.2, 0.8), list[tuple[float, float]]()
        for step in range(count):
            level = min(0.97, max(0.03, level + chance.gauss(0, restless)))
            points.append((box[0] + width * step / (count - 1), box[3] - height * level))
        sheet.draw.line(points, fill=inks[number], width=max(1, round(height / chance.uniform(70, 200))))
        for x, y in points if dotted and count < 20 else ():
            sheet.draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=inks[number])


def pie(sheet: Sheet, box: Box, font: ImageFont.FreeTypeFont, inks: list[Colour]) -> None:
    """Slices, flat or seen from the side."""
    chance = sheet.chance
    wide = min(box[2] - box[0], box[3] - box[1])
    high = wide * chance.choice((1.0, 1.0, 0.55))
    shares = [chance.uniform(0.3, 2) for _ in range(chance.randint(3, 6))]
    turn = chance.uniform(0, 360)
    for number, share in enumerate(shares):
        end = turn + 360 * share / sum(shares)
        edge = (box[0], box[1], box[0] + wide, box[1] + high)
        sheet.draw.pieslice(edge, turn, end, fill=inks[number], outline=sheet.ink)
        turn = end
    sheet.line(box[0], box[1] + high + 3, wide, font, count=2, numbers=0.5)


def land(sheet: Sheet, box: Box) -> None:
    """A map: patches of land, water, roads with names."""
    chance = sheet.chance
    size = (int(box[2] - box[0]), int(box[3] - box[1]))
    picture = Image.new(
        "RGB", size, chance.choice(((245, 240, 225), (225, 240, 220), (250, 250, 250), (200, 225, 245)))
    )
    draw, (width, height) = ImageDraw.Draw(picture), size
    colour = chance.random() < 0.75

    def shape(x: float, y: float, radius: float, corners: int) -> list[tuple[float, float]]:
        ring: list[tuple[float, float]] = []
        for corner in range(corners):
            away_x, away_y = radius * chance.uniform(0.6, 1.3), radius * chance.uniform(0.6, 1.3)
            turn = 2 * math.pi * corner / corners
            ring.append((x + away_x * math.cos(turn), y + away_y * math.sin(turn)))
        return smooth([*ring, ring[0]])

    for _ in range(chance.randint(3, 12)):
        fill = chance.choice(((170, 205, 235), (205, 225, 190), (240, 225, 180), (235, 200, 190), (220, 210, 235)))
        fill = fill if colour else chance.choice(((255, 255, 255), (225, 225, 225), (190, 190, 190)))
        draw.polygon(
            shape(chance.uniform(0, width), chance.uniform(0, height), chance.uniform(0.08, 0.35) * width, 12),
            fill=fill,
            outline=(90, 90, 90),
        )
    for _ in range(chance.randint(4, 16)):
        points = smooth(
            [
                (chance.uniform(-0.1, 1.1) * width, chance.uniform(-0.1, 1.1) * height)
                for _ in range(chance.randint(2, 5))
            ]
        )
        thick = chance.choice((1, 1, 2, 3, 6))
        draw.line(points, fill=(100, 100, 100), width=thick + 2)
        if colour and thick > 2:
            draw.line(points, fill=chance.choice(((250, 230, 120), (255, 255, 255), (240, 150, 120))), width=thick)
    for _ in range(chance.randint(8, 40)):
        font = sheet.font("text", chance.uniform(9, 20))
        draw.text(
            (chance.uniform(0, 0.9) * width, chance.uniform(0, 0.95) * height),
            chance.choice(sheet.words).title(),
            font=font,
            fill=(30, 30, 60),
        )
    sheet.image.paste(picture, (int(box[0]), int(box[1])))
    sheet.things.append(("map", box))


def diagram(sheet: Sheet, box: Box) -> None:
    """Boxes with words, joined by arrows."""
    chance, draw = sheet.chance, sheet.draw
    columns, rows = chance.randint(2, 4), chance.randint(2, 4)
    wide, high = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
    tint = chance.choice([(255, 255, 255), (255, 255, 255), (225, 235, 250), (250, 240, 215)])
    font = sheet.font("text", max(9, high / 7))
    spots = [
        (box[0] + (c + 0.5) * wide, box[1] + (r + 0.5) * high)
        for r in range(rows)
        for c in range(columns)
        if chance.random() < 0.85
    ]
    for first, second in itertools.pairwise(spots):
        draw.line((*first, *second), fill=sheet.ink, width=2)
        angle = math.atan2(second[1] - first[1], second[0] - first[0])
        tip = (second[0] - math.cos(angle) * wide * 0.36, second[1] - math.sin(angle) * high * 0.3)
        draw.polygon(
            [
                tip,
                (tip[0] - 12 * math.cos(angle - 0.4), tip[1] - 12 * math.sin(angle - 0.4)),
                (tip[0] - 12 * math.cos(angle + 0.4), tip[1] - 12 * math.sin(angle + 0.4)),
            ],
            fill=sheet.ink,
        )
    for x, y in spots:
        edge = (x - wide * 0.36, y - high * 0.3, x + wide * 0.36, y + high * 0.3)
        if chance.random() < 0.7:
            frame(sheet, edge, fill=tint, thick=2)
        else:
            draw.ellipse(edge, outline=sheet.ink, fill=tint, width=2)
        sheet.line(edge[0] + 4, y - font.size * 0.6, edge[2] - edge[0] - 8, font, count=2, numbers=0.0, align=0.5)
    sheet.things.append(("diagram", box))


def place(sheet: Sheet, kind: str, box: Box) -> None:
    if kind == "table":
        table(sheet, box, sheet.font("text", sheet.width * 0.013))
    else:
        {"chart": chart, "photo": marks.photo, "diagram": diagram, "map": land}[kind](sheet, box)
