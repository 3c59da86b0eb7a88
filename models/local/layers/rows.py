"""Rows at other places and sums of rows, with gradients that gather: the same bits in every run, without atomics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kernels.dispatch import choose


def rows_at(rows: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    """[batch, time, dim] and places [batch, n] -> [batch, n, dim].

    inverse: [batch, time], where each row went, -1 = nowhere; it says which gradient a row gets. A row may stand in
    further places only if nothing is learnt from those, as what fills a batch up.
    """
    return _RowsAt.apply(rows, index, inverse)


def chunk_sums(rows: Tensor, member: Tensor, start: Tensor) -> Tensor:
    """Sums of the rows of each chunk: fp32 [batch, time, dim] -> [batch, chunks, dim].

    member: [batch, time], number of a row's chunk from 1, 0 = none; it never falls but to 0. start: [batch, chunks],
    first row of each chunk, 0 where there is none.
    """
    return _ChunkSums.apply(rows, member, start)


def _rows_or_zeros(rows: Tensor, index: Tensor) -> Tensor:
    """Rows at places, zeros at -1."""
    at = index.clamp(min=0)[..., None].expand(-1, -1, rows.shape[-1])
    return rows.gather(1, at).masked_fill_((index < 0)[..., None], 0.0)


class _RowsAt(torch.autograd.Function):
    """The gradient of torch's own gather adds with atomics, or sorts all numbers where it must not."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        if len(rows) == 1:
            return rows[:, index[0]]
        return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[-1]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return _rows_or_zeros(gradients[0], inverse), None, None


class _ChunkSums(torch.autograd.Function):
    """On a GPU each sum is one program's, which takes its rows in order."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, member: Tensor, start: Tensor) -> Tensor:
        ctx.save_for_backward(member)
        if choose(rows, fits=rows.dtype == torch.float32 and rows.numel() > 0 and start.numel() > 0) == "triton":
            from kernels.chunking.triton import gather

            return gather(rows, member, start)
        (batch, time, dim), places = rows.shape, start.shape[1] + 1
        flat = (member + torch.arange(batch, device=rows.device)[:, None] * places).view(-1)
        total = torch.zeros(batch * places, dim, dtype=rows.dtype, device=rows.device)
        return total.index_add_(0, flat, rows.reshape(batch * time, dim)).view(batch, places, dim)[:, 1:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (member,) = ctx.saved_tensors
        return _rows_or_zeros(gradients[0], member - 1), None, None
