"""Launch and gradient of the Triton kernels of late interaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import torch
import triton
from torch import Tensor

from kernels.launch import AMPERE, HOPPER, for_device, operator, precision
from kernels.maxsim.hopper import hopper_serves, write_sums
from kernels.maxsim.kernels import (
    bits_kernel,
    equal_kernel,
    keys_kernel,
    of_query_kernel,
    of_tokens_kernel,
    ragged_kernel,
)


class Config(NamedTuple):
    """rows: page tokens a tile. tiles: tiles that one program loops over."""

    rows: int
    tiles: int
    warps: int
    stages: int


class BitsConfig(NamedTuple):
    """pages: those of a program. join: tokens of each that a step takes."""

    pages: int
    join: int
    warps: int


# Most query tokens a program -> sizes, for an H200. Short pages want one warp: many small programs keep memory busy,
# and a page's maximum needs no exchange between warps.
SHORT = {32: Config(64, 2, 1, 3), 64: Config(64, 16, 1, 3), 128: Config(64, 32, 2, 3)}
# (bytes of a stored number, page longer than 256 tokens) -> those of such pages.
CONFIGS = {
    (2, True): {32: Config(128, 8, 4, 3), 64: Config(128, 8, 4, 3), 128: Config(64, 32, 4, 3)},
    (2, False): SHORT,
    (1, True): {32: Config(128, 8, 4, 3), 64: Config(64, 16, 4, 3), 128: Config(64, 16, 4, 3)},
    (1, False): SHORT,
}
# Two stages in less shared memory: compiled for 8.0 and 8.9, not timed there.
SMALLER = {key: {most: entry._replace(stages=2) for most, entry in sizes.items()} for key, sizes in CONFIGS.items()}
TABLES = {HOPPER: CONFIGS, AMPERE: SMALLER}
MOST_COLUMNS = 128
# Most query tokens a program -> rows and warps where pages are of any length, and sizes for bits.
RAGGED = {64: (16, 1), 128: (64, 4)}
BITS = {64: BitsConfig(16, 8, 1), 128: BitsConfig(16, 4, 1)}
SHARED = {HOPPER: 208 << 10, AMPERE: 96 << 10}
"""Bytes for tiles and query tokens: 227 and, on 8.9, 99 KiB, less some room for maxima on their way between threads."""
Sizes = TypeVar("Sizes")
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
    columns = min(MOST_COLUMNS, max(16, triton.next_power_of_2(words)))
    rows, warps = sizes_for(RAGGED, columns)
    if pages and words:
        ragged_kernel[(pages, triton.cdiv(words, columns))](
            query, tokens, scales, offsets, best, where, pages, words,
            DIMS=dims, PADDED=max(16, triton.next_power_of_2(dims)), ROWS=rows, COLUMNS=columns,
            SCALED=scales is not None, ARGMAX=argmax, PRECISION=precision(query), num_warps=warps,
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
    columns = columns_of(queries, span)
    config = config_for(tokens, columns)
    across = triton.cdiv(queries * span, columns)
    tiles = config.tiles
    if length > config.rows:
        tiles = max(1, tiles * config.rows // length) * (length // config.rows)
    equal_kernel[(triton.cdiv(pages * length, config.rows * tiles) * across,)](
        query, tokens, scales, out, pages, across, LENGTH=length, DIMS=dims, ROWS=config.rows, TILES=tiles,
        COLUMNS=columns, SPAN=span, SCALED=scales is not None, STAGES=config.stages, PRECISION=precision(query),
        num_warps=config.warps,
    )  # fmt: skip
    return out


@torch.library.register_fake("claimsight::maxsim_equal")
def _(query: Tensor, tokens: Tensor, scales: Tensor | None) -> Tensor:
    return torch.empty((query.shape[0], tokens.shape[0]), dtype=torch.float32, device=query.device)


def columns_of(queries: int, span: int) -> int:
    """Query tokens a program: whole queries, and as many as divide all of them up to MOST_COLUMNS."""
    words = queries * span
    return max(span, min(MOST_COLUMNS, words & -words))


def sizes_for(table: Mapping[int, Sizes], columns: int) -> Sizes:
    """The entry for the fewest query tokens that are enough."""
    return table[min(most for most in table if columns <= most)]


def config_for(tokens: Tensor, columns: int) -> Config:
    table = for_device(TABLES, tokens.device)[min(tokens.element_size(), 2), tokens.shape[1] > 256]
    return sizes_for(table, columns)


def shared_bytes(config: Config, columns: int, tokens: Tensor) -> int:
    """Of the tiles under way and the query tokens."""
    return (config.stages * config.rows + columns) * tokens.shape[2] * tokens.element_size()


def takes_equal(query: Tensor, tokens: Tensor, scales: Tensor | None) -> bool:
    """Whether a kernel for pages of one length takes these: powers of two throughout and tiles that fit shared memory,
    or what the kernel for Hopper serves."""
    if scales is None and hopper_serves(query, tokens):
        return True
    queries, span, dims = query.shape
    length = tokens.shape[1]
    least = 32 // tokens.element_size() if tokens.element_size() < 4 else 8
    powers = all(n & (n - 1) == 0 for n in (span, dims, length))
    if not powers or not 16 <= span <= MOST_COLUMNS or dims < least:
        return False
    columns = columns_of(queries, span)
    return shared_bytes(config_for(tokens, columns), columns, tokens) <= for_device(SHARED, tokens.device)


@operator("maxsim_binary")
def binary(query: Tensor, tokens: Tensor) -> Tensor:
    """int32 [pages]; query int32 [words, n], at most 128 words, and tokens int32 [pages, length, n]."""
    pages, length, longs = tokens.shape
    config = sizes_for(BITS, query.shape[0])
    out = torch.empty((pages,), dtype=torch.int32, device=tokens.device)
    bits_kernel[(triton.cdiv(pages, config.pages),)](
        query, tokens, out, pages, query.shape[0], LENGTH=length, LONGS=longs, PAGES=config.pages, JOIN=config.join,
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
