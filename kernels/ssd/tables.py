"""Where the chunks of packed documents lie: small int32 tables on the device, made without waiting for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """start, length: int32 [chunks], rows of each chunk; length 0 past the last one.
    first: int32 [documents + 1], number of each document's first chunk."""

    start: Tensor
    length: Tensor
    first: Tensor


def most_chunks(total: int, documents: int, chunk: int) -> int:
    """Upper bound of the chunks of `documents` with `total` rows: each document may end in a part of one."""
    return total // chunk + documents


def packed_layout(cu_seqlens: Tensor, total: int, chunk: int) -> Layout:
    """Documents of any lengths. The number of chunks is an upper bound, so no size is read from the device."""
    documents = cu_seqlens.shape[0] - 1
    most = most_chunks(total, documents, chunk)
    start = torch.zeros(most, dtype=torch.int32, device=cu_seqlens.device)
    length = torch.zeros(most, dtype=torch.int32, device=cu_seqlens.device)
    first = torch.empty(documents + 1, dtype=torch.int32, device=cu_seqlens.device)
    if documents == 0:
        return Layout(start, length, first.zero_())
    layout_kernel[(documents,)](cu_seqlens, start, length, first, documents, CHUNK=chunk, BLOCK=1024)
    return Layout(start, length, first)


@triton.jit(do_not_specialize=["documents"])
def layout_kernel(edges, start, length, first, documents, CHUNK: tl.constexpr, BLOCK: tl.constexpr):
    """One program a document: counts the chunks of the documents before it, then writes its own."""
    document = tl.program_id(0)
    before = 0
    for base in range(0, document, BLOCK):
        i = base + tl.arange(0, BLOCK)
        counted = i < document
        low = tl.load(edges + i, mask=counted, other=0)
        high = tl.load(edges + i + 1, mask=counted, other=0)
        before += tl.sum(((high - low + CHUNK - 1) // CHUNK).to(tl.int32))
    low = tl.load(edges + document).to(tl.int32)
    high = tl.load(edges + document + 1).to(tl.int32)
    count = (high - low + CHUNK - 1) // CHUNK
    tl.store(first + document, before)
    if document == documents - 1:
        tl.store(first + documents, before + count)
    for base in range(0, count, BLOCK):
        i = base + tl.arange(0, BLOCK)
        mine = i < count
        tl.store(start + before + i, low + i * CHUNK, mask=mine)
        tl.store(length + before + i, tl.minimum(high - low - i * CHUNK, CHUNK), mask=mine)
