"""A convolution over tiles against the convolution, where it is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.local.layers.tiles import TILE, TILES, Tiles
from tests.kernels.accuracy import close

ROUNDING = 1e-5
"""Relative error in fp32."""


def convolution() -> nn.Conv2d:
    torch.manual_seed(4)
    return nn.Conv2d(32, 24, 3, 1, 1)


@pytest.mark.parametrize("rows", [1, TILE, 3 * TILE + 1, 40])
@pytest.mark.parametrize("columns", [2, TILE + 3, 64])
def test_everywhere(rows: int, columns: int) -> None:
    layer = convolution()
    x = torch.randn(1, 32, rows, columns)
    with torch.inference_mode():
        made = Tiles(layer)(x[0].permute(1, 2, 0), torch.ones(rows, columns, dtype=torch.bool))
        close("places", made, layer(x)[0].permute(1, 2, 0), ROUNDING)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5])
def test_right_where_it_is_wanted_and_nothing_far_from_there(share: float) -> None:
    layer = convolution()
    rows, columns = 8 * TILE + 1, 2 * TILES
    x = torch.randn(1, 32, rows, columns)
    wanted = torch.rand(rows, columns) < share
    wanted[-1, -1] = True
    with torch.inference_mode():
        made, whole = Tiles(layer)(x[0].permute(1, 2, 0), wanted), layer(x)[0].permute(1, 2, 0)
    close("places", made[wanted], whole[wanted], ROUNDING)
    for row in range(0, rows, TILE):
        for column in range(0, columns, TILE):
            tile = slice(row, row + TILE), slice(column, column + TILE)
            assert wanted[tile].any() or not made[tile].any()


def test_what_lies_around_the_places_that_count_changes_no_more_than_rounding() -> None:
    """Places that nobody asked for are left at 0 by the layer before."""
    layer = convolution()
    x = torch.randn(1, 32, 16, 16)
    kept = x.clone()
    kept[..., 7:, :] = 0.0
    wanted = torch.zeros(16, 16, dtype=torch.bool)
    wanted[:6] = True
    with torch.inference_mode():
        made, whole = (Tiles(layer)(one[0].permute(1, 2, 0), wanted)[wanted] for one in (kept, x))
    close("places", made, whole, ROUNDING)
