"""The definition of the bidirectional scan: a loop over time in plain PyTorch. Slow, and the truth."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_LOG_DECAY = -20.0
"""One step's log decay a * dt is never below this, on every path: exp(-20) is nothing beside one, and the
bound keeps sums over a chunk exact enough in fp32. The gradient is zero where the bound holds."""


def ssd_reference(
    x: Tensor,
    b: Tensor,
    c: Tensor,
    dt_forward: Tensor,
    dt_backward: Tensor,
    a: Tensor,
    skip: Tensor | None = None,
    gaps: Tensor | None = None,
    gap_rate: Tensor | None = None,
) -> Tensor:
    """y_t = C_t (h_t + g_t) + skip x_t, with h from the left and g from the right; shapes as in the door.

    h_t = exp(max(a dt_t + gap_rate gap_t, -20)) h_{t-1} + dt_t x_t B_t^T, g the mirror. Both count the term of t
    itself, each with its own dt. Works in the widest type of its inputs, so fp64 in gives fp64 throughout.
    """
    kind = torch.promote_types(x.dtype, dt_forward.dtype)
    xs, bs, cs = x.to(kind), b.to(kind), c.to(kind)
    time = x.shape[1]
    total = torch.zeros_like(xs)
    for direction, dt in enumerate((dt_forward, dt_backward)):
        log = dt.to(kind) * a[direction].to(kind)
        if gaps is not None and gap_rate is not None:
            log = log + gaps[direction, ..., None].to(kind) * gap_rate[direction].to(kind)
        order = range(time) if direction == 0 else range(time - 1, -1, -1)
        total = total + _scan(xs, bs, cs, dt.to(kind), torch.exp(log.clamp(min=LEAST_LOG_DECAY)), order)
    if skip is not None:
        total = total + xs * skip.to(kind)[:, None]
    return total.to(x.dtype)


def _scan(x: Tensor, b: Tensor, c: Tensor, dt: Tensor, decay: Tensor, order: range) -> Tensor:
    batch, time, heads, width = x.shape
    state = x.new_zeros(batch, heads, width, b.shape[-1])
    out: list[Tensor] = [x.new_zeros(batch, heads, width)] * time
    for t in order:
        write = (dt[:, t, :, None] * x[:, t])[..., None] * b[:, t, None, None, :]
        state = decay[:, t, :, None, None] * state + write
        out[t] = (state * c[:, t, None, None, :]).sum(-1)
    return torch.stack(out, dim=1) if time else torch.zeros_like(x)
