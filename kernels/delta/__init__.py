"""Bidirectional gated delta rule: the door. Formula, layout and figures: ../README.md.

The second state space model that the encoder may be built of; the scan's own is kernels.ssd.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.delta.chunked import delta_chunked
from kernels.delta.reference import delta_reference
from kernels.dispatch import choose

__all__ = ["bidirectional_delta", "delta_chunked", "delta_reference"]

KERNEL_TYPES = (torch.bfloat16, torch.float16, torch.float32)
KERNEL_STATES = (16, 32, 64, 128)
KERNEL_WIDTHS = (16, 32, 64, 128)


def bidirectional_delta(
    v: Tensor,
    k: Tensor,
    q: Tensor,
    beta_forward: Tensor,
    beta_backward: Tensor,
    decay_forward: Tensor,
    decay_backward: Tensor,
    *,
    mask: Tensor | None = None,
    block: int = 64,
) -> Tensor:
    """y_t = (S_t + Z_t) q_t, with S_t = e^g_t S_{t-1} + beta_t (v_t - e^g_t S_{t-1} k_t) k_t^T and Z the mirror.

    Where the scan adds to its state, the delta rule first takes away what the state already answers for k_t. Both
    directions count the term of t itself, each with its own beta and g. Differentiable in every float input; a
    differentiable call takes the PyTorch path.

    v: [batch, time, heads, width]. k, q: [batch, time, state], shared by the heads, in the type of v; the rule is
    stable while beta |k|^2 <= 2, so k should have length 1. beta_*: [batch, time, heads], 0..1. decay_*: fp32
    [batch, time, heads], the logarithms g <= 0. mask: bool [batch, time]; a masked step has beta = 0 and g = 0 and
    gives 0. block: steps a chunk on the PyTorch path.
    Returns [batch, time, heads, width] in the type of v. Raises ValueError on shapes that do not fit.
    """
    _check(v, k, q, mask, (beta_forward, beta_backward, decay_forward, decay_backward))
    gates = [g.to(torch.promote_types(g.dtype, torch.float32)) for g in (beta_forward, beta_backward,
                                                                          decay_forward, decay_backward)]  # fmt: skip
    if mask is not None:
        gates = [g.masked_fill(~mask[..., None], 0.0) for g in gates]
    learns = torch.is_grad_enabled() and any(t.requires_grad for t in (v, k, q, *gates))
    fits = v.dtype in KERNEL_TYPES and v.shape[-1] in KERNEL_WIDTHS and k.shape[-1] in KERNEL_STATES
    if not learns and choose(v, fits=fits and v.numel() > 0) == "triton":
        from kernels.delta.triton import delta_forward

        y = delta_forward(v, k, q, *gates)
    else:
        with torch.autocast(v.device.type, enabled=False):
            y = delta_chunked(v, k, q, gates[0], gates[1], gates[2], gates[3], block=block)
    return y if mask is None else y.masked_fill(~mask[..., None, None], 0.0)


def _check(v: Tensor, k: Tensor, q: Tensor, mask: Tensor | None, gates: tuple[Tensor, ...]) -> None:
    if v.ndim != 4 or k.ndim != 3 or k.shape[:2] != v.shape[:2] or q.shape != k.shape:
        raise ValueError(
            f"need [batch, time, heads, width] and two [batch, time, state], got {v.shape}, {k.shape}, {q.shape}"
        )
    if any(gate.shape != v.shape[:3] for gate in gates):
        raise ValueError(f"beta and decay must be {list(v.shape[:3])}, got {[list(gate.shape) for gate in gates]}")
    if k.dtype != v.dtype or q.dtype != v.dtype:
        raise ValueError(f"k and q must have the type of v, got {k.dtype}, {q.dtype} and {v.dtype}")
    if mask is not None and mask.shape != v.shape[:2]:
        raise ValueError(f"mask must be {list(v.shape[:2])}, got {list(mask.shape)}")
