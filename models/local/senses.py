"""What a page means: the words that its tokens tell, read by a sentence encoder.

A page's tokens are told by the typed vectors of common words, the nearest to each. Some words at a time go through the
encoder in the order of the page; the page means their mean, each word counting the same. Vectors are kept in their
largest principal components, those of single words. The table is made by models.training.senses; the model card tells
where it comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.encoder import FloatArray
from models.local.config import ScoreConfig
from models.local.meanings import meanings
from models.local.probability import USUAL_TOKENS, cosine_for
from models.local.sentences import SentenceEncoder
from models.packing import dequantise_tokens, narrowed, widened

SENSE_DIM = 64
WINDOW = 24
"""Words that are read at a time."""
FEWEST_WORDS = 5
"""Words of a page from which it counts as about something."""
SURE = 0.8
"""Least probability of a word that is told: what is misread is like some word too, and a page told by words that it
does not hold means something else. Of the words told on training pages 79 % stand there above an even chance, 90 %
above this one; where the same pages are blurred, faint or coarse 45 and 65 %. It loses 2 to 4 % of a page's words."""
_BITS, _LEVELS = 4, 7


@dataclass(frozen=True, slots=True)
class SenseTable:
    """words: common ones. typed: float32 (words, token_dim), unit vectors that the text tower gives them. centre:
    float32 (SENTENCE_DIM,); components: float32 (SENTENCE_DIM, SENSE_DIM)."""

    words: tuple[str, ...]
    typed: FloatArray
    centre: FloatArray
    components: FloatArray

    @classmethod
    def load(cls, path: Path) -> SenseTable:
        with np.load(path) as table:
            known, codes = meanings().words, table["typed"]
            typed = dequantise_tokens(widened(codes, 2 * codes.shape[1], _BITS), table["scales"])
            return cls(
                words=tuple(known[place] for place in table["words"].tolist()),
                typed=typed / np.linalg.norm(typed, axis=1, keepdims=True),
                centre=table["centre"].astype(np.float32),
                components=table["components"].astype(np.float32),
            )

    def save(self, path: Path) -> None:
        """Typed vectors in four bits a number; the words as rows of the table of words of like meaning, which has them
        all."""
        scales = np.maximum(np.abs(self.typed).max(axis=1), 1e-9) / _LEVELS
        np.savez_compressed(
            path,
            words=np.array([meanings().row[word] for word in self.words], np.uint16),
            typed=narrowed(np.rint(self.typed / scales[:, None]).astype(np.int8), _BITS),
            scales=scales.astype(np.float16),
            centre=self.centre.astype(np.float16),
            components=self.components.astype(np.float16),
        )

    def told(self, tokens: FloatArray, score: ScoreConfig) -> list[str]:
        """Of tokens of print (T, token_dim) the words that all but surely stand there, in their order."""
        likeness: NDArray[np.float32] = tokens @ self.typed.T
        best = likeness.argmax(1)
        least = cosine_for(np.array(SURE), USUAL_TOKENS, score)
        sure = likeness[np.arange(len(tokens)), best] > least
        return [self.words[place] for place in best[sure].tolist()]


class Senses:
    """The table and the sentence encoder together."""

    def __init__(self, table: SenseTable, sentences: SentenceEncoder) -> None:
        self._table, self._sentences = table, sentences
        self._centre, self._components = (
            torch.from_numpy(part).to(sentences.device) for part in (table.centre, table.components)
        )

    def of_text(self, text: str) -> FloatArray:
        """What a question means: a unit vector (SENSE_DIM,)."""
        return self._meaning(self._sentences([text])[0])

    def of_print(self, tokens: FloatArray, score: ScoreConfig) -> FloatArray | None:
        """The same of a page's print, (T, token_dim). None where it tells fewer than a handful of words."""
        words = self._table.told(tokens, score)
        return self.of_words(words) if len(words) >= FEWEST_WORDS else None

    def of_words(self, words: Sequence[str]) -> FloatArray:
        """The same of words in the order of a page, one or more."""
        windows = [words[first : first + WINDOW] for first in range(0, len(words), WINDOW)]
        vectors = self._sentences([" ".join(window) for window in windows])
        # The last may hold a single word, and would count as much as all 24 of another.
        held = torch.tensor([len(window) for window in windows], dtype=vectors.dtype, device=vectors.device)
        return self._meaning(held @ vectors)

    def _meaning(self, vector: Tensor) -> FloatArray:
        """Of a sentence's vector, of any length."""
        whole = F.normalize(vector, dim=-1) - self._centre
        return F.normalize(whole @ self._components, dim=-1).cpu().numpy()
