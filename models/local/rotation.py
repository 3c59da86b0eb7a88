"""A fixed rotation of token vectors. Trained vectors share an offset along few of their numbers, which takes most of
the range of a coarse grid; rotated, it is spread over all. Products of rotated vectors are those of the vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from models.local.network import Network


@torch.no_grad()
def rotate_tokens(network: Network) -> None:
    """Both towers give rotated token vectors from now on: the rotation becomes part of their last layers."""
    turn = rotation(network.text.token.out_features)
    for last in (network.page.token, network.text.token):
        last.weight.copy_(turn @ last.weight)
        last.bias.copy_(turn @ last.bias)


def rotation(dims: int) -> Tensor:
    """Orthogonal float32 [dims, dims], the same everywhere: rows of a Hadamard matrix with signs drawn from a fixed
    sequence. Raises ValueError unless dims is a power of two."""
    if dims < 1 or dims & (dims - 1):
        raise ValueError(f"a rotation needs a power of two, not {dims}")
    turn = torch.ones(1, 1)
    while len(turn) < dims:
        turn = torch.cat([torch.cat([turn, turn], 1), torch.cat([turn, -turn], 1)])
    return turn * _signs(dims) / dims**0.5


def _signs(count: int) -> Tensor:
    """1 or -1, from the high bit of a linear congruential sequence, which no library can change."""
    state, signs = 1, list[float]()
    for _ in range(count):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        signs.append(1.0 if state >> 63 else -1.0)
    return torch.tensor(signs)
