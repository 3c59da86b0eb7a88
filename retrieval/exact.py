"""Exact strings: how the own text of a digital PDF is written down, and when it holds what was typed.

No picture is read for this. The text is what the file says of itself: that of a born-digital PDF, or the hidden layer
that a scanner's software put behind a scan.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

MOST_TEXT = 16_384
"""Characters of a page that are kept; a page in small print has about 6,000."""
LONGEST_WORD = 64
"""Characters of a word by which it is looked up."""
MOST_STRINGS = 5
"""Strings in quotes that one question may name; further ones are left out."""
MOST_HOLDING = 1000
"""Pages that one look-up gives; a string that more of them hold picks nothing out."""
MOST_READ = 20_000
"""Texts that one look-up reads: of pages that pass the filter and have all words of the strings, side by side or
not."""
_MOST_LOOKED_UP = 8
_LONGEST_RUN = 256

_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r'"([^"]*)"')
# Hyphens, dashes and the minus sign; quotation marks; apostrophes. U+FFFE is PDFium's mark of a hyphen at a line's end.
_ALIKE = {
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufffe"), "-"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb"), '"'),
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u00b4`"), "'"),
}


def normalised(text: str) -> str:
    """The form in which texts are kept and compared: NFKC, lower case, one kind of dash and of quotation mark, one
    space for any white space, nothing that cannot be seen. Once more changes nothing, unless it was cut."""
    text = unicodedata.normalize("NFKC", text.translate(_ALIKE)).translate(_ALIKE)
    seen = "".join(char for char in text if char.isspace() or char.isprintable())
    return " ".join(unicodedata.normalize("NFKC", seen.casefold()).split())


def page_text(text: str) -> str:
    """What is kept of a page: normalised, at most MOST_TEXT characters."""
    # Runs without a space are cut: thousands of accents on one letter would take seconds to put in order.
    runs = (run[:_LONGEST_RUN] for run in text[: 2 * MOST_TEXT].split())
    return normalised(" ".join(runs))[:MOST_TEXT].strip()


def words_of(text: str) -> list[str]:
    """Each run of letters and digits of a normalised text once, cut at LONGEST_WORD characters, in order."""
    return list(dict.fromkeys(word[:LONGEST_WORD] for word in _WORD.findall(text)))


def strings_of(typed: str) -> tuple[str, ...]:
    """What of a question is looked for exactly, normalised: what stands in quotes; without quotes all of it, where it
    holds a digit, as numbers of claims, amounts, dates and plates do. Words alone describe what a page or a photo
    shows, so they are left to the visual search. Nothing without a letter or digit."""
    whole = normalised(typed)
    quoted = [part.strip() for part in _QUOTED.findall(whole)]
    if not quoted and any(char.isdigit() for char in whole):
        quoted = [whole]
    return tuple(dict.fromkeys(part for part in quoted if _WORD.search(part)))[:MOST_STRINGS]


def lookup_words(strings: Sequence[str]) -> list[str]:
    """Words that a page must have to hold all of the strings, the most telling first: with digits, then long ones."""
    words = dict.fromkeys(word for string in strings for word in words_of(string))
    telling = sorted(words, key=lambda word: (not any(char.isdigit() for char in word), -len(word), word))
    return telling[:_MOST_LOOKED_UP]


def holds(text: str, string: str) -> bool:
    """Whether the string stands in the text, not in the middle of a word: "2024-0012" is in "inv-2024-0012", "24-00"
    is not. Both normalised."""
    at = text.find(string)
    while at >= 0:
        end = at + len(string)
        cut_before = at > 0 and text[at - 1].isalnum() and string[0].isalnum()
        cut_behind = end < len(text) and text[end].isalnum() and string[-1].isalnum()
        if not cut_before and not cut_behind:
            return True
        at = text.find(string, at + 1)
    return False
