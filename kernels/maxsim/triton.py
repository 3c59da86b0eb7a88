"""Launch and gradient of the Triton kernels of late interaction."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from kernels.launch import AMPERE, HOPPER, for_device, operator, precision
from kernels.maxsim.hopper import hopper_serves, write_sums
from kernels.maxsim.kernels import (
    across_kernel,
    bits_kernel,
    equal_kernel,
    keys_kernel,
    of_query_kernel,
    of_tokens_kernel,
    ragged_kernel,
)


class Config(NamedTuple):
    """rows: page tokens a tile, or pages with `join`. tiles: tiles that one program loops over. columns: query tokens
    a program. join: tokens a page and step where a row of the product is a page; 0 where it is a token."""

    rows: int
    tiles: int
    columns: int
    warps: int
    stages: int
    join: int = 0


# (bytes of a stored number, page longer than 256 tokens, more than 128 query tokens) -> sizes, for an H200.
CONFIGS = {
    (2, True, False): Config(128, 8, 32, 4, 3),
    (2, True, True): Config(64, 32, 128, 4, 3),
    (2, False, False): Config(64, 1, 32, 4, 2, join=4),
    (2, False, True): Config(64, 16, 128, 4, 3),
    (1, True, False): Config(128, 8, 32, 4, 3),
    (1, True, True): Config(64, 16, 128, 4, 3),
    (1, False, False): Config(64, 1, 32, 4, 3, join=4),
    (1, False, True): Config(64, 16, 128, 4, 3),
}
# Two stages in less shared memory: compiled for 8.0 and 8.9, not timed there.
SMALLER = {key: Config(64, 8, min(entry.columns, 64), 4, 2, entry.join) for key, entry in CONFIGS.items()}
TABLES = {HOPPER: CONFIGS, AMPERE: SMALLER}
BITS = {"all": Config(64, 1, 0, 4, 0, join=4)}
STEP_BYTES = 32 << 10
"""Most bytes of a step across pages: two or three steps lie in shared memory at once, 99 KiB on 8.9, 227 on 9.0."""
GROUP = 256
"""Pages a group of the selection: the best k pages lie in the k groups with the best heads."""


@operator("maxsim_ragged")
def ragged(
    query: Tensor, tokens: Tensor, scales: Tensor | None, offsets: Tensor, argmax: bool
) -> tuple[Tensor, Tensor]:
    """Maxima fp32 [pages, words] and rows int64 [pages, words] (empty without argmax)."""
    pages, words, dims = offsets.shape[0] - 1, query.shape[0], query.shape[1]
    best = torch.empty((pages, words), dtype=torch.float32, device=query.device)
    where = torch.empty((pages if argmax else 0, words), dtype=torch.int64, device=query.device)
    columns = min(128, max(16, triton.next_power_of_2(words)))
    if pages and words:
        ragged_kernel[(pages, triton.cdiv(words, columns))](
            query, tokens, scales, offsets, best, where, pages, words,
            DIMS=dims, PADDED=max(16, triton.next_power_of_2(dims)), ROWS=64, COLUMNS=columns,
            SCALED=scales is not None, ARGMAX=argmax, PRECISION=precision(query), num_warps=4,
        )  # fmt: skip
    return best, where


@torch.library.register_fake("claimsight::maxsim_ragged")
def _(query: Tensor, tokens: Tensor, scales: Tensor | None, offsets: Tensor, argmax: bool) -> tuple[Tensor, Tensor]:
    pages, words = offsets.shape[0] - 1, query.shape[0]
    best = torch.empty((pages, words), dtype=torch.float32, device=query.device)
    return best, torch.empty((pages if argmax else 0, words), dtype=torch.int64, device=query.device)


@operator("maxsim_backward")
def ragged_backward(
    slope: Tensor, query: Tensor, tokens: Tensor, scales: Tensor | None, offsets: Tensor, where: Tensor
) -> tuple[Tensor, Tensor]:
    """fp32 gradient of the query, and that of the tokens in their type (no rows for int8, which is not trained)."""
    pages, words, dims = offsets.shape[0] - 1, query.shape[0], query.shape[1]
    slope = slope.contiguous()
    sizes = {"DIMS": dims, "PADDED": max(16, triton.next_power_of_2(dims)), "num_warps": 4}
    dtokens = torch.zeros((0 if tokens.dtype == torch.int8 else tokens.shape[0], dims), dtype=tokens.dtype,
                          device=query.device)  # fmt: skip
    shares = torch.zeros((max(1, min(pages, 64)), words, dims), dtype=torch.float32, device=query.device)
    if pages and words:
        of_query_kernel[(triton.cdiv(words, 16), shares.shape[0])](
            tokens, scales, slope, where, offsets, shares, pages, words, COLUMNS=16, SCALED=scales is not None, **sizes
        )
        if len(dtokens):
            of_tokens_kernel[(pages, 4)](
                query, slope, where, offsets, dtokens, words, ROWS=64, COLUMNS=64, PRECISION=precision(query), **sizes
            )
    return shares.sum(0), dtokens


@torch.library.register_fake("claimsight::maxsim_backward")
def _(
    slope: Tensor, query: Tensor, tokens: Tensor, scales: Tensor | None, offsets: Tensor, where: Tensor
) -> tuple[Tensor, Tensor]:
    rows = 0 if tokens.dtype == torch.int8 else tokens.shape[0]
    return torch.empty(query.shape, dtype=torch.float32, device=query.device), tokens.new_empty((rows, query.shape[1]))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, tokens, scales, offsets, ctx.chosen = inputs
    ctx.save_for_backward(query, tokens, scales, offsets, output[1])
    ctx.mark_non_differentiable(output[1])


def _gradient(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    query, tokens, scales, offsets, where = ctx.saved_tensors
    if not ctx.chosen:
        raise RuntimeError("the gradient of the maxima needs their rows: call with argmax")
    dquery, dtokens = ragged_backward(slope, query, tokens, scales, offsets, where)
    return dquery.to(query.dtype), dtokens if ctx.needs_input_grad[1] else None, None, None, None


torch.library.register_autograd("claimsight::maxsim_ragged", _gradient, setup_context=_keep)


@operator("maxsim_equal")
def equal(query: Tensor, tokens: Tensor, scales: Tensor | None) -> Tensor:
    """Sums fp32 [queries, pages]. query: [queries, span, dims]; tokens: [pages, length, dims], all contiguous."""
    queries, span, dims = query.shape
    pages, length, _ = tokens.shape
    out = torch.empty((queries, pages), dtype=torch.float32, device=query.device)
    if scales is None and hopper_serves(query, tokens):
        write_sums(query, tokens, out)
        return out
    config = config_for(tokens, queries * span)
    columns = max(span, min(config.columns, queries * span))
    sizes = {"LENGTH": length, "DIMS": dims, "COLUMNS": columns, "SPAN": span, "SCALED": scales is not None,
             "STAGES": config.stages, "PRECISION": precision(query), "num_warps": config.warps}  # fmt: skip
    across = triton.cdiv(queries * span, columns)
    join = tokens_a_step(config, tokens)
    if join and length % join == 0:
        across_kernel[(triton.cdiv(pages, config.rows) * across,)](
            query, tokens, scales, out, pages, across, PAGES=config.rows, JOIN=join, **sizes
        )
        return out
    tiles = config.tiles
    if length > config.rows:
        tiles = max(1, tiles * config.rows // length) * (length // config.rows)
    equal_kernel[(triton.cdiv(pages * length, config.rows * tiles) * across,)](
        query, tokens, scales, out, pages, across, ROWS=config.rows, TILES=tiles, **sizes
    )
    return out


@torch.library.register_fake("claimsight::maxsim_equal")
def _(query: Tensor, tokens: Tensor, scales: Tensor | None) -> Tensor:
    return torch.empty((query.shape[0], tokens.shape[0]), dtype=torch.float32, device=query.device)


def config_for(tokens: Tensor, columns: int) -> Config:
    return for_device(TABLES, tokens.device)[min(tokens.element_size(), 2), tokens.shape[1] > 256, columns > 128]


def tokens_a_step(config: Config, tokens: Tensor) -> int:
    """Of each page: as many as the table says, which was made for 64 numbers of two bytes or one, and fewer where there
    are more or larger ones; 0 as in the table."""
    return min(config.join, max(1, STEP_BYTES // (config.rows * tokens.shape[2] * tokens.element_size())))


def takes_equal(query: Tensor, tokens: Tensor, scales: Tensor | None) -> bool:
    """Whether a kernel for pages of one length takes these: powers of two throughout, whole programs of queries, or
    what the kernel for Hopper serves."""
    if scales is None and hopper_serves(query, tokens):
        return True
    queries, span, dims = query.shape
    length = tokens.shape[1]
    columns = max(span, min(config_for(tokens, queries * span).columns, queries * span))
    sizes = (span, dims, length, columns)
    least = 32 // tokens.element_size() if tokens.element_size() < 4 else 8
    fits = all(n & (n - 1) == 0 for n in sizes) and span >= 16 and dims >= least
    return fits and (queries * span) % columns == 0


@operator("maxsim_binary")
def binary(query: Tensor, tokens: Tensor) -> Tensor:
    """int32 [pages]; query int32 [words, n], at most 128 words, and tokens int32 [pages, length, n]."""
    pages, length, longs = tokens.shape
    config = BITS["all"]
    out = torch.empty((pages,), dtype=torch.int32, device=tokens.device)
    bits_kernel[(triton.cdiv(pages, config.rows),)](
        query, tokens, out, pages, query.shape[0], LENGTH=length, LONGS=longs, PAGES=config.rows, JOIN=config.join,
        COLUMNS=max(16, triton.next_power_of_2(query.shape[0])), num_warps=config.warps,
    )  # fmt: skip
    return out


@torch.library.register_fake("claimsight::maxsim_binary")
def _(query: Tensor, tokens: Tensor) -> Tensor:
    return torch.empty((tokens.shape[0],), dtype=torch.int32, device=tokens.device)


@operator("maxsim_top")
def top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each row of fp32 or int32 scores [queries, pages], ties by page: scores and int64 pages."""
    queries, pages = scores.shape
    groups = triton.cdiv(pages, GROUP)
    keys = torch.empty((queries, groups, GROUP), dtype=torch.int64, device=scores.device)
    heads = torch.empty((queries, groups), dtype=torch.int64, device=scores.device)
    keys_kernel[(groups, queries)](
        scores, keys, heads, pages, GROUP=GROUP, FLOATS=scores.dtype == torch.float32, num_warps=4
    )
    if groups > k:
        chosen = heads.topk(k, dim=1, sorted=False).indices
        keys = keys.gather(1, chosen[..., None].expand(-1, -1, GROUP))
    best = keys.reshape(queries, -1).topk(k, dim=1).values
    page = 0xFFFFFFFF - (best & 0xFFFFFFFF)
    return scores.gather(1, page), page


@torch.library.register_fake("claimsight::maxsim_top")
def _(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    best = torch.empty((scores.shape[0], k), dtype=scores.dtype, device=scores.device)
    return best, torch.empty((scores.shape[0], k), dtype=torch.int64, device=scores.device)
