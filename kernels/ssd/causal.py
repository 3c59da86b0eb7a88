"""What a causal scan has beyond both directions: the part of y that an entering state gives, and the last state.

Both are one product over the whole row, since a decay from or to an end of the row depends on one token alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.ssd.reference import LEAST_LOG_DECAY


def entering_term(c: Tensor, dt: Tensor, a: Tensor, initial: Tensor) -> Tensor:
    """[batch, time, heads, width]: C_t times the entering state, decayed up to t."""
    kind = torch.promote_types(c.dtype, torch.float32)
    seen = torch.einsum("btn,bhpn->bthp", c.to(kind), initial.to(kind))
    return seen * torch.exp(_until(dt, a))[..., None]


def final_state(x: Tensor, b: Tensor, dt: Tensor, a: Tensor, initial: Tensor | None) -> Tensor:
    """[batch, heads, width, state] after the last step, fp32 at least."""
    kind = torch.promote_types(x.dtype, torch.float32)
    until = _until(dt, a)
    whole = until[:, -1:]
    weight = torch.exp((whole - until).clamp(max=0.0)) * dt.to(kind)
    state = torch.einsum("bthp,btn->bhpn", x.to(kind) * weight[..., None], b.to(kind))
    return state if initial is None else state + torch.exp(whole[:, 0])[..., None, None] * initial.to(kind)


def _until(dt: Tensor, a: Tensor) -> Tensor:
    """Sum of the log decays up to and with each step."""
    kind = torch.promote_types(dt.dtype, torch.float32)
    return (dt.to(kind) * a.to(kind)).clamp(min=LEAST_LOG_DECAY).cumsum(1)
