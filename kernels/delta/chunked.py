"""The gated delta rule as matrix products over chunks (Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2024).

Inside a chunk of Q tokens, with sums s of the log decays and D_ij = exp(s_i - s_j):

    A = strictly lower part of  beta_i D_ij (k_i . k_j)
    [U | W] = (I + A)^-1 [beta V | beta e^s K]
    V' = U - W S                                   what each token really writes, S the entering state
    Y  = e^s Q S + (lower part of D_ij (q_i . k_j)) V'
    S' = e^s_last S + (e^(s_last - s) K)^T V'

The inverse is a triangular solve. Products of k and q are shared by the heads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def delta_chunked(
    v: Tensor,
    k: Tensor,
    q: Tensor,
    beta_forward: Tensor,
    beta_backward: Tensor,
    decay_forward: Tensor,
    decay_backward: Tensor,
    *,
    block: int = 64,
) -> Tensor:
    """The same function as `delta_reference`, for any length of time; `block` changes only the speed."""
    if v.shape[1] == 0 or v.shape[0] == 0:
        return torch.zeros_like(v)
    kind = torch.promote_types(v.dtype, torch.float32)
    v_, k_, q_ = v.to(kind), k.to(kind), q.to(kind)
    y = _one_way(v_, k_, q_, beta_forward.to(kind), decay_forward.to(kind), block)
    beta, decay = beta_backward.to(kind).flip(1), decay_backward.to(kind).flip(1)
    return (y + _one_way(v_.flip(1), k_.flip(1), q_.flip(1), beta, decay, block).flip(1)).to(v.dtype)


def _one_way(v: Tensor, k: Tensor, q: Tensor, beta: Tensor, decay: Tensor, block: int) -> Tensor:
    batch, time, heads, width = v.shape
    short = -time % block
    if short:
        # Steps with beta = 0 and g = 0 neither write nor forget, so padding is exact.
        v, beta, decay = F.pad(v, (0, 0, 0, 0, 0, short)), F.pad(beta, (0, 0, 0, short)), F.pad(decay, (0, 0, 0, short))
        k, q = F.pad(k, (0, 0, 0, short)), F.pad(q, (0, 0, 0, short))
    count, state = v.shape[1] // block, k.shape[-1]
    k, q = k.reshape(batch, 1, count, block, state), q.reshape(batch, 1, count, block, state)
    v = v.reshape(batch, count, block, heads, width).permute(0, 3, 1, 2, 4)
    beta, decay = (t.reshape(batch, count, block, heads).permute(0, 3, 1, 2) for t in (beta, decay))
    total = decay.cumsum(-1)
    step = torch.arange(block, device=v.device)
    # The exponent is cut before exp, so that the upper part does not overflow.
    gap = torch.where(step[:, None] >= step, total[..., :, None] - total[..., None, :], -torch.inf)
    reach = torch.exp(gap.clamp(max=0.0))
    strict = (beta[..., None] * reach * (k @ k.mT)).tril(-1)
    grown = torch.exp(total)[..., None]
    right = beta[..., None] * torch.cat((v, (grown * k).expand(*v.shape[:-1], state)), dim=-1)
    solved = torch.linalg.solve_triangular(strict, right, upper=False, unitriangular=True)
    written, read = solved.split([width, state], dim=-1)
    scores = reach * (q @ k.mT)
    asked = grown * q
    left = torch.exp((total[..., -1:] - total).clamp(max=0.0))[..., None] * k
    whole = torch.exp(total[..., -1])[..., None, None]
    held = v.new_zeros(batch, heads, state, width)
    out: list[Tensor] = []
    for c in range(count):
        new = written[:, :, c] - read[:, :, c] @ held
        out.append(asked[:, :, c] @ held + scores[:, :, c] @ new)
        held = whole[:, :, c] * held + left[:, :, c].mT @ new
    y = torch.stack(out, dim=2)
    return y.permute(0, 2, 3, 1, 4).reshape(batch, count * block, heads, width)[:, :time]
