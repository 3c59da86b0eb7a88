"""Launch of the Triton delta rule: two kernels and the sum of both directions."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from kernels.delta.kernels import solve_kernel, walk_kernel
from kernels.launch import operator, precision, together

CHUNK, WARPS = 64, 4
STAGES = {True: 2, False: 1}
"""16-bit inputs -> depth of the walk's prefetch; fp32 tiles of 128 states leave shared memory for one."""


@operator("delta_forward")
def delta_forward(
    v: Tensor,
    k: Tensor,
    q: Tensor,
    beta_forward: Tensor,
    beta_backward: Tensor,
    decay_forward: Tensor,
    decay_backward: Tensor,
) -> Tensor:
    """The door's operator on checked inputs, gates in fp32 [batch, time, heads]."""
    batch, time, heads, width = v.shape
    rows, state = batch * time, k.shape[-1]
    flat_v = together(v.reshape(rows, heads, width))
    flat_k, flat_q = together(k.reshape(rows, state)), together(q.reshape(rows, state))
    beta, decay = (torch.stack([t.reshape(rows, heads).T for t in pair]).contiguous()
                   for pair in ((beta_forward, beta_backward), (decay_forward, decay_backward)))  # fmt: skip
    written = torch.empty((2, heads, rows, width), dtype=v.dtype, device=v.device)
    read = torch.empty((2, heads, rows, state), dtype=v.dtype, device=v.device)
    sums = torch.empty((2, heads, rows), dtype=torch.float32, device=v.device)
    y = torch.empty((2, batch, time, heads, width), dtype=v.dtype, device=v.device)
    sizes = {"Q": CHUNK, "P": width, "N": state, "PRECISION": precision(v)}
    solve_kernel[(batch * triton.cdiv(time, CHUNK), 2 * heads)](
        flat_v, flat_k, beta, decay, written, read, sums, rows, time, heads,
        flat_v.stride(0), flat_v.stride(1), flat_k.stride(0), num_warps=WARPS, **sizes,
    )  # fmt: skip
    walk_kernel[(batch, 2 * heads)](
        flat_k, flat_q, written, read, sums, y, rows, time, heads,
        flat_k.stride(0), flat_q.stride(0), num_warps=WARPS, num_stages=STAGES[v.element_size() == 2], **sizes,
    )  # fmt: skip
    return y[0] + y[1]


@torch.library.register_fake("claimsight::delta_forward")
def _(
    v: Tensor,
    k: Tensor,
    q: Tensor,
    beta_forward: Tensor,
    beta_backward: Tensor,
    decay_forward: Tensor,
    decay_backward: Tensor,
) -> Tensor:
    return torch.empty(v.shape, dtype=v.dtype, device=v.device)
