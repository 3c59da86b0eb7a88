"""The scan as matrix products over chunks where no gradient is wanted: the CPU path of a network at work.

The same products as in `chunked.py`, but states go from chunk to chunk one after the other: as products with a matrix
of decays they took a third of a long row's time in fp32. A processor waits for memory rather than for arithmetic:
chunks come before heads, so that a run of chunks is one block of memory, what is made for every pair of steps is made
in place, and powers are of two, which are the quicker.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from kernels.ssd.reference import LEAST_LOG_DECAY

PAIRS = 1 << 18
"""Pairs of steps weighted at a time: 1 MB in fp32 stays in a core's cache between the passes over it."""
_LOG2_E = math.log2(math.e)


@torch.no_grad()
def ssd_inference(
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
    """The same function as `ssd_chunked`, not differentiable."""
    batch, time, heads, width = x.shape
    if time == 0 or batch == 0:
        return torch.zeros_like(x)
    count, kind = -(-time // block), x.dtype
    # Steps that fill the last chunk up have dt = 0: they neither write nor forget.
    bs, cs = (_in_chunks(t, count, block) for t in (b, c))
    steps = _in_chunks(torch.cat((dt_forward, dt_backward)), count, block).transpose(-1, -2)
    steps = steps.unflatten(0, (2, batch)).contiguous()
    logs = steps * (a * _LOG2_E)[:, None, None, :, None]
    if gaps is not None and gap_rate is not None:
        left_out = _in_chunks(gaps.flatten(0, 1), count, block).view(2, batch, count, 1, block)
        logs += left_out * (gap_rate * _LOG2_E)[:, None, None, :, None]
    logs.clamp_(min=LEAST_LOG_DECAY * _LOG2_E)
    until = logs.cumsum(-1)
    sum_f, sum_b, whole = until[0], until[1] - logs[1], until[..., -1]

    xs = x.new_empty(batch, count, heads, block, width)
    whole_chunks = time // block
    xs[:, :whole_chunks] = x[:, : whole_chunks * block].unflatten(1, (-1, block)).transpose(2, 3)
    if whole_chunks < count:
        xs[:, -1, :, : time % block] = x[:, whole_chunks * block :].transpose(1, 2)
        xs[:, -1, :, time % block :] = 0.0
    reads = enters = None
    if count > 1:
        reads = _both(cs, torch.exp2(sum_f), torch.exp2((whole[1, ..., None] - sum_b).clamp_(max=0.0)))
        enters = _entering(xs, bs, steps, sum_f, sum_b, whole)
    # The token's own term of the mirrored scan, and the skip, lie on the diagonal.
    own = (cs * bs).sum(-1)[:, :, None] * steps[1]
    if skip is not None:
        own += skip[:, None]
    # The steps go into the exponent, where a step of 0 writes nothing: 2 to the power of -inf.
    written = steps.log2()
    written_f, written_b = written[0] - sum_f, written[1] + sum_b
    never = torch.full((block, block), -torch.inf, dtype=logs.dtype, device=x.device)
    never_ahead, never_behind = never.triu(1), never.tril()
    total = x.new_empty(batch, count, block, heads, width)
    runs = _runs(count, batch * heads * block * block)
    vectors = (sum_f[..., :, None], written_f[..., None, :], sum_b[..., :, None], written_b[..., None, :])
    entering: Iterable[tuple[Tensor, Tensor] | None] = [None] * len(runs)
    if reads is not None and enters is not None:
        entering = zip(reads.split(runs, 1), enters.split(runs, 1), strict=True)
    for here_f, there_f, here_b, there_b, read, wrote, diagonal, inside, out, crossing in zip(
        *(t.split(runs, 1) for t in (*vectors, cs, bs, own, xs, total)), entering, strict=True
    ):
        likeness = (read @ wrote.transpose(-1, -2)).to(logs.dtype)[:, :, None]
        weight = (here_f + there_f).add_(never_ahead)
        mirrored = (there_b - here_b).add_(never_behind)
        weight = torch.maximum(weight, mirrored, out=weight).exp2_().mul_(likeness)
        weight.diagonal(dim1=-2, dim2=-1).add_(diagonal)
        y = torch.bmm(weight.to(kind).flatten(0, 2), inside.flatten(0, 2))
        if crossing is not None:
            y.baddbmm_(crossing[0].flatten(0, 2).transpose(1, 2), crossing[1].flatten(0, 2))
        out.copy_(y.view(inside.shape).transpose(2, 3))
    return total.view(batch, count * block, heads, width)[:, :time]


def _runs(count: int, pairs: int) -> list[int]:
    """Chunks that are done at a time, a power of two, together `count`: products of few sizes, because a processor's
    library may compile code for each. pairs: of steps in one chunk."""
    length, left, runs = 1 << max(0, (PAIRS // pairs).bit_length() - 1), count, list[int]()
    while left:
        while length > left:
            length //= 2
        runs.append(length)
        left -= length
    return runs


def _in_chunks(t: Tensor, count: int, block: int) -> Tensor:
    """[batch, time, ...] -> [batch, count, block, ...], the last chunk filled up with zeros."""
    short = count * block - t.shape[1]
    if short:
        t = torch.cat([t, t.new_zeros(t.shape[0], short, *t.shape[2:])], dim=1)
    return t.unflatten(1, (count, block))


def _both(vectors: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """Vectors [batch, count, block, state] times one number a step and head for each direction, [batch, count, heads,
    block]: [batch, count, heads, 2 * state, block]. Steps come last: of the two, the longer run to multiply."""
    (batch, count, heads, block), state = forward.shape, vectors.shape[-1]
    across = vectors.transpose(-1, -2)[:, :, None].contiguous()
    both = vectors.new_empty(batch, count, heads, 2 * state, block)
    for half, weight in zip(both.split(state, dim=-2), (forward, backward), strict=True):
        torch.mul(across, weight[..., None, :], out=half)
    return both


def _entering(xs: Tensor, b: Tensor, steps: Tensor, sum_f: Tensor, sum_b: Tensor, whole: Tensor) -> Tensor:
    """Both states that enter each chunk: [batch, count, heads, 2 * state, width]."""
    (batch, count, heads, block, _), state = xs.shape, b.shape[-1]
    left = _both(b, torch.exp2((whole[0, ..., None] - sum_f).clamp_(max=0.0)) * steps[0], torch.exp2(sum_b) * steps[1])
    runs = _runs(count, batch * heads * block * block)
    left = torch.cat([b @ x for b, x in zip(left.split(runs, 1), xs.split(runs, 1), strict=True)], 1).to(whole.dtype)
    entered = torch.empty_like(left)
    entered[:, 0, :, :state] = 0.0
    entered[:, -1, :, state:] = 0.0
    (left_f, left_b), (into_f, into_b) = ([half.unbind(1) for half in t.split(state, dim=-2)] for t in (left, entered))
    kept_f, kept_b = (kept.unbind(1) for kept in whole.exp2()[..., None, None])
    for k in range(count - 1):
        torch.addcmul(left_f[k], into_f[k], kept_f[k], out=into_f[k + 1])
    for k in range(count - 1, 0, -1):
        torch.addcmul(left_b[k], into_b[k], kept_b[k], out=into_b[k - 1])
    return entered.to(xs.dtype)
