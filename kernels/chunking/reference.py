"""Dynamic chunking in plain PyTorch: the truth, and the path on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SURE = 1.0 - 1e-4
"""A probability in the moving average is at most this, so that a log of 1 - p stays finite (H-Net does the same)."""


def likeness_reference(h: Tensor, query: Tensor, key: Tensor) -> Tensor:
    kind = torch.promote_types(h.dtype, torch.float32)
    q = F.normalize((h[:, 1:] @ query.to(h.dtype).T).to(kind), dim=-1, eps=1e-6)
    k = F.normalize((h[:, :-1] @ key.to(h.dtype).T).to(kind), dim=-1, eps=1e-6)
    return F.pad((q * k).sum(-1), (1, 0), value=-1.0)


def compact_reference(boundary: Tensor, limit: int, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """member, start, real, offset as in Chunks."""
    batch, time = boundary.shape
    if mask is not None:
        boundary = boundary & mask
    member = boundary.cumsum(1)
    step = torch.arange(time, device=boundary.device)
    begins = torch.where(boundary, step, 0).cummax(1).values
    inside = (member > 0) & (member <= limit)
    if mask is not None:
        inside = inside & mask
    member = torch.where(inside, member, 0)
    # Every boundary writes its own place; all other tokens write to a spare one that is cut off.
    place = torch.where(boundary & inside, member, 0)
    start = torch.zeros(batch, limit + 1, dtype=torch.int64, device=boundary.device)
    start = start.scatter_(1, place, step.expand(batch, -1))[:, 1:]
    real = torch.arange(limit, device=boundary.device) < member.amax(1, keepdim=True)
    return member, start, real, torch.where(inside, step - begins, 0)


def take_reference(h: Tensor, start: Tensor, real: Tensor) -> Tensor:
    return h.gather(1, start[..., None].expand(-1, -1, h.shape[-1])) * real[..., None]


def average_reference(vectors: Tensor, probability: Tensor) -> Tensor:
    """c_k = p_k z_k + (1 - p_k) c_{k-1}, c_{-1} = 0, with p clamped; a loop over chunks in the widest type."""
    kind = torch.promote_types(vectors.dtype, probability.dtype)
    p = probability.to(kind).clamp(0.0, SURE)[..., None]
    wide = vectors.to(kind)
    running = torch.zeros_like(wide[:, 0])
    out: list[Tensor] = []
    for k in range(vectors.shape[1]):
        running = p[:, k] * wide[:, k] + (1.0 - p[:, k]) * running
        out.append(running)
    return torch.stack(out, dim=1)


def spread_reference(average: Tensor, member: Tensor) -> Tensor:
    index = (member - 1).clamp(min=0)[..., None].expand(-1, -1, average.shape[-1])
    return average.gather(1, index) * (member > 0)[..., None].to(average.dtype)
