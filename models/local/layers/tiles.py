"""A 3x3 convolution in fp32 as products over tiles: a quarter of the multiplications, and only where it is asked for.

Sixteen results of a tile of 4x4 are sums of 36 products instead of 144 (Winograd, 1980; Lavin and Gray, 2016). What a
processor does in bf16 is done before the sums are made; in fp32 it is not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TILE, SEEN = 4, 6
"""Places of a tile to a side, and places that they depend on."""
TILES = 64
"""Tiles at a time: what is made of them on the way stays in a core's cache."""
SEEN_SUMS = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
KERNEL_SUMS = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
TILE_SUMS = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
"""Along one side: sums of what is seen, of the kernel, and of their products. The points are 0, 1, -1, 2, -2."""


class Tiles(nn.Module):
    """What a convolution of step 1 and padding 1 does. Not in the state dict, for its weights are the convolution's."""

    weight: Tensor
    bias: Tensor
    seen: Tensor
    told: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        assert convolution.bias is not None
        kernel = convolution.weight.detach().double()
        seen, sums, told = (
            torch.tensor(table, dtype=torch.float64, device=kernel.device)
            for table in (SEEN_SUMS, KERNEL_SUMS, TILE_SUMS)
        )
        weight = torch.einsum("ai,bj,oxij->abxo", sums, sums, kernel).flatten(0, 1)
        self.register_buffer("weight", weight.float().contiguous(), persistent=False)
        self.register_buffer("bias", convolution.bias.detach().clone(), persistent=False)
        self.register_buffer("seen", torch.kron(seen, seen).float(), persistent=False)
        self.register_buffer("told", torch.kron(told, told).float(), persistent=False)

    def forward(self, x: Tensor, wanted: Tensor) -> Tensor:
        """fp32 [rows, columns, channels], bool [rows, columns] -> [rows, columns, other channels], right where it is
        wanted; 0 in tiles where it is nowhere."""
        rows, columns, channels = x.shape
        down, across, width = -(-rows // TILE), -(-columns // TILE), len(self.bias)
        below, beyond = down * TILE - rows, across * TILE - columns
        around = F.pad(x, (0, 0, 1, beyond + 1, 1, below + 1))
        line, place, _ = around.stride()
        patches = around.as_strided((SEEN, SEEN, down, across, channels), (line, place, TILE * line, TILE * place, 1))
        made = x.new_zeros(down * TILE, across * TILE, width)
        tiles = made.view(down, TILE, across, TILE, width).permute(1, 3, 0, 2, 4)
        asked = F.pad(wanted, (0, beyond, 0, below)).view(down, TILE, across, TILE).any(3).any(1).nonzero()
        for row, column in (part.unbind(1) for part in asked.split(TILES)):
            sums = (self.seen @ patches[:, :, row, column].view(SEEN**2, -1)).view(SEEN**2, -1, channels)
            results = self.told @ torch.bmm(sums, self.weight).view(SEEN**2, -1)
            tiles[:, :, row, column] = results.view(TILE, TILE, -1, width).add_(self.bias)
        return made[:rows, :columns]
