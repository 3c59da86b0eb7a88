"""The short filter in plain PyTorch: the truth, and the path on a CPU."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def short_filter_reference(u: Tensor, taps: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    on = None if mask is None else mask[..., None].to(u.dtype)
    around = F.pad(u if on is None else u * on, (0, 0, 1, 1))
    taps, bias = taps.to(u.dtype), bias.to(u.dtype)
    mixed = around[:, :-2] * taps[0] + around[:, 1:-1] * taps[1] + around[:, 2:] * taps[2]
    out = F.silu(mixed + bias)
    return out if on is None else out * on
