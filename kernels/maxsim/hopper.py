"""Late interaction of many queries for Hopper: the same function as equal_kernel of maxsim/kernels.py, in Gluon.

Query tokens are the rows of the product here and stay in shared memory, so that pages stream past all of them and cross
the second cache once for ROWS query tokens. ../README.md has the drawing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from kernels.copy_engine import barriers, described, fetch
from kernels.launch import HOPPER, aligned


class Config(NamedTuple):
    """tokens: of a page, a tile. slots: tiles under way at once, beside the query tokens in 227 KiB."""

    tokens: int
    slots: int


HIGH = gl.constexpr(64)
"""Rows of the matrix instruction."""
ROWS = gl.constexpr(256)
"""Query tokens a program: two warpgroups with two products of HIGH each."""
# By dims, for an H200.
CONFIGS = {128: Config(128, 5), 64: Config(128, 6)}
KINDS = (torch.float16, torch.bfloat16)


@gluon.jit
def raised(top, scores, layout: gl.constexpr):
    """The running maximum [64, 4] with scores [64, tokens], whose every fourth pair of columns lies in one thread."""
    pairs = gl.reshape(scores, (HIGH, scores.shape[1] // 8, 4, 2))
    return gl.maximum(top, gl.convert_layout(gl.max(gl.max(pairs, 3), 1), layout, assert_trivial=True))


@gluon.jit
def scoring(
    asked, tiles, full, empty, ready, maxima, first, count, program, group, words,
    HALF: gl.constexpr, TOKENS: gl.constexpr, EACH: gl.constexpr, SLOTS: gl.constexpr,
):  # fmt: skip
    """A warpgroup: half of the query tokens, 64 at a time. The product of the second 64 runs while the maximum of the
    first is taken."""
    wide: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, TOKENS, 16])
    kept: gl.constexpr = gl.DistributedLinearLayout(
        [[8, 0]], [[0, 1], [0, 2], [1, 0], [2, 0], [4, 0]], [[16, 0], [32, 0]], [], [64, 4]
    )
    blank = gl.zeros((HIGH, TOKENS), gl.float32, wide)
    nothing = gl.full((HIGH, 4), float("-inf"), gl.float32, kept)
    top_a = nothing
    top_b = nothing
    mbarrier.wait(ready, 0)
    for t in tl.range(0, count, disable_licm=True):
        slot = t % SLOTS
        mbarrier.wait(full.index(slot), t // SLOTS & 1)
        turned = tiles.index(slot).permute((1, 0))
        scores_a = warpgroup_mma(asked.index(HALF * 2), turned, blank, use_acc=False, is_async=True)
        scores_b = warpgroup_mma(asked.index(HALF * 2 + 1), turned, blank, use_acc=False, is_async=True)
        scores_a = warpgroup_mma_wait(1, deps=(scores_a,))
        top_a = raised(top_a, scores_a, kept)
        # A maximum that passes the wait too is taken before it. Put off, it would keep all scores in registers.
        scores_b, top_a = warpgroup_mma_wait(0, deps=(scores_b, top_a))
        mbarrier.arrive(empty.index(slot), count=1)
        top_b = raised(top_b, scores_b, kept)
        page = (first + t) // EACH
        if ((first + t) % EACH == EACH - 1) | (t == count - 1):
            high_a = gl.max(top_a, 1)
            high_b = gl.max(top_b, 1)
            row = group * ROWS + HALF * (2 * HIGH) + gl.arange(0, HIGH, high_a.type.layout)
            at = maxima + (program + page).to(gl.int64) * words + row
            gl.store(at, high_a)
            gl.store(at + HIGH, high_b)
            top_a = nothing
            top_b = nothing


@gluon.jit
def bringing(
    query_desc, tokens_desc, asked, tiles, full, empty, ready, first, count, group,
    TOKENS: gl.constexpr, DIMS: gl.constexpr, SLOTS: gl.constexpr,
):  # fmt: skip
    """One warp. ready: the query tokens; full and empty: a slot each."""
    mbarrier.expect(ready, ROWS * DIMS * 2)
    for i in gl.static_range(ROWS // HIGH):
        fetch(query_desc, [group * ROWS + i * HIGH, 0], ready, asked.index(i))
    for t in range(count):
        slot = t % SLOTS
        mbarrier.wait(empty.index(slot), t // SLOTS & 1 ^ 1)
        done = full.index(slot)
        mbarrier.expect(done, TOKENS * DIMS * 2)
        fetch(tokens_desc, [(first + t) * TOKENS, 0], done, tiles.index(slot))


@gluon.jit(do_not_specialize=["share", "longer", "groups", "words"])
def stream_kernel(
    query_desc, tokens_desc, maxima, share, longer, groups, words,
    TOKENS: gl.constexpr, DIMS: gl.constexpr, EACH: gl.constexpr, SLOTS: gl.constexpr,
):  # fmt: skip
    """Maxima of ROWS query tokens over `share` tiles, EACH a page, or one more in the first `longer` programs.

    Row program + page of maxima [programs + pages, words] is the part of a page that a program saw: no two are alike.
    """
    program = gl.program_id(0) // groups
    group = gl.program_id(0) % groups
    first = program * share + gl.minimum(program, longer)
    count = share + (program < longer).to(gl.int32)
    kind: gl.constexpr = tokens_desc.dtype
    asked = gl.allocate_shared_memory(kind, [ROWS // HIGH, HIGH, DIMS], query_desc.layout)
    tiles = gl.allocate_shared_memory(kind, [SLOTS, TOKENS, DIMS], tokens_desc.layout)
    ready, full, empty = barriers(SLOTS)
    gl.warp_specialize(
        [
            (scoring, (asked, tiles, full, empty, ready, maxima, first, count, program, group, words, 0, TOKENS, EACH,
                       SLOTS)),
            (scoring, (asked, tiles, full, empty, ready, maxima, first, count, program, group, words, 1, TOKENS, EACH,
                       SLOTS)),
            (bringing, (query_desc, tokens_desc, asked, tiles, full, empty, ready, first, count, group, TOKENS, DIMS,
                        SLOTS)),
        ],
        [4, 1],
        [240, 24],
    )  # fmt: skip


@triton.jit
def program_of(tile, share, longer):
    """The program that has this tile: the first `longer` ones have one more than `share`."""
    early = longer * (share + 1)
    return tl.where(tile < early, tile // (share + 1), longer + (tile - early) // share)


@triton.jit(do_not_specialize=["pages", "share", "longer", "words"])
def join_kernel(
    maxima, out, pages, share, longer, words,
    EACH: tl.constexpr, ROWS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """Sums [queries, pages] over each query's SPAN tokens of the largest maximum among the parts of a page."""
    QUERIES: tl.constexpr = ROWS // SPAN
    page = tl.program_id(0)
    w = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    first = program_of(page * EACH, share, longer)
    last = program_of(page * EACH + EACH - 1, share, longer)
    top = tl.load(maxima + (first + page).to(tl.int64) * words + w)
    for program in range(first + 1, last + 1):
        top = tl.maximum(top, tl.load(maxima + (program + page).to(tl.int64) * words + w))
    q = tl.program_id(1) * QUERIES + tl.arange(0, QUERIES)
    tl.store(out + q * pages.to(tl.int64) + page, tl.sum(tl.reshape(top, (QUERIES, SPAN)), 1))


def hopper_serves(query: Tensor, tokens: Tensor) -> bool:
    """Whether the kernel takes these, query [queries, span, dims] and tokens [pages, length, dims] of one type: of 16
    bits, a multiple of ROWS query tokens, pages of whole tiles. The copy engine counts rows in 32 bits."""
    queries, span, dims = query.shape
    pages, length, _ = tokens.shape
    if not tokens.is_cuda or tokens.dtype not in KINDS or dims not in (64, 128) or span not in (16, 32, 64):
        return False
    words = queries * span
    if words == 0 or words % ROWS.value or length <= 256 or length % CONFIGS[dims].tokens:
        return False
    return pages * length < 2**31 and torch.cuda.get_device_capability(tokens.device)[0] == HOPPER[0]


def write_sums(query: Tensor, tokens: Tensor, out: Tensor) -> None:
    """Launches the kernels; arguments and result as those of `equal` in maxsim/triton.py."""
    queries, span, dims = query.shape
    pages, length, _ = tokens.shape
    words = queries * span
    config, groups = CONFIGS[dims], words // ROWS.value
    each = length // config.tokens
    total = pages * each
    if total == 0:
        return
    processors = torch.cuda.get_device_properties(tokens.device).multi_processor_count
    programs = min(max(1, processors // groups), total)
    share, longer = divmod(total, programs)
    maxima = torch.empty((programs + pages, words), dtype=torch.float32, device=query.device)
    stream_kernel[(programs * groups,)](
        described(aligned(query).view(words, dims), HIGH.value, dims),
        described(aligned(tokens).view(pages * length, dims), config.tokens, dims),
        maxima, share, longer, groups, words,
        TOKENS=config.tokens, DIMS=dims, EACH=each, SLOTS=config.slots, num_warps=4,
    )  # fmt: skip
    join_kernel[(pages, groups)](
        maxima, out, pages, share, longer, words, EACH=each, ROWS=ROWS.value, SPAN=span, num_warps=4
    )
