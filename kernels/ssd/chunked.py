"""The scan as matrix products over chunks: the path for every device without Triton where gradients are wanted.

The decays go into the small operands, so x is read once and y written once. With Q tokens a chunk, N states and P
channels a head, all heads and chunks in one batched product each (Dao and Gu, "Transformers are SSMs", 2024, 6):

    left   = [B w_f | B w_b]^T X                   2N x P, what a chunk adds to both states
    enter  = carry left                            one small matrix of decays a head and direction, over chunks
    Y      = (decay * C B^T) X + [C r_f | C r_b] enter

C B^T is shared by the heads and serves both directions: its lower triangle looks back, its upper one ahead.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.ssd.reference import LEAST_LOG_DECAY

WEIGHTS = 1 << 19
"""Weights of pairs made at a time: 2 MB in fp32 stay in a core's cache between the few passes over them."""


def ssd_chunked(
    x: Tensor,
    b: Tensor,
    c: Tensor,
    dt_forward: Tensor,
    dt_backward: Tensor,
    a: Tensor,
    skip: Tensor | None = None,
    gaps: Tensor | None = None,
    gap_rate: Tensor | None = None,
    *,
    block: int = 64,
) -> Tensor:
    """The same function as `ssd_reference`, for any length of time; `block` changes only the speed."""
    batch, time, heads, width = x.shape
    if time == 0 or batch == 0:
        return torch.zeros_like(x)
    short = -time % block
    if short:
        # Steps with dt = 0 neither write nor forget, so padding is exact.
        x = F.pad(x, (0, 0, 0, 0, 0, short))
        b, c = F.pad(b, (0, 0, 0, short)), F.pad(c, (0, 0, 0, short))
        dt_forward, dt_backward = F.pad(dt_forward, (0, 0, 0, short)), F.pad(dt_backward, (0, 0, 0, short))
        gaps = None if gaps is None else F.pad(gaps, (0, short))
    count, state, kind = x.shape[1] // block, b.shape[-1], x.dtype
    b, c = b.reshape(batch, 1, count, block, state), c.reshape(batch, 1, count, block, state)
    xs = x.reshape(batch, count, block, heads, width).permute(0, 3, 1, 2, 4).contiguous()
    steps = torch.stack((dt_forward, dt_backward)).reshape(2, batch, count, block, heads)
    steps = steps.permute(0, 1, 4, 2, 3).contiguous()
    logs = steps * a[:, None, :, None, None]
    if gaps is not None and gap_rate is not None:
        logs = logs + gaps.reshape(2, batch, 1, count, block) * gap_rate[:, None, :, None, None]
    logs = logs.clamp(min=LEAST_LOG_DECAY)
    until = logs.cumsum(-1)
    sum_f, sum_b, whole = until[0], until[1] - logs[1], until[..., -1]

    # The token's own term of the mirrored scan, and the skip, lie on the diagonal.
    own = (c * b).sum(-1) * steps[1]
    if skip is not None:
        own = own + skip[:, None, None]
    read = None if count == 1 else _both(c, torch.exp(sum_f), torch.exp((whole[1, ..., None] - sum_b).clamp(max=0.0)))
    enter = None if count == 1 else _entering(xs, b, steps, sum_f, sum_b, whole)
    scores = c @ b.transpose(-1, -2)
    each = max(1, WEIGHTS // (batch * heads * block * block))
    total = x.new_empty(batch, count, block, heads, width)
    for k in range(0, count, each):
        part = slice(k, k + each)
        weight = _inside(scores[:, :, part], steps[:, :, :, part], sum_f[:, :, part], sum_b[:, :, part])
        weight.diagonal(dim1=-2, dim2=-1).add_(own[:, :, part])
        y = weight.to(kind) @ xs[:, :, part]
        if read is not None and enter is not None:
            y = y + read[:, :, part] @ enter[:, :, part]
        total[:, part] = y.permute(0, 2, 3, 1, 4)
    return total.view(batch, count * block, heads, width)[:, :time]


def _both(vectors: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """[batch, 1, count, block, state] weighted for each head and direction: [..., heads, count, block, 2 * state]."""
    return torch.cat((vectors * forward[..., None], vectors * backward[..., None]), dim=-1).to(vectors.dtype)


def _inside(scores: Tensor, steps: Tensor, sum_f: Tensor, sum_b: Tensor) -> Tensor:
    """Weights [batch, heads, count, i, j] of the terms of a chunk, but for the second copy of the own term."""
    step = torch.arange(scores.shape[-1], device=scores.device)
    back = step[:, None] >= step
    gap = torch.where(back, sum_f[..., :, None] - sum_f[..., None, :], sum_b[..., None, :] - sum_b[..., :, None])
    # The exponent is chosen by triangle before exp: the wrong one would overflow, and inf * 0 is NaN going back.
    return torch.exp(gap.clamp(max=0.0)) * torch.where(back, steps[0, ..., None, :], steps[1, ..., None, :]) * scores


def _entering(xs: Tensor, b: Tensor, steps: Tensor, sum_f: Tensor, sum_b: Tensor, whole: Tensor) -> Tensor:
    """Both states that enter each chunk: [batch, heads, count, 2 * state, width]."""
    (batch, heads, count, _, width), state = xs.shape, b.shape[-1]
    written = torch.exp((whole[0, ..., None] - sum_f).clamp(max=0.0)) * steps[0], torch.exp(sum_b) * steps[1]
    left = _both(b, *written).transpose(-1, -2) @ xs
    carry = torch.exp(gaps_between(whole)).to(xs.dtype)
    halves = left.split(state, dim=-2)
    entered = [carry[i] @ half.reshape(batch, heads, count, state * width) for i, half in enumerate(halves)]
    return torch.cat([e.view(batch, heads, count, state, width) for e in entered], dim=-2)


def gaps_between(whole: Tensor) -> Tensor:
    """[2, ..., count], sums of log decays over the chunks in each direction -> [2, ..., count, count]: log decay from
    the end of a chunk (the last index) to the beginning of the one that is entered, -inf where nothing comes from."""
    index = torch.arange(whole.shape[-1], device=whole.device)
    # In fp64: over a long row the sums grow to thousands, and the gap between neighbours is a small difference.
    end = whole.double().cumsum(-1)
    begin = end - whole
    gap_f = begin[0, ..., :, None] - end[0, ..., None, :]
    gap_b = begin[1, ..., None, :] - end[1, ..., :, None]
    gaps = torch.stack((gap_f.masked_fill(index[:, None] <= index, -torch.inf),
                        gap_b.masked_fill(index[:, None] >= index, -torch.inf)))  # fmt: skip
    return gaps.clamp(max=0.0).to(whole.dtype)
