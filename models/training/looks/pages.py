"""Kinds of pages, sketched: enough of each that a head over frozen features can tell them apart."""

from __future__ import annotations

import random
from collections.abc import Callable

from models.training.looks import fields, figures, slips, writing
from models.training.looks.capture import Picture, captured
from models.training.looks.sheet import Sheet, Stock

KINDS: dict[str, tuple[Callable[[Stock, random.Random], Sheet], int]] = {
    "receipt": (slips.receipt, 4),
    "form": (fields.form, 6),
    "invoice": (fields.invoice, 3),
    "letter": (writing.letter, 3),
    "prose": (writing.prose, 3),
    "listing": (fields.listing, 3),
    "newspaper": (writing.newspaper, 1),
    "slide": (figures.slide, 2),
    "figure": (figures.figure, 4),
    "brochure": (figures.brochure, 2),
    "card": (slips.card, 2),
    "label": (slips.label, 1),
    "cheque": (slips.cheque, 1),
    "manuscript": (writing.manuscript, 2),
}
"""How each kind is drawn, and its share."""
WORDS = {"prose": ("text",), "newspaper": ("newspaper", "text"), "listing": (), "figure": (), "manuscript": ()}
"""Words for a kind of page other than its own name."""
DOUBTFUL = {"form": {"table"}, "letter": {"text"}, "slide": {"text"}}
"""Words that may or may not be said of a kind."""


def sketched(stock: Stock, kind: str, number: int) -> Picture:
    """The picture of one page, the same for the same kind and number."""
    sheet = KINDS[kind][0](stock, random.Random(f"{kind}-{number}"))
    sheet.said.update(WORDS.get(kind, (kind,)), (thing for thing, _ in sheet.things))
    return captured(sheet, DOUBTFUL.get(kind, set()))
