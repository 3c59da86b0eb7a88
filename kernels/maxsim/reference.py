"""Late interaction in plain PyTorch: the truth, and the path on a CPU. Bounded memory, any number of pages."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.pages import keep_largest, share_out, windows

BLOCK_ROWS = 8192
"""Page tokens scored at a time where rows are asked for."""
BLOCK_NUMBERS = 300_000
"""Numbers of page tokens, and of their scores, that a thread looks at at a time: 1.2 MB in fp32 stay near a core."""
LEAST_ROWS = 32768
"""Page tokens that are worth a thread."""


def maxsim_ragged(
    query: Tensor, tokens: Tensor, scales: Tensor | None, offsets: Tensor, *, argmax: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Maxima [pages, words] in the type of the query (fp32 at least); -inf where a page has no tokens.

    With argmax also int64 [pages, words]: row inside the page of the (first) best token, -1 for an empty page.
    """
    kind = torch.promote_types(query.dtype, torch.float32)
    query = query.to(kind)
    if not argmax and not tokens.is_cuda:
        return _maxima(query.detach(), tokens.detach(), scales, offsets), None
    pages, words = len(offsets) - 1, len(query)
    best = torch.full((pages, words), -torch.inf, dtype=kind, device=query.device)
    where = torch.full((pages, words), -1, dtype=torch.int64, device=query.device) if argmax else None
    edges = offsets.to(torch.int64).cpu()
    first = 0
    while first < pages:
        # As many whole pages as fit into a block, at least one.
        last = int(torch.searchsorted(edges, edges[first] + BLOCK_ROWS, right=True)) - 1
        last = min(max(last, first + 1), pages)
        low, high = int(edges[first]), int(edges[last])
        if high > low:
            _score_block(query, tokens[low:high], None if scales is None else scales[low:high],
                         edges[first : last + 1] - low, best[first:last],
                         None if where is None else where[first:last])  # fmt: skip
        first = last
    return best, where


def maxsim_learned(query: Tensor, tokens: Tensor, scales: Tensor | None, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The same maxima and rows, differentiable through the best token of each alone."""
    with torch.no_grad():
        best, where = maxsim_ragged(query, tokens, scales, offsets, argmax=True)
    assert where is not None
    row = (offsets[:-1, None] + where).clamp(min=0)
    weight = torch.where(where >= 0, 1.0 if scales is None else scales.to(best.dtype)[row], 0.0)
    chosen = torch.einsum("pwd,wd->pw", tokens.to(best.dtype)[row], query.to(best.dtype)) * weight
    return torch.where(where >= 0, chosen, best), where


def _score_block(
    query: Tensor, tokens: Tensor, scales: Tensor | None, edges: Tensor, best: Tensor, where: Tensor | None
) -> None:
    rows = tokens.to(query.dtype)
    scores = rows @ query.T
    if scales is not None:
        scores *= scales.to(query.dtype)[:, None]
    page = torch.repeat_interleave(torch.arange(len(edges) - 1), edges.diff(), output_size=len(rows)).to(scores.device)
    index = page[:, None].expand_as(scores)
    best.scatter_reduce_(0, index, scores, "amax", include_self=True)
    if where is not None:
        inside = (torch.arange(len(rows)) - edges[page.cpu()]).to(scores.device)
        most = len(rows)
        row = torch.where(scores == best[page], inside[:, None], most)
        found = torch.full_like(where, most).scatter_reduce_(0, index, row, "amin", include_self=True)
        where.copy_(torch.where(found < most, found, -1))


@torch.no_grad()
def _maxima(query: Tensor, tokens: Tensor, scales: Tensor | None, offsets: Tensor) -> Tensor:
    """Maxima alone, on a CPU. With a line of scores a word each page is a run of neighbours, whose maximum takes half
    of the time of a scatter; threads that go their own way need not wait for each other after every block."""
    filled = offsets.diff() > 0
    begins, ends = offsets[:-1][filled].numpy(), offsets[1:][filled].numpy()
    size = max(1, BLOCK_NUMBERS // sum(query.shape))
    found = torch.full((len(query), len(begins)), -torch.inf, dtype=query.dtype).numpy()

    def look(part: slice) -> None:
        for start, stop, here in windows(begins[part], int(ends[part.stop - 1]), size):
            scores = query @ tokens[start:stop].to(query.dtype).T
            if scales is not None:
                scores *= scales[start:stop].to(query.dtype)
            keep_largest(found[:, part][:, here], scores.numpy(), begins[part][here], start)

    share_out(look, ends, least=LEAST_ROWS)
    best = torch.full((len(filled), len(query)), -torch.inf, dtype=query.dtype)
    best[filled] = torch.from_numpy(found.T)
    return best


def maxsim_binary(query: Tensor, tokens: Tensor) -> Tensor:
    """Sum over query tokens of the best (dims - 2 * differing bits). query: int32 [words, dims / 32]. tokens: int32
    [pages, rows, dims / 32]. Returns int32 [pages]."""
    total = torch.zeros(len(tokens), dtype=torch.int32, device=tokens.device)
    dims = 32 * query.shape[-1]
    for word in query:
        differing = _bits(torch.bitwise_xor(tokens, word)).sum(-1)
        total += (dims - 2 * differing.amin(-1)).to(torch.int32)
    return total


def _bits(word: Tensor) -> Tensor:
    """Number of set bits of each int32."""
    value = word.to(torch.int64) & 0xFFFFFFFF
    value = value - ((value >> 1) & 0x55555555)
    value = (value & 0x33333333) + ((value >> 2) & 0x33333333)
    value = (value + (value >> 4)) & 0x0F0F0F0F
    return ((value * 0x01010101) & 0xFFFFFFFF) >> 24
