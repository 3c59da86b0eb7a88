"""Forms, invoices, and pages that are a table."""

from __future__ import annotations

import random

from models.training.looks import graphics, marks
from models.training.looks.paper import a4, extras, letterhead
from models.training.looks.sheet import BLACK, INKS, Sheet, Stock, frame, paragraph, rule


def form(stock: Stock, chance: random.Random) -> Sheet:
    sheet = a4(stock, chance, tint=0.12)
    wide, margin = sheet.width, sheet.width * chance.uniform(0.04, 0.09)
    tint = chance.choice([None, None, None, *INKS.values()])
    y = letterhead(sheet, margin, marked=0.4)
    sheet.line(
        margin,
        y,
        wide - 2 * margin,
        sheet.font("text", wide * chance.uniform(0.02, 0.035)),
        count=chance.randint(2, 6),
        numbers=0,
        align=chance.choice((0, 0.5)),
        ink=tint,
    )
    y += wide * 0.06
    label = sheet.font(chance.choice(("text", "text", "mono")), wide * chance.uniform(0.011, 0.018))
    how = chance.choice(("hand", "hand", "typed", "typed", "empty"))
    typed = sheet.font("mono", label.size * 1.25)
    boxed, end = chance.random() < 0.45, sheet.height - wide * 0.16
    # Forms of a typewriter have names and values in one face, and no rules at all.
    plain = not boxed and chance.random() < 0.5
    if plain:
        label = sheet.font(chance.choice(("mono", "mono", "text")), wide * chance.uniform(0.014, 0.019))
        typed, how = label, chance.choice(("typed", "typed", "hand", "empty"))
    edge = tint if tint and chance.random() < 0.7 else sheet.ink
    while y < end:
        kind = chance.random()
        high = label.size * chance.uniform(2.0, 3.4)
        if kind < 0.1:
            fill = tint or chance.choice(((30, 30, 30), (205, 205, 205)))
            frame(sheet, (margin, y, wide - margin, y + label.size * 1.6), fill=fill, ink=fill)
            sheet.line(
                margin + 5,
                y + 2,
                wide * 0.6,
                label,
                count=chance.randint(1, 5),
                numbers=0,
                ink=(255, 255, 255) if sum(fill) < 400 else BLACK,
            )
            y += label.size * 2
        elif kind < 0.25:
            rows = chance.randint(1, 5)
            marks.checkboxes(sheet, (margin, y, wide - margin, y + label.size * 1.75 * rows), label)
            y += label.size * (1.75 * rows + 0.6)
        elif kind < 0.31:
            high = label.size * chance.uniform(6, 14)
            graphics.table(sheet, (margin, y, wide - margin, min(end, y + high)), label, tint=tint)
            y += high + label.size
        elif kind < 0.37:
            y = paragraph(sheet, (margin, y, wide - margin, y + label.size * chance.uniform(3, 8)), label) + label.size
        else:
            fields = chance.randint(1, 2 if plain else 4)
            step = (wide - 2 * margin) / fields
            for number in range(fields):
                x = margin + number * step
                if boxed:
                    frame(sheet, (x, y, x + step, y + high), ink=edge)
                elif not plain or chance.random() < 0.3:
                    rule(sheet, (x + step * 0.35, y + high * 0.9, x + step * 0.95, y + high * 0.9), ink=edge)
                sheet.line(
                    x + 4,
                    y + (1 if boxed else high * 0.5),
                    step * (0.9 if boxed else 0.32),
                    label,
                    count=chance.randint(1, 3),
                    numbers=0.02,
                    ink=tint if tint and chance.random() < 0.5 else None,
                )
                at = (x + 6, y + high * 0.4) if boxed else (x + step * 0.37, y + high * 0.35)
                if how == "hand" and chance.random() < 0.8:
                    marks.hand_line(
                        sheet,
                        at[0],
                        at[1] - 3,
                        step * 0.55,
                        label.size * chance.uniform(1.3, 1.9),
                        count=chance.randint(1, 4),
                    )
                elif how == "typed" and chance.random() < 0.85:
                    sheet.line(*at, step * 0.55, typed, count=chance.randint(1, 4), numbers=0.4, ink=BLACK)
            y += high * (1.0 if boxed else 1.1)
    if how == "typed":
        sheet.said.add("typewriter")
    if chance.random() < 0.55:
        rule(sheet, (margin, end + wide * 0.1, margin + wide * 0.35, end + wide * 0.1))
        if how != "empty":
            marks.signature(sheet, margin + wide * 0.03, end + wide * 0.05, wide * chance.uniform(0.14, 0.26))
        sheet.line(margin, end + wide * 0.105, wide * 0.3, label, count=2, numbers=0)
    if chance.random() < 0.1:
        marks.barcode(sheet, (wide * 0.62, wide * 0.03, wide * 0.92, wide * 0.08))
    extras(sheet, hand=0.15, stamped=0.18)
    return sheet


def invoice(stock: Stock, chance: random.Random) -> Sheet:
    sheet = a4(stock, chance)
    wide, margin = sheet.width, sheet.width * chance.uniform(0.05, 0.09)
    tint = chance.choice([None, None, *INKS.values()])
    if tint and chance.random() < 0.4:
        frame(sheet, (0, 0, wide, wide * chance.uniform(0.04, 0.13)), fill=tint, ink=tint)
    y = letterhead(sheet, margin, marked=0.7)
    font = sheet.font(chance.choice(("text", "text", "mono")), wide * chance.uniform(0.012, 0.018))
    sheet.line(wide * 0.6, y, wide * 0.35, sheet.font("text", wide * 0.035), count=1, numbers=0, ink=tint)
    for _ in range(chance.randint(4, 8)):
        sheet.line(margin, y, wide * 0.3, font, count=chance.randint(2, 4))
        sheet.line(wide * 0.6, y + wide * 0.05, wide * 0.3, font, count=chance.randint(2, 4), numbers=0.5)
        y += font.size * 1.4
    y += wide * 0.08
    bottom = y + (sheet.height - y) * chance.uniform(0.3, 0.75)
    graphics.table(sheet, (margin, y, wide - margin, bottom), font, tint=tint)
    for _ in range(chance.randint(2, 5)):
        sheet.line(wide * 0.55, bottom + font.size, wide * 0.2, font, count=2, numbers=0)
        sheet.line(wide * 0.75, bottom + font.size, wide * 0.25 - margin, font, count=1, numbers=1, align=1)
        bottom += font.size * 1.5
    if chance.random() < 0.5 and bottom + wide * 0.1 < sheet.height:
        paragraph(sheet, (margin, bottom + wide * 0.05, wide * 0.7, min(sheet.height, bottom + wide * 0.15)), font)
    if chance.random() < 0.15:
        marks.square_code(sheet, margin, sheet.height - wide * 0.18, wide * 0.14)
    extras(sheet, hand=0.1, stamped=0.15)
    return sheet


def listing(stock: Stock, chance: random.Random) -> Sheet:
    """A page that is a table."""
    sheet = a4(stock, chance)
    if chance.random() < 0.35:
        sheet.image = sheet.image.resize((sheet.height, sheet.width))
    wide, margin = sheet.width, sheet.width * chance.uniform(0.03, 0.1)
    tint = chance.choice([None, *INKS.values()])
    y = sheet.height * chance.uniform(0.03, 0.08)
    if chance.random() < 0.85:
        sheet.line(
            margin,
            y,
            wide - 2 * margin,
            sheet.font("text", wide * chance.uniform(0.016, 0.03)),
            count=chance.randint(2, 7),
            numbers=0.1,
            align=chance.choice((0, 0.5)),
            ink=tint,
        )
        y += wide * 0.05
    if chance.random() < 0.25:
        strip = chance.choice(list(INKS.values()))
        frame(sheet, (0, 0, margin * 0.7, sheet.height), fill=strip, ink=strip)
    font = sheet.font(chance.choice(("text", "text", "mono")), wide * chance.uniform(0.009, 0.018))
    bottom = sheet.height * chance.choice((0.95, 0.95, chance.uniform(0.3, 0.9)))
    graphics.table(sheet, (margin, y, wide - margin, bottom), font, tint=tint)
    if bottom < sheet.height * 0.8 and chance.random() < 0.5:
        paragraph(sheet, (margin, bottom + wide * 0.03, wide - margin, sheet.height * 0.93), font)
    return sheet
