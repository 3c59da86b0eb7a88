"""Late interaction: for each query token its best page token. Formula, layout and figures: ../README.md."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.dispatch import choose
from kernels.maxsim.reference import maxsim_binary, maxsim_learned, maxsim_ragged

__all__ = ["maxsim_bits", "maxsim_bits_top", "maxsim_scores", "maxsim_sums", "maxsim_top"]


def maxsim_scores(
    query_tokens: Tensor, tokens: Tensor, scales: Tensor | None, offsets: Tensor, *, argmax: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Best score of every query token on every page: maxima [pages, words], -inf where a page has no tokens.

    query_tokens: float [words, dims]. tokens: int8, fp16, bf16 or fp32 [rows, dims], pages laid end to end; row i
    stands for tokens[i] * scales[i] with scales float [rows] > 0, or for itself with None. offsets: int64
    [pages + 1], from 0; page p owns rows offsets[p]:offsets[p + 1].
    Returns fp32 maxima (fp64 for fp64 queries on the CPU) and, with argmax, int64 [pages, words]: the row inside the
    page of the first best token, -1 for an empty page; else None. On a GPU the products take the query in fp16
    unless tokens are fp32. The maxima are differentiable in query and (float) tokens, through the best token alone.
    Raises ValueError on shapes that do not fit.
    """
    if query_tokens.ndim != 2 or tokens.ndim != 2 or query_tokens.shape[1] != tokens.shape[1]:
        raise ValueError(f"need [words, dims] and [rows, dims], got {query_tokens.shape} and {tokens.shape}")
    if offsets.ndim != 1 or len(offsets) < 1:
        raise ValueError(f"offsets must be [pages + 1], got {tuple(offsets.shape)}")
    if scales is not None and scales.shape != tokens.shape[:1]:
        raise ValueError(f"scales must be {[len(tokens)]}, got {list(scales.shape)}")
    learns = torch.is_grad_enabled() and (query_tokens.requires_grad or tokens.requires_grad)
    if choose(tokens, fits=query_tokens.dtype != torch.float64 and query_tokens.shape[1] <= 256) == "reference":
        if learns:
            best, where = maxsim_learned(query_tokens, tokens, scales, offsets)
            return best, where if argmax else None
        return maxsim_ragged(query_tokens, tokens, scales, offsets, argmax=argmax)
    from kernels.maxsim.triton import ragged

    kind = torch.float16 if tokens.dtype == torch.int8 else tokens.dtype
    best, where = ragged(
        query_tokens.to(kind).contiguous(), tokens.contiguous(), scales, offsets.to(torch.int64), argmax or learns
    )
    return best, where if argmax else None


def maxsim_sums(queries: Tensor, tokens: Tensor, scales: Tensor | None = None) -> Tensor:
    """Sum over each query's tokens of the best page token, for pages of one length: fp32 [queries, pages].

    queries: [queries, words, dims] in the type of tokens. tokens: fp16, bf16, fp32 or int8 [pages, rows, dims].
    int8 on both sides: products are exact integers; scales: float [pages, rows] > 0 of the page tokens, applied
    before the maximum. A scale of a query token is the caller's, after the maximum of that token; so for int8
    quantise each query with one scale. Differentiable in float queries and tokens. Raises ValueError on shapes or
    types that do not fit.
    """
    if queries.ndim != 3 or tokens.ndim != 3 or queries.shape[2] != tokens.shape[2]:
        raise ValueError(f"need [queries, words, dims] and [pages, rows, dims], got {queries.shape}, {tokens.shape}")
    if queries.dtype != tokens.dtype:
        raise ValueError(f"queries and tokens must be of one type, got {queries.dtype} and {tokens.dtype}")
    if scales is not None and scales.shape != tokens.shape[:2]:
        raise ValueError(f"scales must be {list(tokens.shape[:2])}, got {list(scales.shape)}")
    count, words, dims = queries.shape
    pages, rows, _ = tokens.shape
    learns = torch.is_grad_enabled() and (queries.requires_grad or tokens.requires_grad)
    if not learns and (tokens.is_cuda or choose(tokens) == "triton"):
        from kernels.maxsim.triton import equal, takes_equal

        if choose(tokens, fits=takes_equal(queries, tokens, scales)) == "triton":
            return equal(queries.contiguous(), tokens.contiguous(), None if scales is None else scales.contiguous())
    offsets = torch.arange(pages + 1, device=tokens.device) * rows
    flat = None if scales is None else scales.reshape(-1)
    of_pages = maxsim_scores if learns else maxsim_ragged
    best, _ = of_pages(queries.reshape(-1, dims), tokens.reshape(-1, dims), flat, offsets)
    return best.reshape(pages, count, words).sum(-1).T.contiguous()


def maxsim_bits(query: Tensor, tokens: Tensor) -> Tensor:
    """Late interaction of vectors of signs packed to bits: sum over words of max (dims - 2 differing bits).

    query: int32 [words, dims / 32]. tokens: int32 [pages, rows, dims / 32]. Returns int32 [pages].
    """
    if query.ndim != 2 or tokens.ndim != 3 or query.shape[1] != tokens.shape[2]:
        raise ValueError(f"need [words, n] and [pages, rows, n], got {query.shape} and {tokens.shape}")
    if choose(tokens, fits=0 < query.shape[0] <= 128 and tokens.numel() > 0) == "reference":
        return maxsim_binary(query, tokens)
    from kernels.maxsim.triton import binary

    return binary(query.contiguous(), tokens.contiguous())


def maxsim_top(queries: Tensor, tokens: Tensor, scales: Tensor | None = None, *, k: int) -> tuple[Tensor, Tensor]:
    """The k pages with the highest `maxsim_sums` of each query, best first, ties by page.

    Returns fp32 scores and int64 pages, both [queries, min(k, pages)]. Not differentiable.
    """
    with torch.no_grad():
        return _best(maxsim_sums(queries, tokens, scales), k)


def maxsim_bits_top(query: Tensor, tokens: Tensor, *, k: int) -> tuple[Tensor, Tensor]:
    """The k pages with the highest `maxsim_bits`, best first, ties by page: int32 scores and int64 pages [k]."""
    scores, pages = _best(maxsim_bits(query, tokens)[None], k)
    return scores[0], pages[0]


def _best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    k = min(k, scores.shape[1])
    if choose(scores, fits=scores.numel() > 0 and k > 0) == "reference":
        best, page = torch.sort(scores, dim=1, descending=True, stable=True)
        return best[:, :k], page[:, :k]
    from kernels.maxsim.triton import top

    return top(scores.contiguous(), k)
