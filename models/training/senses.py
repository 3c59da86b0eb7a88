"""The table by which a page's tokens tell words, and the components in which their meaning is kept.

    python -m models.training.senses [--weights FOLDER]

Words: of those of like meaning the ones common enough for the sentence encoder to have a token of their own, or that
claims and invoices use. Components: the largest of the encoder's vectors of these words, each alone. The typed vectors
are those of the text tower in FOLDER, so the table is made anew when the reader is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.local.encoder import SENSES, WEIGHTS
from models.local.meanings import meanings
from models.local.network import Network
from models.local.rotation import rotate_tokens
from models.local.senses import SENSE_DIM, SenseTable
from models.local.weights import read_weights
from models.local.words import as_bytes
from models.training.meanings import sentence_encoder
from models.training.synthesis.terms import ENGLISH

ROUNDS = 8
"""Of the subspace iteration: components change no more in the fourth digit."""
AT_ONCE = 2048


def components(vectors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean [d] of vectors [n, d], and their `count` largest principal components [d, count]."""
    torch.manual_seed(0)
    centre = vectors.mean(0)
    return centre, torch.pca_lowrank(vectors - centre, q=count, center=False, niter=ROUNDS)[2]


@torch.inference_mode()
def typed(network: Network, words: Sequence[str]) -> Tensor:
    """Unit vectors [words, token_dim] that the text tower gives canonical words; short ones apart from long ones."""
    order = sorted(range(len(words)), key=lambda row: len(words[row]))
    found = torch.empty(len(words), network.text.token.out_features)
    for start in range(0, len(order), AT_ONCE):
        rows = order[start : start + AT_ONCE]
        codes = as_bytes([words[row] for row in rows])[:, : len(words[rows[-1]])]
        found[rows] = network.text.tokens(network.text.features(torch.from_numpy(codes)))
    return found


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="of the local encoder; the table joins them")
    given = parser.parse_args()
    sentences = sentence_encoder()
    usual = {*sentences.tokenizer.get_vocab(), *ENGLISH}
    words = tuple(word for word in meanings().words if word in usual)
    _, network = read_weights(given.weights)
    rotate_tokens(network)
    centre, main_ones = components(sentences(words), SENSE_DIM)
    out = given.weights / SENSES
    SenseTable(words, typed(network, words).numpy(), centre.numpy(), main_ones.numpy()).save(out)
    print(f"{len(words)} words, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
