"""What the kernels share: the warp that loads, and products of half a chunk."""

from __future__ import annotations

from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, warpgroup_mma

from kernels.copy_engine import fetch
from kernels.ssd import vectors as named

VECTORS = gl.constexpr(named.VECTORS.value)
KEY_F, KEY_B = gl.constexpr(named.KEY_F.value), gl.constexpr(named.KEY_B.value)
FROM, REACH = gl.constexpr(named.FROM.value), gl.constexpr(named.REACH.value)
ASK_F, ASK_B = gl.constexpr(named.ASK_F.value), gl.constexpr(named.ASK_B.value)
STEP_F, STEP_B = gl.constexpr(named.STEP_F.value), gl.constexpr(named.STEP_B.value)
SUM_F, SUM_B = gl.constexpr(named.SUM_F.value), gl.constexpr(named.SUM_B.value)
# Triton 3.6 knows it by the second name, 3.9 by the first alone.
barrier = gl.barrier if hasattr(gl, "barrier") else gl.thread_barrier
"""Among the warps of a part."""


@gluon.jit
def place(chunk, chunk_start, chunk_length, time, Q: gl.constexpr, PACKED: gl.constexpr):
    """As vectors.place; the copy engine counts rows in 32 bits."""
    if PACKED:
        start = gl.load(chunk_start + chunk)
        length = gl.load(chunk_length + chunk)
    else:
        each = (time + Q - 1) // Q
        inside = chunk % each * Q
        start = chunk // each * time + inside
        length = gl.minimum(time - inside, Q)
    return start, length


@gluon.jit
def vector(kept, at, begin: gl.constexpr, H: gl.constexpr, layout: gl.constexpr):
    """Half of a vector of tokens. kept: [slots * vectors, Q]."""
    return kept.index(at).slice(begin, H).load(layout)


@gluon.jit
def loading(
    c_desc, b_desc, x_desc, y_desc, states_desc, vectors_desc, c_tile, b_tile, xs, ys, held, kept, full, empty, ready,
    start, chunk, head, heads,
    Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, GROUP: gl.constexpr, SLOTS: gl.constexpr,
    FIRST: gl.constexpr, KEPT: gl.constexpr, GRADIENT: gl.constexpr,
):  # fmt: skip
    """One warp. ready: C and B of the chunk; full and empty: a slot each. KEPT vectors from FIRST on."""
    mbarrier.expect(ready, 2 * Q * N * 2)
    fetch(c_desc, [start, 0], ready, c_tile)
    fetch(b_desc, [start, 0], ready, b_tile)
    for g in range(GROUP):
        slot = g % SLOTS
        mbarrier.wait(empty.index(slot), g // SLOTS & 1 ^ 1)
        spot = chunk * heads + head + g
        done = full.index(slot)
        mbarrier.expect(done, (Q * P * (1 + GRADIENT) + 2 * P * N) * 2 + KEPT * Q * 4)
        fetch(states_desc, [spot * (2 * P), 0], done, held.index(slot))
        for k in gl.static_range(KEPT):
            fetch(vectors_desc, [(spot * VECTORS + FIRST + k) * Q], done, kept.index(slot * KEPT + k))
        fetch(x_desc, [start, (head + g) * P], done, xs.index(slot))
        if GRADIENT:
            fetch(y_desc, [start, (head + g) * P], done, ys.index(slot))


@gluon.jit
def put(base, tile, stride, length, MINE: gl.constexpr, H: gl.constexpr, WIDTH: gl.constexpr):
    """Stores the real rows of half a chunk, 16 bytes a thread at a time."""
    LANES: gl.constexpr = WIDTH // 8
    spread: gl.constexpr = gl.BlockedLayout([1, 8], [32 // LANES, LANES], [4, 1], [1, 0])
    row = MINE + gl.arange(0, H, gl.SliceLayout(1, spread))
    column = gl.arange(0, WIDTH, gl.SliceLayout(0, spread))
    gl.store(base + row[:, None] * stride + column[None, :], gl.convert_layout(tile, spread),
             mask=(row < length)[:, None])  # fmt: skip


@gluon.jit
def products(
    own, facing, length, MINE: gl.constexpr, OTHER: gl.constexpr, H: gl.constexpr, layout: gl.constexpr
):  # fmt: skip
    """fp32 [H, H], twice: rows of half a chunk times those of its own half of `facing`, and times those of the other.
    Rows of `facing` past the end, which belong to the next document, count for 0."""
    blank = gl.zeros((H, H), gl.float32, layout)
    near = warpgroup_mma(own, facing.slice(MINE, H).permute((1, 0)), blank, use_acc=False)
    across = warpgroup_mma(own, facing.slice(OTHER, H).permute((1, 0)), blank, use_acc=False)
    column = gl.arange(0, H, gl.SliceLayout(0, layout))
    near = gl.where((MINE + column < length)[None, :], near, 0.0)
    return near, gl.where((OTHER + column < length)[None, :], across, 0.0)


@gluon.jit
def halved(near, across):
    """Both as fp16, 11 bits where bf16 has 8, and by what each row was divided for it: its largest becomes 16, and all
    bits last down to 4e-6 of that."""
    height = gl.maximum(gl.max(gl.abs(near), 1), gl.max(gl.abs(across), 1))
    height = gl.maximum(height, 1e-30) * (1.0 / 16.0)
    scale = (1.0 / height)[:, None]
    return (near * scale).to(gl.float16), (across * scale).to(gl.float16), height


def rows_of(x: Tensor) -> Tensor:
    """[rows, heads, width] with heads side by side as [rows, heads * width]."""
    rows, heads, width = x.shape
    return x.as_strided((rows, heads * width), (x.stride(0), 1))
