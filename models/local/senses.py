"""What the words on a page mean together: one vector, the mean of those of the common words that its tokens tell.

Static word vectors, as word2vec has them (Mikolov et al., 2013), here a sentence encoder's of each word alone. They do
not know what a word means beside others; that of forty words together says what a page is about all the same. The table
is made by models.training.senses; the model card tells where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.encoder import FloatArray
from models.local.config import ScoreConfig
from models.local.meanings import meanings
from models.local.probability import USUAL_TOKENS, calibrated
from models.packing import dequantise_tokens, narrowed, widened

SENSE_DIM = 64
FEWEST_WORDS = 5
"""Words of a page, by the sum of their probabilities, from which it counts as about something."""
LEAST = 0.2
"""Probability from which a token tells a word."""
_BITS, _LEVELS = 4, 7


@dataclass(frozen=True, slots=True)
class Senses:
    """Of n common words. row: of each. typed: float32 (n, token_dim), unit vectors that the text tower gives them, by
    which tokens are told. vectors: float32 (n, SENSE_DIM), what they mean; the sum is what they mean together."""

    row: dict[str, int]
    typed: FloatArray
    vectors: FloatArray

    @classmethod
    def load(cls, path: Path) -> Senses:
        with np.load(path) as table:
            known = meanings().words
            row = {known[place]: row for row, place in enumerate(table["words"].tolist())}
            typed, vectors = (_widened(table[name], table[f"{name}_scales"]) for name in ("typed", "vectors"))
        return cls(row, typed / np.linalg.norm(typed, axis=1, keepdims=True), vectors)

    def save(self, path: Path) -> None:
        """Four bits a number; the words as rows of the table of words of like meaning, which has them all."""
        words = np.array([meanings().row[word] for word in self.row], np.uint16)
        typed, typed_scales = _narrowed(self.typed)
        vectors, vectors_scales = _narrowed(self.vectors)
        np.savez_compressed(
            path, words=words, typed=typed, typed_scales=typed_scales, vectors=vectors, vectors_scales=vectors_scales
        )

    def of_words(self, words: Iterable[str]) -> FloatArray | None:
        """What canonical words mean together, a unit vector: a rare one what common words of like meaning do. None
        where none of them is known."""
        total = np.zeros(SENSE_DIM, np.float32)
        for word in sorted(set(words)):
            alike = [(word, 1.0)] if word in self.row else [one for one in meanings().of(word) if one[0] in self.row]
            if alike:
                rows, weights = [self.row[other] for other, _ in alike], [likeness for _, likeness in alike]
                total += np.average(self.vectors[rows], axis=0, weights=weights).astype(np.float32)
        return _unit(total)

    def of_print(self, tokens: FloatArray, score: ScoreConfig) -> FloatArray | None:
        """The same of a page's print, (T, token_dim): each token counts for the word that it is most like, as much as
        that is likely, and each word once. None where they tell fewer than a handful of words."""
        likeness = tokens @ self.typed.T
        best = likeness.argmax(1)
        sure = calibrated(likeness[np.arange(len(tokens)), best].astype(np.float64), USUAL_TOKENS, score)
        weight = np.zeros(len(self.vectors), np.float32)
        np.maximum.at(weight, best[sure > LEAST], sure[sure > LEAST].astype(np.float32))
        return _unit(weight @ self.vectors) if weight.sum() >= FEWEST_WORDS else None


def _unit(vector: FloatArray) -> FloatArray | None:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else None


def _narrowed(rows: FloatArray) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    scales = np.maximum(np.abs(rows).max(axis=1), 1e-9) / _LEVELS
    return narrowed(np.rint(rows / scales[:, None]).astype(np.int8), _BITS), scales.astype(np.float16)


def _widened(codes: NDArray[np.uint8], scales: NDArray[np.float16]) -> FloatArray:
    return dequantise_tokens(widened(codes, 2 * codes.shape[1], _BITS), scales)
