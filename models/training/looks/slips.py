"""Small papers: receipts, cards, cheques."""

from __future__ import annotations

import random

from models.training.looks import marks
from models.training.looks.paper import blank, extras, tinted
from models.training.looks.sheet import BLACK, INKS, Sheet, Stock, frame, rule


def receipt(stock: Stock, chance: random.Random) -> Sheet:
    wide = chance.randint(380, 620)
    sheet = blank(stock, chance, wide, int(wide * chance.uniform(1.3, 4.2)), tinted(chance, 0.25))
    if chance.random() < 0.15:
        sheet.ink = chance.choice(((70, 60, 150), (120, 60, 150), (90, 90, 90), (150, 150, 150)))
    group = chance.choice(("mono", "mono", "pixel", "text"))
    font = sheet.font(group, wide / chance.uniform(17, 26))
    large = sheet.font(group, font.size * chance.uniform(1.3, 2.2))
    pad, y = wide * 0.05, sheet.height * 0.02
    room = wide - 2 * pad
    if chance.random() < 0.4:
        size = wide * chance.uniform(0.12, 0.3)
        marks.logo(sheet, wide * chance.uniform(0.15, 0.4), y, size)
        y += size * 1.15
    for number in range(chance.randint(3, 8)):
        sheet.line(pad, y, room, large if not number else font, count=chance.randint(1, 5), align=0.5)
        y += font.size * 1.4
    foot = sheet.height - wide * chance.uniform(0.2, 0.75)
    while y < foot:
        kind = chance.random()
        if kind < 0.1:
            sheet.draw.text((pad, y), ("-" if chance.random() < 0.5 else "=") * 60, font=font, fill=sheet.ink)
            sheet.draw.rectangle((wide - pad, y, wide, y + font.size * 1.3), fill=sheet.image.getpixel((2, 2)))
        elif kind < 0.16:
            y += font.size * 0.8
        else:
            face = large if chance.random() < 0.05 else font
            sheet.line(pad, y, room * 0.65, face, count=chance.randint(1, 5))
            if chance.random() < 0.75:
                sheet.line(pad + room * 0.65, y, room * 0.35, face, count=1, numbers=1.0, align=1.0)
        y += font.size * chance.uniform(1.15, 1.5)
    if chance.random() < 0.35:
        marks.barcode(
            sheet,
            (pad + room * 0.1, y + 6, pad + room * chance.uniform(0.7, 0.95), y + wide * chance.uniform(0.08, 0.2)),
        )
        y += wide * 0.26
    elif chance.random() < 0.25 and sheet.height - y > wide * 0.35:
        marks.square_code(sheet, wide * 0.3, y + 4, wide * 0.34)
        y += wide * 0.4
    while y < sheet.height - font.size * 2:
        sheet.line(pad, y, room, font, count=chance.randint(2, 6), align=0.5)
        y += font.size * 1.35
    extras(sheet, hand=0.3, stamped=0.15)
    if chance.random() < 0.1:
        marks.signature(sheet, pad + room * 0.2, sheet.height * chance.uniform(0.6, 0.9), room * 0.5)
    return sheet


def card(stock: Stock, chance: random.Random) -> Sheet:
    """A licence, badge or insurance card, mostly with a portrait."""
    wide = chance.randint(640, 1000)
    paper = chance.choice(
        ((235, 240, 248), (250, 245, 230), (225, 240, 230), (255, 255, 255), (245, 225, 225), (210, 225, 240))
    )
    sheet = blank(stock, chance, wide, int(wide * chance.uniform(0.6, 0.68)), paper)
    tint = chance.choice(list(INKS.values()))
    if chance.random() < 0.5:
        for step in range(0, wide, max(4, wide // 60)):
            sheet.draw.line(
                (step, 0, step + wide // 4, sheet.height), fill=tuple(int(p * 0.95) for p in paper), width=2
            )
    head = wide * chance.uniform(0.08, 0.15)
    if chance.random() < 0.75:
        frame(sheet, (0, 0, wide, head), fill=tint, ink=tint)
    sheet.line(
        wide * 0.05,
        head * 0.15,
        wide * 0.7,
        sheet.font("text", head * 0.55),
        count=chance.randint(2, 4),
        numbers=0,
        ink=(255, 255, 255) if sum(tint) < 420 else BLACK,
    )
    if chance.random() < 0.5:
        marks.logo(sheet, wide * 0.86, head * 0.1, head * 0.7)
    left = wide * 0.05
    if chance.random() < 0.75:
        side = chance.random() < 0.75
        x = wide * 0.05 if side else wide * 0.68
        marks.portrait(sheet, (x, head * 1.3, x + wide * 0.25, head * 1.3 + wide * 0.31))
        left = wide * 0.35 if side else left
    font, small = sheet.font("text", wide * 0.028), sheet.font("text", wide * 0.018)
    y = head * 1.3
    while y < sheet.height - wide * 0.08:
        sheet.line(left, y, wide * 0.15, small, count=1, numbers=0, ink=tint)
        sheet.line(left + wide * 0.1, y - font.size * 0.2, wide * 0.28, font, count=chance.randint(1, 3), numbers=0.4)
        y += font.size * chance.uniform(1.3, 1.9)
    if chance.random() < 0.5:
        marks.signature(sheet, wide * 0.4, sheet.height - wide * 0.09, wide * 0.2)
    if chance.random() < 0.25:
        marks.barcode(sheet, (wide * 0.5, sheet.height - wide * 0.1, wide * 0.95, sheet.height - wide * 0.03))
    return sheet


def cheque(stock: Stock, chance: random.Random) -> Sheet:
    wide = chance.randint(850, 1100)
    paper = chance.choice(((225, 240, 230), (225, 235, 248), (248, 240, 215), (255, 255, 255), (245, 230, 235)))
    sheet = blank(stock, chance, wide, int(wide * chance.uniform(0.4, 0.48)), paper)
    for step in range(0, sheet.height, 7):
        sheet.draw.line(
            (0, step, wide, step + chance.uniform(-20, 20)), fill=tuple(int(p * 0.96) for p in paper), width=1
        )
    font, high = sheet.font("text", wide * 0.02), sheet.height
    for row in range(3):
        sheet.line(wide * 0.04, high * 0.06 + row * font.size * 1.3, wide * 0.3, font, count=3)
    hand = chance.random() < 0.7
    for x0, y, x1 in ((0.65, 0.22, 0.95), (0.12, 0.42, 0.72), (0.04, 0.55, 0.8), (0.08, 0.8, 0.4), (0.58, 0.8, 0.95)):
        rule(sheet, (x0 * wide, y * high, x1 * wide, y * high))
        if y < 0.8 or x0 < 0.5:
            if hand:
                marks.hand_line(
                    sheet,
                    x0 * wide + 5,
                    y * high - wide * 0.033,
                    (x1 - x0) * wide * 0.9,
                    wide * 0.03,
                    count=chance.randint(2, 5),
                )
            else:
                sheet.line(
                    x0 * wide + 5,
                    y * high - wide * 0.025,
                    (x1 - x0) * wide,
                    sheet.font("mono", wide * 0.02),
                    count=3,
                    numbers=0.4,
                )
    marks.signature(sheet, wide * 0.6, high * 0.68, wide * 0.24)
    frame(sheet, (wide * 0.82, high * 0.36, wide * 0.95, high * 0.46))
    sheet.line(wide * 0.83, high * 0.38, wide * 0.12, font, count=1, numbers=1)
    sheet.draw.text(
        (wide * 0.08, high * 0.88),
        "".join(chance.choices("0123456789 ", k=34)),
        font=sheet.font("mono", wide * 0.026),
        fill=BLACK,
    )
    return sheet


def label(stock: Stock, chance: random.Random) -> Sheet:
    """What is stuck onto a parcel or a box: a large code, fields, an address in large letters."""
    wide = chance.randint(480, 800)
    sheet = blank(stock, chance, wide, int(wide * chance.uniform(0.6, 1.6)))
    margin = wide * 0.05
    y = margin
    frame(sheet, (margin / 2, margin / 2, wide - margin / 2, sheet.height - margin / 2), thick=2)
    codes = chance.randint(1, 3)
    while y < sheet.height - wide * 0.22:
        kind = chance.random()
        if codes and kind < 0.4:
            high = wide * chance.uniform(0.12, 0.25)
            if chance.random() < 0.25:
                marks.square_code(sheet, margin, y, high)
            else:
                marks.barcode(sheet, (margin * 1.5, y, wide * chance.uniform(0.6, 0.94), y + high))
            y, codes = y + high * 1.35, codes - 1
        elif kind < 0.6:
            rule(sheet, (margin / 2, y, wide - margin / 2, y), thick=2)
            y += 6
        else:
            font = sheet.font("text", wide * chance.choice((0.02, 0.03, 0.05, 0.08)))
            sheet.line(margin, y, wide - 2 * margin, font, count=chance.randint(1, 4), numbers=0.4)
            y += font.size * 1.4
    return sheet
