"""States that enter the chunks of a scan, and the adjoint ones that leave them: what the kernels of ssd/states.py make.

A program walks a document with two heads, a warpgroup each, which share B: up in one direction, then down in the other.
The state stays in the accumulators of the product that adds to it: x^T, its tokens weighed in registers, times B.
"""

from __future__ import annotations

import triton.language as tl
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from kernels.copy_engine import barriers, described, fetch, send
from kernels.ssd.hopper.parts import (
    ASK_F,
    STEP_F,
    SUM_F,
    VECTORS,
    barrier,
    rows_of,
)


@gluon.jit
def step_of(s, count, ADJOINT: gl.constexpr):
    """Chunk of the document at step s, whether the walk goes down there, and the direction whose state it carries."""
    down = s >= count
    return gl.where(down, 2 * count - 1 - s, s), down, gl.where(down, 1 - ADJOINT, ADJOINT)


@gluon.jit
def walking(
    b_tiles, xs, kept, staged, full, empty, clean, states_desc, totals, low, count, last, head, chunks, heads,
    NUMBER: gl.constexpr, Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, SLOTS: gl.constexpr,
    ADJOINT: gl.constexpr,
):  # fmt: skip
    """A warpgroup: one head. last: rows of the document's last chunk."""
    H: gl.constexpr = Q // 2
    deep: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, N, 16])
    left: gl.constexpr = gl.DotOperandLayout(0, deep, 2)
    of_token: gl.constexpr = gl.SliceLayout(0, left)
    by_x: gl.constexpr = gl.BlockedLayout([1, 8], [32 // (P // 8), P // 8], [4, 1], [1, 0])
    by_b: gl.constexpr = gl.BlockedLayout([1, 8], [32 // (N // 8), N // 8], [4, 1], [1, 0])
    kind: gl.constexpr = b_tiles.dtype
    state = gl.zeros((P, N), gl.float32, deep)
    total = gl.load(totals + (ADJOINT * heads + head) * chunks + low)
    for s in tl.range(0, 2 * count, disable_licm=True):
        slot = s % SLOTS
        at, down, direction = step_of(s, count, ADJOINT)
        after, _, way = step_of(s + 1, count, ADJOINT)
        next_total = gl.load(totals + (way * heads + head) * chunks + low + after, mask=s + 1 < 2 * count, other=0.0)
        if s == count:
            state = gl.zeros((P, N), gl.float32, deep)
        entering = state.to(kind)
        mbarrier.wait(full.index(slot), s // SLOTS & 1)
        tile_x = xs.index(slot * 2 + NUMBER)
        tile_b = b_tiles.index(slot)
        if (at == count - 1) & (last < Q):
            # Rows past the end belong to the next document: not even a NaN of it may pass.
            row_x = gl.arange(0, Q, gl.SliceLayout(1, by_x))
            row_b = NUMBER * H + gl.arange(0, H, gl.SliceLayout(1, by_b))
            mine = tile_b.slice(NUMBER * H, H)
            tile_x.store(gl.where((row_x < last)[:, None], tile_x.load(by_x), 0.0))
            mine.store(gl.where((row_b < last)[:, None], mine.load(by_b), 0.0))
            fence_async_shared()
            mbarrier.arrive(clean, count=1)
            mbarrier.wait(clean, (s - count + 1) & 1)
        # To the state that leaves the chunk a token writes by the decay from it to the end, of the one that enters
        # (adjoint) it reads by the decay from the beginning to it; walking down it is the other way round.
        sums = kept.index(slot * 4 + 2 * NUMBER).load(of_token)
        weight = gl.exp2(gl.minimum(gl.where(down, sums, total - sums), 0.0))
        if not ADJOINT:
            weight *= kept.index(slot * 4 + 2 * NUMBER + 1).load(of_token)
        turned = tile_x.permute((1, 0)).load(left).to(gl.float32)
        state = warpgroup_mma((turned * weight[None, :]).to(kind), tile_b, state * gl.exp2(total), is_async=True)
        # While the product runs, the state before it is stored.
        tma.store_wait(0)
        barrier()
        staged.store(entering)
        fence_async_shared()
        spot = ((low + at) * heads + head) * 2 + direction
        send(states_desc, [spot * P, 0], staged)
        state = warpgroup_mma_wait(0, deps=(state,))
        mbarrier.arrive(empty.index(slot), count=1)
        total = next_total
    tma.store_wait(0)


@gluon.jit
def bringing(
    x_desc, b_desc, vectors_desc, b_tiles, xs, kept, full, empty, begin, low, count, head, heads,
    Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, SLOTS: gl.constexpr, ADJOINT: gl.constexpr,
):  # fmt: skip
    """One warp: of each step B, and of both heads x and the vectors that weigh it."""
    for s in range(2 * count):
        slot = s % SLOTS
        at, _, direction = step_of(s, count, ADJOINT)
        mbarrier.wait(empty.index(slot), s // SLOTS & 1 ^ 1)
        done = full.index(slot)
        start = begin + at * Q
        mbarrier.expect(done, (Q * N + 2 * Q * P) * 2 + 4 * Q * 4)
        fetch(b_desc, [start, 0], done, b_tiles.index(slot))
        for h in gl.static_range(2):
            fetch(x_desc, [start, (head + h) * P], done, xs.index(slot * 2 + h))
            first = ((low + at) * heads + head + h) * VECTORS
            sums = first + (ASK_F if ADJOINT else SUM_F) + direction
            fetch(vectors_desc, [sums * Q], done, kept.index(slot * 4 + 2 * h))
            steps = first + STEP_F - direction
            fetch(vectors_desc, [steps * Q], done, kept.index(slot * 4 + 2 * h + 1))


@gluon.jit(do_not_specialize=["chunks", "heads", "time"])
def walk_kernel(
    x_desc, b_desc, vectors_desc, states_desc, totals, chunk_start, chunk_length, first_chunk, chunks, heads, time,
    Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, SLOTS: gl.constexpr, ADJOINT: gl.constexpr,
    PACKED: gl.constexpr,
):  # fmt: skip
    """One program a document and two heads."""
    pairs = heads // 2
    document = gl.program_id(0) // pairs
    head = gl.program_id(0) % pairs * 2
    if PACKED:
        low = gl.load(first_chunk + document)
        count = gl.load(first_chunk + document + 1) - low
        begin = gl.load(chunk_start + low, mask=count > 0, other=0)
        last = gl.load(chunk_length + low + count - 1, mask=count > 0, other=0)
    else:
        count = (time + Q - 1) // Q
        low = document * count
        begin = document * time
        last = time - (count - 1) * Q
    kind: gl.constexpr = x_desc.dtype
    if count > 0:
        b_tiles = gl.allocate_shared_memory(kind, [SLOTS, Q, N], b_desc.layout)
        xs = gl.allocate_shared_memory(kind, [SLOTS * 2, Q, P], x_desc.layout)
        kept = gl.allocate_shared_memory(gl.float32, [SLOTS * 4, Q], vectors_desc.layout)
        staged = gl.allocate_shared_memory(kind, [2, P, N], states_desc.layout)
        clean = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
        mbarrier.init(clean, count=2)
        _, full, empty = barriers(SLOTS)
        gl.warp_specialize(
            [
                (walking, (b_tiles, xs, kept, staged.index(0), full, empty, clean, states_desc, totals, low, count,
                           last, head, chunks, heads, 0, Q, P, N, SLOTS, ADJOINT)),
                (walking, (b_tiles, xs, kept, staged.index(1), full, empty, clean, states_desc, totals, low, count,
                           last, head + 1, chunks, heads, 1, Q, P, N, SLOTS, ADJOINT)),
                (bringing, (x_desc, b_desc, vectors_desc, b_tiles, xs, kept, full, empty, begin, low, count, head,
                            heads, Q, P, N, SLOTS, ADJOINT)),
            ],
            [4, 1],
            [240, 24],
        )  # fmt: skip


def walk_states(
    x: Tensor, b: Tensor, vectors: Tensor, totals: Tensor, states: Tensor, start: Tensor, length: Tensor, first: Tensor,
    time: int, *, adjoint: bool, slots: int,
) -> None:  # fmt: skip
    """Launches the kernel; arguments as those of ssd/states.py, heads an even number."""
    chunks, heads, _, width, state = states.shape
    chunk, packed = vectors.shape[-1], first.shape[0] > 0
    documents = first.shape[0] - 1 if packed else x.shape[0] // time
    walk_kernel[(documents * (heads // 2),)](
        described(rows_of(x), chunk, width), described(b, chunk, state), described(vectors.view(-1), chunk),
        described(states.view(-1, state), width, state), totals, start, length, first, chunks, heads, time,
        Q=chunk, P=width, N=state, SLOTS=slots, ADJOINT=int(adjoint), PACKED=packed, num_warps=4,
    )  # fmt: skip
