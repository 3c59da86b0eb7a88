"""The page tower as a processor takes it: one row of steps in bf16, without gradients.

The same functions as the layers they are made of. Products are of few sizes, because oneDNN compiles code for each and
keeps little of it. The weights of a norm are part of those of the product after it, which leaves one number a step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.filter import short_filter
from kernels.ssd import bidirectional_ssd
from models.local.layers.attention import HEAD_WIDTH, SHARPNESS, AttentionLayer
from models.local.layers.scan import ScanLayer

ROWS = 512
SIZES = 64
"""Steps are filled up to a multiple of it before they are multiplied."""
EPS, SHORTEST = 1e-5, 1e-12


class QuickScan(nn.Module):
    """What a ScanLayer does with one row. mask: not looked at, because a row alone has no padding."""

    def __init__(self, layer: ScanLayer) -> None:
        super().__init__()
        self.inner, self.state, self.heads, self.block = layer.inner, layer.state, layer.heads, layer.block
        weight = (layer.project.weight.float() * layer.norm.weight).bfloat16()
        parts = weight.split([self.inner, self.inner + 2 * self.state, 2 * self.heads])
        self.gate, self.local, self.step = (part.T.contiguous() for part in parts)
        self.out = (layer.out.weight.float() * layer.out_norm.weight).bfloat16().T.contiguous()
        self.taps, self.tap_bias = layer.taps.bfloat16(), layer.tap_bias.bfloat16()
        self.rates, self.skip, self.dt_bias = -torch.exp(layer.a_log.float()), layer.skip, layer.dt_bias

    def forward(self, u: Tensor, mask: Tensor | None) -> Tensor:
        """u: fp32 [1, time, dim]."""
        time, rows = u.shape[1], u[0]
        h = _normed(rows)
        gate = F.silu(_product(h, self.gate), inplace=True)
        # What is filled up is 0, as the filter sees what lies beyond a row.
        local = short_filter(_product(h, self.local)[None], self.taps, self.tap_bias)[:, :time]
        x, b, c = local.split([self.inner, self.state, self.state], dim=-1)
        step = _product(h, self.step)[None, :time]
        dt = step.view(1, time, 2, self.heads)
        y = bidirectional_ssd(
            x.unflatten(-1, (self.heads, HEAD_WIDTH)),
            b,
            c,
            dt[:, :, 0],
            dt[:, :, 1],
            self.rates,
            skip=self.skip,
            dt_bias=self.dt_bias,
            block=self.block,
        )
        mixed = gate[:time].mul_(y.view(time, self.inner))
        return torch.addcmul(rows, _product(gate, self.out)[:time], _factors(mixed))[None]


class QuickAttention(nn.Module):
    """What an AttentionLayer does with one row. mask: as of QuickScan."""

    def __init__(self, layer: AttentionLayer) -> None:
        super().__init__()
        self.heads, self.window = layer.heads, layer.window
        self.scale = torch.tensor([SHARPNESS, 1.0])[:, None, None]
        self.qkv = (layer.qkv.weight.float() * layer.norm.weight).bfloat16().T.contiguous()
        self.out = layer.out.weight.bfloat16().T.contiguous()
        self.up = (layer.up.weight.float() * layer.mlp_norm.weight).bfloat16().T.contiguous()
        self.down = layer.down.weight.bfloat16().T.contiguous()
        self.up_bias, self.down_bias = layer.up.bias.bfloat16(), layer.down.bias.bfloat16()

    def forward(self, u: Tensor, mask: Tensor | None) -> Tensor:
        """u: fp32 [1, time, dim]."""
        time, rows = u.shape[1], u[0]
        qkv = _product(_normed(rows), self.qkv)[:time]
        mixed = torch.cat([self._look(window) for window in qkv.split(self.window or time)])
        rows = rows + _product(_even(mixed), self.out)[:time]
        h = F.gelu(_product(_normed(rows), self.up, self.up_bias))
        return (rows + _product(h, self.down, self.down_bias)[:time])[None]

    def _look(self, qkv: Tensor) -> Tensor:
        """[steps, 3 * dim] -> [steps, dim]: what each step gathers from all of them."""
        queries_keys, values = qkv.view(-1, 3, self.heads, HEAD_WIDTH).split((2, 1), dim=1)
        length = torch.linalg.vector_norm(queries_keys, dim=-1, keepdim=True, dtype=torch.float32)
        units = qkv.new_empty(2, self.heads, len(qkv), HEAD_WIDTH)
        torch.mul(queries_keys, self.scale / length.clamp_(min=SHORTEST), out=units.permute(2, 0, 1, 3))
        share = torch.bmm(units[0], units[1].transpose(1, 2)).softmax(-1)
        return torch.bmm(share, values[:, 0].transpose(0, 1)).transpose(0, 1).flatten(1)


class QuickLinear(nn.Module):
    """What a Linear does with the steps of one row."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = layer.weight.bfloat16().T.contiguous()
        self.bias = None if layer.bias is None else layer.bias.bfloat16()

    def forward(self, u: Tensor) -> Tensor:
        """[1, time, dim] -> bf16 [1, time, columns]."""
        return _product(_even(u[0].bfloat16()), self.weight, self.bias)[None, : u.shape[1]]


FORMS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    ScanLayer: QuickScan,
    AttentionLayer: QuickAttention,
    nn.Linear: QuickLinear,
}


def make_quick(tower: nn.Module) -> None:
    """Puts in the place of every layer of `tower` the form that a processor takes, where there is one."""
    for name, child in tower.named_children():
        form = FORMS.get(type(child))
        if form is None:
            make_quick(child)
        else:
            setattr(tower, name, form(child))


def parts(time: int) -> list[int]:
    """How many steps are multiplied at a time: ROWS, then halves of it down to SIZES. Together `time` or, filled up, a
    little more."""
    size, left, counts = ROWS, time, list[int]()
    while left > 0:
        while size > SIZES and left <= size - SIZES:
            size //= 2
        counts.append(size)
        left -= size
    return counts


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """bf16 [n, width] with [width, columns] -> [n, columns], where n is a multiple of SIZES."""
    out = rows.new_empty(len(rows), weight.shape[1])
    counts = parts(len(rows))
    for some, into in zip(rows.split(counts), out.split(counts), strict=True):
        if bias is None:
            torch.mm(some, weight, out=into)
        else:
            torch.addmm(bias, some, weight, out=into)
    return out


def _factors(rows: Tensor) -> Tensor:
    """[n, width] -> fp32 [n, 1], what a norm multiplies each row by. Some rows at a time, so that what is made of them
    in fp32 stays in a core's cache."""
    some = rows.split(ROWS)
    length = torch.cat([torch.linalg.vector_norm(part, dim=-1, keepdim=True, dtype=torch.float32) for part in some])
    return torch.rsqrt(length.square_().div_(rows.shape[-1]).add_(EPS))


def _normed(rows: Tensor) -> Tensor:
    """Rows times their factors in bf16, filled up."""
    return _even((rows * _factors(rows)).bfloat16())


def _even(rows: Tensor) -> Tensor:
    """Filled up with zeros to a multiple of SIZES."""
    short = -len(rows) % SIZES
    return F.pad(rows, (0, 0, 0, short)) if short else rows
