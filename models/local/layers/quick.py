"""The layers of the page tower as a processor takes them: one row of steps in bf16, without gradients.

The same functions as the layers they are made of. Whatever looks at one step alone is done for ROWS steps at a time, so
that a core's cache holds them from the first product to the last, and in products of few sizes, because oneDNN compiles
code for each. Norms are left of a product what its weights can take in, and right of it one number a step.
"""

from __future__ import annotations

from collections.abc import Iterator

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
        gate, local, step = (_filled(time, weight.shape[1]) for weight in (self.gate, self.local, self.step))
        for part in _parts(time):
            h = _product_form(rows[part], _lengths(rows[part]))
            torch.mm(h, self.local, out=local[part.start : part.start + len(h)])
            torch.mm(h, self.step, out=step[part.start : part.start + len(h)])
            F.silu(torch.mm(h, self.gate, out=gate[part.start : part.start + len(h)]), inplace=True)
        x, b, c = short_filter(local[None, :time], self.taps, self.tap_bias).split(
            [self.inner, self.state, self.state], dim=-1
        )
        dt = step[None, :time].view(1, time, 2, self.heads)
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
        ).view(time, self.inner)
        after = torch.empty_like(rows)
        for part in _parts(time):
            mixed = gate[part] * y[part]
            length = _lengths(mixed)
            torch.addcmul(rows[part], torch.mm(_even(mixed), self.out)[: len(mixed)], length, out=after[part])
        return after[None]


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
        qkv = _filled(time, self.qkv.shape[1])
        for part in _parts(time):
            h = _product_form(rows[part], _lengths(rows[part]))
            torch.mm(h, self.qkv, out=qkv[part.start : part.start + len(h)])
        mixed = torch.cat([self._look(window) for window in qkv[:time].split(self.window or time)])
        after = torch.empty_like(rows)
        for part in _parts(time):
            v = rows[part] + torch.mm(_even(mixed[part]), self.out)[: len(rows[part])]
            h = F.gelu(torch.addmm(self.up_bias, _product_form(v, _lengths(v)), self.up))
            torch.add(v, torch.addmm(self.down_bias, h, self.down)[: len(v)], out=after[part])
        return after[None]

    def _look(self, qkv: Tensor) -> Tensor:
        """[steps, 3 * dim] -> [steps, dim]: what each step gathers from all of them."""
        queries_keys, values = qkv.view(-1, 3, self.heads, HEAD_WIDTH).split((2, 1), dim=1)
        length = torch.linalg.vector_norm(queries_keys, dim=-1, keepdim=True, dtype=torch.float32)
        units = qkv.new_empty(2, self.heads, len(qkv), HEAD_WIDTH)
        torch.mul(queries_keys, self.scale / length.clamp_(min=SHORTEST), out=units.permute(2, 0, 1, 3))
        share = torch.bmm(units[0], units[1].transpose(1, 2)).softmax(-1)
        return torch.bmm(share, values[:, 0].transpose(0, 1)).transpose(0, 1).flatten(1)


def quick(layer: nn.Module) -> nn.Module:
    """The layer as a processor takes it. Raises TypeError for a kind of layer that has no such form."""
    if isinstance(layer, ScanLayer):
        return QuickScan(layer)
    if isinstance(layer, AttentionLayer):
        return QuickAttention(layer)
    raise TypeError(f"{type(layer).__name__} has no form for a processor")


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


def _parts(time: int) -> Iterator[slice]:
    start = 0
    for count in parts(time):
        yield slice(start, min(start + count, time))
        start += count


def _filled(time: int, width: int) -> Tensor:
    """Room for bf16 [time, width] and what fills it up."""
    return torch.empty(time + -time % SIZES, width, dtype=torch.bfloat16)


def _lengths(rows: Tensor) -> Tensor:
    """[rows, width] -> fp32 [rows, 1], what a norm multiplies each row by."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True, dtype=torch.float32)
    return torch.rsqrt(length.square_().div_(rows.shape[-1]).add_(EPS))


def _product_form(rows: Tensor, factor: Tensor) -> Tensor:
    """rows * factor in bf16, filled up."""
    return _even((rows * factor).bfloat16())


def _even(rows: Tensor) -> Tensor:
    """Filled up with zeros to a multiple of SIZES."""
    short = -len(rows) % SIZES
    return F.pad(rows, (0, 0, 0, short)) if short else rows
