"""Short filter over neighbouring steps with silu: the door. Formula, layout and figures: ../README.md."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.dispatch import choose
from kernels.filter.reference import short_filter_reference

__all__ = ["short_filter"]

KERNEL_TYPES = (torch.bfloat16, torch.float16, torch.float32)


def short_filter(u: Tensor, taps: Tensor, bias: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """silu(taps_0 u_{t-1} + taps_1 u_t + taps_2 u_{t+1} + bias), channel by channel; steps outside a row count as 0.

    u: float [batch, time, channels]. taps: float [3, channels]. bias: float [channels]. mask: bool [batch, time];
    a masked step is seen as 0 by its neighbours and gives 0. On the GPU everything inside is fp32.
    Returns the shape and type of u; differentiable in u, taps and bias. Raises ValueError on shapes that do not fit.
    """
    if u.ndim != 3 or taps.shape != (3, u.shape[-1]) or bias.shape != u.shape[-1:]:
        raise ValueError(
            f"need [batch, time, channels], [3, channels] and [channels], got {u.shape}, {taps.shape}, {bias.shape}"
        )
    if mask is not None and mask.shape != u.shape[:2]:
        raise ValueError(f"mask must be {list(u.shape[:2])}, got {list(mask.shape)}")
    if choose(u, fits=u.dtype in KERNEL_TYPES and u.numel() > 0) == "reference":
        return short_filter_reference(u, taps, bias, mask)
    from kernels.filter.triton import filter_forward

    batch, time, channels = u.shape
    keep = None if mask is None else mask.reshape(-1)
    return filter_forward(u.reshape(batch * time, channels), taps, bias, keep, time).view(u.shape)
