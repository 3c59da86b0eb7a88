"""Slides, and pages that are charts, a map or a drawing."""

from __future__ import annotations

import random

from models.training.looks import graphics, marks
from models.training.looks.paper import a4, blank
from models.training.looks.sheet import BLACK, INKS, Sheet, Stock, frame, paragraph


def slide(stock: Stock, chance: random.Random) -> Sheet:
    wide = chance.randint(900, 1100)
    paper = chance.choice(((255, 255, 255), (255, 255, 255), *INKS.values(), (20, 30, 70), (240, 240, 245)))
    sheet = blank(stock, chance, wide, int(wide * chance.choice((0.75, 0.5625))), paper)
    sheet.ink = (245, 245, 245) if sum(paper) < 420 else chance.choice((BLACK, (30, 40, 90)))
    if chance.random() < 0.5:
        tint = chance.choice(list(INKS.values()))
        band = wide * chance.uniform(0.02, 0.12)
        frame(
            sheet,
            chance.choice(
                ((0, 0, wide, band), (0, sheet.height - band, wide, sheet.height), (0, 0, band, sheet.height))
            ),
            fill=tint,
            ink=tint,
        )
    sheet.line(
        wide * 0.08,
        wide * 0.04,
        wide * 0.84,
        sheet.font("text", wide * chance.uniform(0.035, 0.055)),
        count=chance.randint(2, 5),
        numbers=0,
        align=chance.choice((0, 0.5)),
    )
    font, y = sheet.font("text", wide * chance.uniform(0.02, 0.03)), wide * 0.14
    picture = chance.random() < 0.5
    for _ in range(chance.randint(2, 7)):
        if y > sheet.height - wide * 0.06:
            break
        sheet.draw.ellipse(
            (wide * 0.08, y + font.size * 0.35, wide * 0.08 + font.size * 0.35, y + font.size * 0.7), fill=sheet.ink
        )
        sheet.line(wide * 0.11, y, wide * (0.4 if picture else 0.8), font, count=chance.randint(3, 9), numbers=0.05)
        y += font.size * chance.uniform(1.5, 2.2)
    if picture:
        graphics.place(
            sheet,
            chance.choice(("chart", "photo", "diagram", "photo")),
            (wide * 0.58, wide * 0.16, wide * 0.94, sheet.height - wide * 0.06),
        )
    if chance.random() < 0.4:
        marks.logo(sheet, wide * 0.85, sheet.height - wide * 0.05, wide * 0.035)
    return sheet


def figure(stock: Stock, chance: random.Random) -> Sheet:
    """A page that is charts, a map or a drawing above all."""
    sheet = a4(stock, chance)
    if chance.random() < 0.5:
        sheet.image = sheet.image.resize((sheet.height, sheet.width))
    wide, high, margin = sheet.width, sheet.height, sheet.width * 0.08
    kind = chance.choice(("chart", "chart", "map", "map", "diagram"))
    y = high * 0.06
    if chance.random() < 0.8:
        sheet.line(
            margin,
            y,
            wide - 2 * margin,
            sheet.font("text", wide * 0.028),
            count=chance.randint(2, 6),
            numbers=0,
            align=0.5,
        )
        y += wide * 0.07
    rows = chance.choice((1, 1, 2, 3)) if kind == "chart" else 1
    columns = chance.choice((1, 1, 2)) if kind == "chart" and rows > 1 else 1
    bottom = high * chance.choice((0.93, 0.7))
    for row in range(rows):
        for column in range(columns):
            w, h = (wide - 2 * margin) / columns, (bottom - y) / rows
            x, top = margin + column * w, y + row * h
            graphics.place(sheet, kind, (x + w * 0.06, top + h * 0.12, x + w * 0.95, top + h * 0.85))
    if bottom < high * 0.8:
        paragraph(sheet, (margin, bottom + wide * 0.03, wide - margin, high * 0.95), sheet.font("text", wide * 0.015))
    return sheet


def brochure(stock: Stock, chance: random.Random) -> Sheet:
    """Photos, bands of colour, a large title, little text."""
    sheet = a4(stock, chance)
    if chance.random() < 0.3:
        sheet.image = sheet.image.resize((sheet.height, sheet.width))
    wide, high, tint = sheet.width, sheet.height, chance.choice(list(INKS.values()))
    if chance.random() < 0.4:
        sheet.image.paste(chance.choice(list(INKS.values())), (0, 0, wide, high))
    if chance.random() < 0.7:
        band = (0, 0, wide, high * chance.uniform(0.06, 0.3)) if chance.random() < 0.6 else (0, 0, wide * 0.3, high)
        frame(sheet, band, fill=tint, ink=tint)
    ink = chance.choice(((255, 255, 255), BLACK, tint))
    y = high * chance.uniform(0.03, 0.1)
    for _ in range(chance.randint(1, 3)):
        font = sheet.font("text", wide * chance.uniform(0.05, 0.11))
        sheet.line(wide * 0.06, y, wide * 0.88, font, count=chance.randint(1, 3), numbers=0.05, ink=ink)
        y += font.size * 1.2
    for _ in range(chance.randint(1, 4)):
        x, top, side = chance.uniform(0, 0.5) * wide, chance.uniform(0.25, 0.7) * high, chance.uniform(0.25, 0.6) * wide
        marks.photo(sheet, (x, top, min(wide, x + side), min(high, top + side * chance.uniform(0.5, 1))))
    font = sheet.font("text", wide * chance.uniform(0.014, 0.024))
    for _ in range(chance.randint(1, 4)):
        x, top, side = (
            chance.uniform(0.04, 0.6) * wide,
            chance.uniform(0.3, 0.85) * high,
            chance.uniform(0.2, 0.4) * wide,
        )
        frame(sheet, (x - 6, top - 6, x + side + 6, top + side * 0.5), fill=(255, 255, 255), ink=(255, 255, 255))
        paragraph(sheet, (x, top, x + side, min(high, top + side * 0.5)), font)
    marks.logo(sheet, wide * chance.uniform(0.05, 0.8), high * 0.92, wide * 0.06)
    return sheet
