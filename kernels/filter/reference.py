"""The short filter in plain PyTorch: the truth, and the path on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def short_filter_reference(u: Tensor, taps: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    on = None if mask is None else mask[..., None].to(u.dtype)
    # As pictures one row high, channels last: of the convolutions of a CPU the quick one.
    rows = (u if on is None else u * on).transpose(1, 2).unsqueeze(2)
    weight = taps.t()[:, None, None].to(u.dtype)
    mixed = F.conv2d(rows, weight, bias.to(u.dtype), padding=(0, 1), groups=u.shape[-1])
    # In place where nobody asks for gradients: new memory of that size takes longer to write than to compute.
    out = F.silu(mixed.squeeze(2).transpose(1, 2), inplace=not torch.is_grad_enabled())
    return out if on is None else out * on
