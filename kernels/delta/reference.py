"""The definition of the bidirectional gated delta rule: a loop over time in plain PyTorch. Slow, and the truth."""

from __future__ import annotations

import torch
from torch import Tensor


def delta_reference(
    v: Tensor,
    k: Tensor,
    q: Tensor,
    beta_forward: Tensor,
    beta_backward: Tensor,
    decay_forward: Tensor,
    decay_backward: Tensor,
) -> Tensor:
    """Shapes as in the door. Works in the widest type of its inputs, so fp64 in gives fp64 throughout."""
    kind = torch.promote_types(v.dtype, beta_forward.dtype)
    vs, ks, qs = v.to(kind), k.to(kind), q.to(kind)
    time = v.shape[1]
    total = _scan(vs, ks, qs, beta_forward.to(kind), decay_forward.to(kind), range(time))
    total = total + _scan(vs, ks, qs, beta_backward.to(kind), decay_backward.to(kind), range(time - 1, -1, -1))
    return total.to(v.dtype)


def _scan(v: Tensor, k: Tensor, q: Tensor, beta: Tensor, decay: Tensor, order: range) -> Tensor:
    batch, time, heads, width = v.shape
    state = v.new_zeros(batch, heads, width, k.shape[-1])
    out: list[Tensor] = [v.new_zeros(batch, heads, width)] * time
    for t in order:
        key = k[:, t, None, None, :]
        state = torch.exp(decay[:, t])[..., None, None] * state
        wrong = v[:, t] - (state * key).sum(-1)
        state = state + (beta[:, t, :, None] * wrong)[..., None] * key
        out[t] = (state * q[:, t, None, None, :]).sum(-1)
    return torch.stack(out, dim=1) if time else torch.zeros_like(v)
