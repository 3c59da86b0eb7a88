"""Layers as a processor takes them against the layers they are made of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.local.layers import AttentionLayer, ScanLayer, make_quick
from models.local.layers.quick import ROWS
from tests.kernels.accuracy import close

DIM, WINDOW = 64, 48
TIMES = [1, 63, 64, 65, WINDOW * 3, ROWS, ROWS + 1, ROWS + 130]
HALF = 1e-2
"""Relative error of what a layer adds: of rounding to bf16 after each product."""


def trained(layer: nn.Module) -> nn.Module:
    """Weights of norms and biases other than those they begin with, which would hide that one was forgotten."""
    generator = torch.Generator().manual_seed(3)
    for parameter in layer.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(torch.rand(parameter.shape, generator=generator) * 0.5)
    return layer.eval()


def quick(layer: nn.Module) -> nn.Module:
    """The form that stands in the place of a layer."""
    tower = nn.ModuleList([layer])
    make_quick(tower)
    assert tower[0] is not layer
    return tower[0]


def assert_alike(layer: nn.Module, time: int) -> None:
    u = torch.randn(1, time, DIM, generator=torch.Generator().manual_seed(time)) * 3
    given = u.clone()
    with torch.inference_mode():
        added: list[Tensor] = [one(u, None) - u for one in (quick(layer), layer)]
    assert torch.equal(u, given)
    close("added", *added, HALF)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("state", [16, 32])
def test_scan(time: int, state: int) -> None:
    torch.manual_seed(1)
    assert_alike(trained(ScanLayer(DIM, state=state)), time)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("window", [None, WINDOW])
def test_attention(time: int, window: int | None) -> None:
    torch.manual_seed(2)
    assert_alike(trained(AttentionLayer(DIM, window=window)), time)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("bias", [True, False])
def test_product(time: int, bias: bool) -> None:
    torch.manual_seed(3)
    layer = nn.Linear(DIM, 24, bias=bias)
    u = torch.randn(1, time, DIM)
    with torch.inference_mode():
        close("product", quick(layer)(u), layer(u), HALF)


def test_a_product_of_no_rows() -> None:
    with torch.inference_mode():
        assert quick(nn.Linear(DIM, 24))(torch.zeros(1, 0, DIM)).shape == (1, 0, 24)


def test_what_has_no_such_form_stays_and_is_looked_into() -> None:
    inner = nn.Sequential(nn.Linear(DIM, 2), nn.ReLU())
    make_quick(nn.ModuleList([inner]))
    assert not isinstance(inner[0], nn.Linear)
    assert isinstance(inner[1], nn.ReLU)
