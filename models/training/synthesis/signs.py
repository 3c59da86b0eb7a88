"""Signs that the composer prints, as bytes (Latin-1), and what they become in canonical words and in labels."""

from __future__ import annotations

import unicodedata

import torch
from torch import Tensor

from models.local.config import WORD_BYTES
from models.local.page_tower import SIGNS

CANONICAL = "0123456789abcdefghijklmnopqrstuvwxyz"
"""Sign class k + 1 is CANONICAL[k]; the last class is any other sign."""
ACCENTED = "ÀÁÂÃÄÇÈÉÊÍÑÓÔÕÖÚÜàáâãäåçèéêëìíîïñòóôõöøùúûü£§°"
PRINTED = [chr(code) for code in range(33, 127)] + list(ACCENTED)
"""Every sign of the atlas, in its order."""
DIGIT, LETTER = 1, 2
"""Template bytes that the composer replaces by a random digit or a random capital letter."""


def plain(sign: str) -> str:
    """The sign without its accent, in lower case."""
    return unicodedata.normalize("NFKD", sign.replace("ø", "o"))[0].lower()


def glyph_table() -> Tensor:
    """int64 [256]: byte -> number in PRINTED (0 for bytes that are never printed)."""
    table = torch.zeros(256, dtype=torch.int64)
    for number, sign in enumerate(PRINTED):
        table[ord(sign)] = number
    return table


def canonical_table() -> Tensor:
    """uint8 [256]: byte -> canonical byte, 0 where the sign drops out of words."""
    table = torch.zeros(256, dtype=torch.uint8)
    for sign in PRINTED:
        if plain(sign) in CANONICAL:
            table[ord(sign)] = ord(plain(sign))
    return table


def class_table() -> Tensor:
    """int64 [256]: byte -> sign class of the labels."""
    table = torch.zeros(256, dtype=torch.int64)
    for sign in PRINTED:
        at = CANONICAL.find(plain(sign))
        table[ord(sign)] = at + 1 if at >= 0 else SIGNS - 1
    return table


def upper_table() -> Tensor:
    """uint8 [256]: byte -> its capital, where the atlas holds it."""
    table = torch.arange(256).to(torch.uint8)
    for sign in PRINTED:
        if sign.islower() and sign.upper() in PRINTED:
            table[ord(sign)] = ord(sign.upper())
    return table


def pack(text: str) -> list[int]:
    """Latin-1 bytes of a word that the atlas can print or template bytes, cut and padded to WORD_BYTES."""
    codes = text.encode("latin-1")[:WORD_BYTES]
    return list(codes) + [0] * (WORD_BYTES - len(codes))


def printable(text: str) -> bool:
    """Whether every sign of `text` is in the atlas or a template byte."""
    return all(sign in PRINTED or ord(sign) in (DIGIT, LETTER) for sign in text)


def squeeze(words: Tensor) -> Tensor:
    """uint8 [..., n]: zero bytes moved to the end, the order of the rest kept."""
    return words.gather(-1, torch.argsort((words == 0).to(torch.uint8), dim=-1, stable=True))
