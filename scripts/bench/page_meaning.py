"""What a sentence encoder would add: pages by the meaning of their words, known or told from the stored vectors.

The words of a page are those of the table of words of like meaning whose typed vectors lie nearest to its token
vectors, in the order of the page. WINDOW of them at a time go through the sentence encoder; a page means their mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.encoder import FloatArray, PackedPages
from models.local.config import ScoreConfig
from models.local.encoder import WEIGHTS
from models.local.meanings import meanings
from models.local.probability import USUAL_TOKENS, cosine_for
from models.local.rotation import rotate_tokens
from models.local.weights import read_weights
from models.local.words import as_bytes
from models.training.meanings import Teacher

WINDOW, WORDS_AT_ONCE = 24, 2048
EVEN_CHANCE = 0.5
LEAST_COSINE = 0.1
"""Of question and page: below it they have nothing to do with each other."""


@torch.inference_mode()
def told_words(pages: PackedPages, score: ScoreConfig) -> list[list[str]]:
    """The words of each page that its stored vectors tell."""
    words = meanings().words
    _, network = read_weights(WEIGHTS)
    rotate_tokens(network)
    typed = torch.cat(
        [
            network.text.tokens(network.text.features(torch.from_numpy(as_bytes(words[first : first + WORDS_AT_ONCE]))))
            for first in range(0, len(words), WORDS_AT_ONCE)
        ]
    )
    least = float(cosine_for(np.array(EVEN_CHANCE), USUAL_TOKENS, score))
    told: list[list[str]] = []
    for first, end in zip(pages.offsets[:-1], pages.offsets[1:], strict=True):
        tokens = pages.tokens[first:end].astype(np.float32) * pages.scales[first:end, None].astype(np.float32)
        best, word = (torch.from_numpy(tokens) @ typed.T).max(1)
        told.append([words[place] for place in word[best > least].tolist()])
    return told


def meanings_of(teacher: Teacher, pages: Sequence[Sequence[str]]) -> Tensor:
    """Unit vectors [pages, 384]."""
    windows = [
        (page, " ".join(words[first : first + WINDOW]))
        for page, words in enumerate(pages)
        for first in range(0, max(1, len(words)), WINDOW)
    ]
    vectors = teacher([text for _, text in windows])
    owner = torch.tensor([page for page, _ in windows])
    return F.normalize(torch.zeros(len(pages), vectors.shape[1]).index_add_(0, owner, vectors), dim=-1)


def likeness(asked: Tensor, pages: Tensor) -> FloatArray:
    """(questions, pages), 0 where they are less alike than LEAST_COSINE."""
    return (asked @ pages.T - LEAST_COSINE).clamp(min=0).numpy().astype(np.float32)
