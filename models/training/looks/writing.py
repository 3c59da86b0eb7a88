"""Pages of text: letters, prose, newspapers, handwriting."""

from __future__ import annotations

import random

from models.training.looks import graphics, marks
from models.training.looks.paper import a4, extras, letterhead
from models.training.looks.sheet import BLACK, INKS, Sheet, Stock, paragraph, rule


def letter(stock: Stock, chance: random.Random) -> Sheet:
    sheet = a4(stock, chance, tint=0.15)
    wide, margin = sheet.width, sheet.width * chance.uniform(0.08, 0.15)
    y = letterhead(sheet, margin, marked=0.55) + wide * chance.uniform(0.01, 0.06)
    group = chance.choice(("text", "text", "mono"))
    font = sheet.font(group, wide * chance.uniform(0.015, 0.021))
    if group == "mono":
        sheet.said.add("typewriter")
    sheet.line(margin, y, wide * 0.3, font, count=3, numbers=0.5)
    y += font.size * 2.5
    for _ in range(chance.randint(2, 5)):
        sheet.line(margin, y, wide * 0.4, font, count=chance.randint(1, 4))
        y += font.size * 1.35
    y += font.size * 1.5
    sheet.line(margin, y, wide * 0.4, font, count=chance.randint(2, 3), numbers=0)
    y += font.size * 2.2
    for _ in range(chance.randint(1, 5)):
        last = y + font.size * 1.35 * chance.randint(2, 8)
        if last > sheet.height - wide * 0.3:
            break
        y = paragraph(sheet, (margin, y, wide - margin, last), font, gaps=0.0) + font.size
    place = chance.choice((margin, wide * 0.5))
    sheet.line(place, y + font.size, wide * 0.3, font, count=2, numbers=0)
    if chance.random() < 0.8:
        marks.signature(sheet, place, y + font.size * 2.4, wide * chance.uniform(0.13, 0.28))
    sheet.line(place, y + font.size * 7.5, wide * 0.35, font, count=chance.randint(2, 3), numbers=0)
    if chance.random() < 0.3:
        sheet.line(
            margin, sheet.height - wide * 0.05, wide - 2 * margin, sheet.font("text", wide * 0.011), align=0.5, count=9
        )
    extras(sheet, hand=0.12, stamped=0.15)
    return sheet


def prose(stock: Stock, chance: random.Random) -> Sheet:
    """A page of a contract, report, policy or article."""
    sheet = a4(stock, chance, tint=0.05)
    wide, margin = sheet.width, sheet.width * chance.uniform(0.05, 0.14)
    columns = chance.choice((1, 1, 2, 2, 3))
    group = chance.choice(("text", "text", "text", "mono"))
    font = sheet.font(group, wide * chance.uniform(0.011, 0.02) / (1 if columns == 1 else 1.2))
    if group == "mono":
        sheet.said.add("typewriter")
    y = sheet.height * chance.uniform(0.04, 0.09)
    if chance.random() < 0.7:
        sheet.line(
            margin,
            y,
            wide - 2 * margin,
            sheet.font("text", font.size * chance.uniform(1.3, 2.6)),
            count=chance.randint(2, 8),
            numbers=0,
            align=chance.choice((0, 0.5)),
            ink=chance.choice((BLACK, BLACK, *INKS.values())),
        )
        y += font.size * 4
    gutter = wide * 0.03
    step = (wide - 2 * margin + gutter) / columns
    figure = chance.choice(("", "", "", "chart", "photo", "table", "diagram"))
    bottom = sheet.height * chance.choice((0.95, 0.95, 0.93, chance.uniform(0.3, 0.9)))
    spot = chance.randrange(columns)
    for column in range(columns):
        x, at = margin + column * step, y
        room = step - gutter
        while at < bottom - font.size * 3:
            last = min(bottom, at + font.size * chance.uniform(5, 18))
            if chance.random() < 0.3:
                sheet.line(x, at, room, sheet.font("text", font.size * 1.15), count=chance.randint(1, 5), numbers=0.1)
                at += font.size * 1.9
            at = (
                paragraph(sheet, (x, at, x + room, last), font, justify=chance.random() < 0.5, gaps=0.05)
                + font.size * 0.7
            )
            if figure and column == spot and bottom - at > room * 0.7:
                graphics.place(
                    sheet,
                    figure,
                    (x + room * 0.08, at + font.size * 3, x + room, at + room * chance.uniform(0.4, 0.65)),
                )
                at, figure = at + room * 0.75, ""
    if columns > 1:
        sheet.said.add("columns")
    extras(sheet, hand=0.04, stamped=0.04)
    return sheet


def newspaper(stock: Stock, chance: random.Random) -> Sheet:
    sheet = a4(stock, chance)
    sheet.image.paste(chance.choice(((255, 255, 255), (238, 234, 222), (228, 226, 220))), (0, 0, *sheet.image.size))
    wide, margin, columns = sheet.width, sheet.width * 0.03, chance.randint(3, 7)
    y = wide * 0.03
    sheet.line(
        margin,
        y,
        wide - 2 * margin,
        sheet.font("text", wide * chance.uniform(0.05, 0.1)),
        count=chance.randint(1, 3),
        numbers=0,
        align=0.5,
    )
    y += wide * 0.13
    rule(sheet, (margin, y, wide - margin, y), thick=2)
    sheet.line(margin, y + 3, wide - 2 * margin, sheet.font("text", wide * 0.014), count=8, align=0.5)
    y += wide * 0.035
    if chance.random() < 0.7:
        sheet.line(
            margin,
            y,
            wide - 2 * margin,
            sheet.font("text", wide * chance.uniform(0.03, 0.06)),
            count=chance.randint(3, 7),
            numbers=0,
        )
        y += wide * 0.08
    step = (wide - 2 * margin) / columns
    font = sheet.font("text", wide * chance.uniform(0.0095, 0.013))
    for column in range(columns):
        x, at = margin + column * step, y
        while at < sheet.height - wide * 0.05:
            if chance.random() < 0.35:
                head = sheet.font("text", font.size * chance.uniform(1.4, 2.6))
                for _ in range(chance.randint(1, 3)):
                    sheet.line(x, at, step * 0.92, head, count=3, numbers=0, align=0.5)
                    at += head.size * 1.15
            if chance.random() < 0.14 and at < sheet.height - step:
                high = step * chance.uniform(0.6, 1.2)
                marks.photo(sheet, (x, at, x + step * 0.94, at + high))
                at += high + font.size
            at = paragraph(
                sheet,
                (x, at, x + step * 0.94, min(sheet.height - wide * 0.03, at + font.size * chance.uniform(8, 40))),
                font,
                lead=1.15,
                justify=True,
                gaps=0.08,
            )
            at += font.size * 0.5
        if column and chance.random() < 0.8:
            rule(sheet, (x - step * 0.03, y, x - step * 0.03, sheet.height - wide * 0.03), thick=1)
    sheet.said.add("columns")
    return sheet


def manuscript(stock: Stock, chance: random.Random) -> Sheet:
    """A page written by hand."""
    sheet = a4(stock, chance, tint=0.5)
    wide, margin, size = sheet.width, sheet.width * 0.08, sheet.width * chance.uniform(0.022, 0.045)
    y, lead, ruled = wide * chance.uniform(0.04, 0.15), size * chance.uniform(1.1, 1.7), chance.random() < 0.4
    tint = chance.choice(((150, 180, 220), (200, 200, 200), (225, 150, 150)))
    font = sheet.font("hand", size)
    ink = chance.choice((BLACK, (50, 50, 50), INKS["blue"], (40, 40, 110), (90, 60, 40)))
    bottom = sheet.height * chance.choice((0.95, 0.95, chance.uniform(0.3, 0.9)))
    while y < sheet.height - size * 1.5:
        if ruled:
            rule(sheet, (0, y + size * 1.1, wide, y + size * 1.1), thick=1, ink=tint)
        if y < bottom and chance.random() < 0.93:
            x = margin + chance.gauss(0, 0.01) * wide
            sheet.line(
                x,
                y + chance.gauss(0, 0.06) * size,
                (wide - 2 * margin) * chance.uniform(0.75, 1),
                font,
                kind="handwriting",
                numbers=0.08,
                ink=ink,
            )
        y += lead
    if chance.random() < 0.4:
        marks.signature(sheet, wide * 0.5, bottom - wide * 0.02, wide * 0.25)
    return sheet
