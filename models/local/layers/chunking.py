"""Dynamic chunking: where a word begins, and one vector for each word (after H-Net, with a pooled chunk)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.local.layers.rows import chunk_sums, rows_at

POOL_HEADS = 8
LARGEST_LOGIT = 15.0


class Router(nn.Module):
    """Logit that a cell begins a word: a linear score less the likeness to the cell before it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, 1)
        self.query, self.key = nn.Linear(dim, 64, bias=False), nn.Linear(dim, 64, bias=False)
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, h: Tensor) -> Tensor:
        """h: [batch, time, dim] -> fp32 logits [batch, time]."""
        q = F.normalize(self.query(h).float(), dim=-1)
        k = F.normalize(self.key(h).float(), dim=-1)
        likeness = F.pad((q[:, 1:] * k[:, :-1]).sum(-1), (1, 0), value=-1.0)
        return self.score(h)[..., 0].float() - self.weight * likeness


@dataclass(frozen=True, slots=True)
class Chunks:
    """vectors: [batch, chunks, dim]. mask: bool [batch, chunks]. member: [batch, time], number of the chunk
    (from 1) that a cell belongs to, 0 = none. start: [batch, chunks], first cell of each chunk."""

    vectors: Tensor
    mask: Tensor
    member: Tensor
    start: Tensor


class ChunkPool(nn.Module):
    """First cell of a chunk + softmax pool over its first `reach` cells, eight heads."""

    def __init__(self, dim: int, out: int, *, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.score, self.offset_score = nn.Linear(dim, POOL_HEADS), nn.Parameter(torch.zeros(reach, POOL_HEADS))
        self.value, self.first = nn.Linear(dim, out), nn.Linear(dim, out)
        self.offset = nn.Parameter(torch.randn(reach, dim) * 0.3)

    def forward(self, h: Tensor, mask: Tensor, boundary: Tensor, probability: Tensor, limit: int) -> Chunks:
        """h: [batch, time, dim]. boundary: bool [batch, time]. limit: most chunks a row.

        probability: of a boundary, fp32; it multiplies each chunk by 1 + p - stop(p), so that the loss of a
        chunk reaches the router. Cells before the first boundary or beyond the reach belong to no chunk.
        """
        batch, time, _ = h.shape
        boundary = boundary & mask
        number = boundary.cumsum(1)
        step = torch.arange(time, device=h.device)[None].expand(batch, -1)
        offset = step - torch.where(boundary, step, 0).cummax(1).values
        inside = mask & (number > 0) & (number <= limit) & (offset < self.reach)
        member, offset = torch.where(inside, number, 0), offset.clamp(max=self.reach - 1)
        chunk = torch.arange(1, limit + 1, device=h.device).repeat(batch, 1)
        real = chunk <= member.amax(1, keepdim=True)
        start = torch.where(real, torch.searchsorted(number, chunk), 0)
        near_score, near = looked_up(offset, self.offset_score.to(h.dtype), self.offset.to(h.dtype))
        logit = (self.score(h) + near_score).float()
        weight = torch.exp(logit.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)) * inside[..., None]
        value = self.value(h * (1 + near))
        width = value.shape[-1] // POOL_HEADS
        weighted = (weight.unsqueeze(-1) * value.view(batch, time, POOL_HEADS, width)).flatten(2).float()
        total = chunk_sums(weighted, member, start).unflatten(-1, (POOL_HEADS, width))
        norm = chunk_sums(weight, member, start)
        pooled = (total / norm.clamp(min=1e-6).unsqueeze(-1)).flatten(2)
        begun = torch.where(boundary, member, 0) - 1
        vectors = pooled + self.first(rows_at(h, start, begun))
        gate = rows_at(probability[..., None], start, begun)[..., 0]
        gate = (1.0 + gate - gate.detach()) * real
        return Chunks(vectors * gate[..., None].to(vectors.dtype), real, member, start)


def looked_up(index: Tensor, *tables: Tensor) -> list[Tensor]:
    """table[index] of tables of one length, in the type that products have; where gradients are wanted as products with
    a one-hot, because indexing few rows by many cells has a slow backward pass."""
    kind = index.device.type
    if torch.is_grad_enabled():
        one_hot = (index[..., None] == torch.arange(len(tables[0]), device=index.device)).to(tables[0].dtype)
        return [one_hot @ table for table in tables]
    if torch.is_autocast_enabled(kind):
        tables = tuple(table.to(torch.get_autocast_dtype(kind)) for table in tables)
    return [table[index] for table in tables]
