"""Typed words as the text tower reads them, and the other strings that may stand on a page in their place."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.local.config import WORD_BYTES
from models.local.look_words import LAYOUT, SAID
from models.local.meanings import meanings
from models.local.short_forms import short_forms
from models.local.spelling import corrected

MOST_WORDS = 64
"""Words of a query that count; the rest of a longer text is left out."""
CORRECTED = 0.9
"""Likeness of a known word to one that differs by one letter and is not known."""
SHORTENED = 0.9
"""Likeness of a word to its short form, and of a short form to what it stands for."""
MOST_NEAR = 48
"""Words of like meaning that are looked for beside them."""
LONGEST_DATE = 4
LOOK = "*"
"""Before the name of a look, which no typed word can be."""
LONGEST_LOOK = 3
NOT = ("without", "no", "not")
"""Before a look that is not wanted."""
COMMON_WORDS = frozenset((
    "a", "about", "after", "again", "against", "all", "also", "an", "and", "any", "are", "as", "at", "be",
    "because", "been", "before", "being", "between", "but", "by", "can", "could", "did", "do", "does", "during",
    "each", "every", "few", "for", "from", "get", "gets", "got", "had", "has", "have", "he", "her", "here", "his",
    "how", "i", "if", "in", "into", "is", "it", "its", "just", "may", "me", "might", "more", "most", "much", "many",
    "must", "my", "no", "nor", "not", "of", "off", "on", "once", "only", "or", "other", "our", "out", "over", "own",
    "per", "same", "shall", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "us", "very", "via",
    "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with",
    "within", "without", "would", "you", "your",
))  # fmt: skip
"""Words that hold a question together and say little about the page."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    re.compile(rf"{_DAY} ?(?:of )?(?P<month>{_MONTH}) ?(?P<year>\d{{4}}|\d{{2}})"),
    # Between a day and a year of two digits there must be a space: "apr 2018" has no day.
    re.compile(rf"(?P<month>{_MONTH}) ?{_DAY}(?P<year> ?\d{{4}}| \d{{2}})"),
    re.compile(rf"(?P<year>\d{{4}}) ?(?P<month>{_MONTH}) ?{_DAY}"),
)


Kind = Literal["word", "join", "date", "look", "near"]


@dataclass(frozen=True, slots=True)
class Span:
    """Typed words first:end as one thing to find. rows: the strings of the plan that may stand for it, best of.
    likeness: of a word that is near the typed one in meaning; 1 for what says the same."""

    kind: Kind
    first: int
    end: int
    rows: tuple[int, ...]
    likeness: float = 1.0


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """What is looked for, all of it a function of the typed words. strings: canonical, each once, one token each; those
    that begin with LOOK are names of looks. spans: every typed word alone, in order, then neighbours joined, dates
    rewritten, looks, and what is near: short forms, corrections, words of like meaning, the nearest first. said:
    strings that say what was typed; those after them are near it."""

    words: tuple[str, ...]
    strings: tuple[str, ...]
    spans: tuple[Span, ...]
    said: int

    def seen(self) -> NDArray[np.bool_]:
        """(words,): which of them may say what a page looks like."""
        found = np.zeros(len(self.words), bool)
        for span in self.spans:
            if span.kind == "look":
                found[span.first : span.end] = True
        return found

    def filler(self) -> NDArray[np.bool_]:
        """(words,): which of them hold a question together, or say where or how something looks."""
        typed = [canonical(word) for word in self.words]
        loose = [word in COMMON_WORDS or word in LAYOUT for word in typed]
        unwanted = [first in NOT and word in SAID for first, word in itertools.pairwise(["", *typed])]
        return np.logical_or(loose, unwanted) & ~self.seen()

    def layout(self) -> bool:
        """Whether most of the words say what the page looks like."""
        seen = self.seen()
        return bool(seen.sum() > (~seen & ~self.filler()).sum())

    def narrowed(self, strings: int) -> QueryPlan:
        """With the first so many strings, and at least those that say what was typed."""
        return self.cut(max(strings, self.said))

    def cut(self, kept: int) -> QueryPlan:
        """With the first so many strings, whatever they are for."""
        spans = tuple(span for span in self.spans if max(span.rows) < kept)
        return QueryPlan(self.words, self.strings[:kept], spans, min(kept, self.said))


def canonical(word: str) -> str:
    """What is compared of a word: its letters and digits without accents, lower case, 24 at most."""
    return _letters(word)[:WORD_BYTES]


def typed_words(text: str) -> tuple[str, ...]:
    """The words of a query that hold a letter or digit that can be compared, as typed; at most MOST_WORDS."""
    return tuple(word for word in text.split() if canonical(word))[:MOST_WORDS]


def plan_query(words: Sequence[str]) -> QueryPlan:
    """words: as `typed_words` gives them."""
    rows: dict[str, int] = {}
    spans: list[Span] = []

    def add(kind: Kind, first: int, end: int, strings: Sequence[str], likeness: float = 1.0) -> None:
        numbers = tuple(rows.setdefault(string, len(rows)) for string in strings)
        spans.append(Span(kind, first, end, numbers, likeness))

    letters = [_letters(word) for word in words]
    for place, word in enumerate(letters):
        add("word", place, place + 1, [word[:WORD_BYTES]])
    for place, (left, right) in enumerate(itertools.pairwise(letters)):
        # A joined string that is cut would no longer tell the second word.
        if len(left) + len(right) <= WORD_BYTES:
            add("join", place, place + 2, [left + right])
    for first in range(len(letters)):
        for end in range(first + 1, min(first + LONGEST_DATE, len(letters)) + 1):
            strings = list(dict.fromkeys(_date_forms(" ".join(letters[first:end]))))
            if strings:
                add("date", first, end, strings)
    first = 0
    while first < len(letters):
        ends = range(min(first + LONGEST_LOOK, len(letters)), first, -1)
        end = next((end for end in ends if "".join(letters[first:end]) in SAID), first)
        if end > first and (not first or letters[first - 1] not in NOT):
            add("look", first, end, [LOOK + look for look in SAID["".join(letters[first:end])]])
        first = max(first + 1, end)
    said = len(rows)
    table = meanings()
    near = [(likeness, place, other) for place, word in enumerate(letters) for other, likeness in table.of(word)]
    near += [(SHORTENED, place, other) for place, word in enumerate(letters) for other in short_forms(word)]
    near += [(CORRECTED, place, other) for place, word in enumerate(letters) for other in corrected(word, table.row)]
    for likeness, place, other in sorted(near, key=lambda one: -one[0])[:MOST_NEAR]:
        add("near", place, place + 1, [other], likeness)
    return QueryPlan(tuple(words), tuple(rows), tuple(spans), said)


def as_bytes(strings: Sequence[str]) -> NDArray[np.uint8]:
    """Canonical strings to uint8 (n, 24), padded with zeros."""
    table = np.zeros((len(strings), WORD_BYTES), np.uint8)
    for row, string in zip(table, strings, strict=True):
        code = string.encode()[:WORD_BYTES]
        row[: len(code)] = np.frombuffer(code, np.uint8)
    return table


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", word).casefold())


def _date_forms(text: str) -> Iterator[str]:
    """The canonical strings of a date with a month by name: in digits, either order, and by name in one word."""
    found = next((match for pattern in _DATES if (match := pattern.fullmatch(text))), None)
    if found is None or not 1 <= int(found["day"]) <= 31:
        return
    name, day, year = found["month"][:3], int(found["day"]), found["year"].strip()
    month, short_year = _MONTHS.index(name) + 1, year[-2:]
    if len(year) == 2:
        year = ("20" if int(year) < 70 else "19") + year
    two = (f"{day:02}", f"{month:02}")
    yield from (two[0] + two[1] + year, two[1] + two[0] + year, year + two[1] + two[0])
    yield from (two[0] + two[1] + short_year, two[1] + two[0] + short_year)
    yield from (f"{day}{month}{year}", f"{month}{day}{year}")
    yield from (two[0] + name + year, f"{day}{name}{year}", two[0] + name + short_year)
