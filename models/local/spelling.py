"""Known words that a mistyped one may be meant for."""

from __future__ import annotations

from collections.abc import Container
from string import ascii_lowercase

SHORTEST = 5
"""Letters of a word that is corrected: shorter ones are one letter from too many others."""
MOST = 4


def corrected(word: str, known: Container[str]) -> list[str]:
    """Known words that differ by one letter left out, put in, replaced, or changed with the next, never the first;
    none for a known word, nor for one with digits."""
    if len(word) < SHORTEST or not word.isalpha() or word in known:
        return []
    found: dict[str, None] = {}
    for place in range(1, len(word) + 1):
        head, tail = word[:place], word[place:]
        changes = [head + letter + tail for letter in ascii_lowercase]
        if tail:
            changes += [head + tail[1:], *(head + letter + tail[1:] for letter in ascii_lowercase)]
            changes += [head + tail[1] + tail[0] + tail[2:]] if len(tail) > 1 else []
        found.update(dict.fromkeys(change for change in changes if change in known))
    return list(found)[:MOST]
