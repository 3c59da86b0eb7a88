"""Triton kernels of dynamic chunking: likeness of neighbours, numbering, moving average, and back to tokens."""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.chunking.reference import SURE

SURE_CONSTANT = tl.constexpr(SURE)


@triton.jit
def project(
    h, query, key, start, row, rows, first, column, h_row,
    DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Columns of q of each row and of k of the row before it; k of a first row is 0."""
    r = tl.arange(0, ROWS)
    d = tl.arange(0, STEP)
    e = column + tl.arange(0, COLUMNS)
    base = h + start * h_row
    q = tl.zeros((ROWS, COLUMNS), tl.float32)
    k = tl.zeros((ROWS, COLUMNS), tl.float32)
    for low in range(0, DIM, STEP):
        at = r[:, None] * h_row + (low + d)[None, :]
        now = tl.load(base + at, mask=(row < rows)[:, None], other=0.0)
        before = tl.load(base - h_row + at, mask=((row < rows) & (first == 0))[:, None], other=0.0)
        turned = e[None, :] * DIM + (low + d)[:, None]
        inside = (e < WIDTH)[None, :]
        q = tl.dot(now, tl.load(query + turned, mask=inside, other=0.0), q, input_precision=PRECISION)
        k = tl.dot(before, tl.load(key + turned, mask=inside, other=0.0), k, input_precision=PRECISION)
    return q, k


@triton.jit(do_not_specialize=["rows", "time"])
def likeness_kernel(
    h, query, key, out, norms, rows, time, h_row,
    DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
    LEAST: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Projections stay in registers: only q.k, |q| and |k| of each row live on."""
    start = tl.program_id(0).to(tl.int64) * ROWS
    row = start + tl.arange(0, ROWS)
    real = row < rows
    first = row % time == 0
    across = tl.zeros((ROWS,), tl.float32)
    asked = tl.zeros((ROWS,), tl.float32)
    told = tl.zeros((ROWS,), tl.float32)
    for column in range(0, WIDTH, COLUMNS):
        q, k = project(h, query, key, start, row, rows, first, column, h_row,
                       DIM, WIDTH, ROWS, COLUMNS, STEP, PRECISION)  # fmt: skip
        across += tl.sum(q * k, 1)
        asked += tl.sum(q * q, 1)
        told += tl.sum(k * k, 1)
    asked = tl.maximum(tl.sqrt(asked), LEAST)
    told = tl.maximum(tl.sqrt(told), LEAST)
    tl.store(out + row, tl.where(first, -1.0, across / (asked * told)), mask=real)
    tl.store(norms + row, asked, mask=real)
    tl.store(norms + rows + row, told, mask=real)


@triton.jit(do_not_specialize=["rows", "time"])
def slopes_kernel(
    dout, h, query, key, cosines, norms, slopes, rows, time, h_row,
    DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of the projections, side by side [rows, 2 WIDTH]: of q of a row, of k where its row before it lies.

    cos = q.k / (|q| |k|), so d cos / dq = k / (|q| |k|) - cos q / |q|^2, and the mirror for k.
    """
    start = tl.program_id(0).to(tl.int64) * ROWS
    row = start + tl.arange(0, ROWS)
    real = row < rows
    first = row % time == 0
    column = tl.program_id(1) * COLUMNS
    e = column + tl.arange(0, COLUMNS)
    q, k = project(h, query, key, start, row, rows, first, column, h_row,
                   DIM, WIDTH, ROWS, COLUMNS, STEP, PRECISION)  # fmt: skip
    weight = tl.where(first, 0.0, tl.load(dout + row, mask=real, other=0.0))
    cosine = tl.load(cosines + row, mask=real, other=0.0)
    asked = tl.load(norms + row, mask=real, other=1.0)
    told = tl.load(norms + rows + row, mask=real, other=1.0)
    cross = weight / (asked * told)
    dq = cross[:, None] * k - (weight * cosine / (asked * asked))[:, None] * q
    dk = cross[:, None] * q - (weight * cosine / (told * told))[:, None] * k
    inside = (e < WIDTH)[None, :]
    at = slopes + row[:, None] * (2 * WIDTH) + e[None, :]
    tl.store(at, dq.to(slopes.dtype.element_ty), mask=real[:, None] & inside)
    # The very last row is nobody's row before.
    tl.store(at + WIDTH, tl.zeros((ROWS, COLUMNS), slopes.dtype.element_ty), mask=(row == rows - 1)[:, None] & inside)
    at = slopes + (row - 1)[:, None] * (2 * WIDTH) + WIDTH + e[None, :]
    tl.store(at, dk.to(slopes.dtype.element_ty), mask=(real & (row > 0))[:, None] & inside)


@triton.jit
def larger(left, right):
    return tl.maximum(left, right)


@triton.jit(do_not_specialize=["time", "limit"])
def number_kernel(
    boundary, keep, member, offset, start, real, time, limit,
    MASKED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program a row of the batch walks it once: numbers, places, starts."""
    batch = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK)
    count = tl.program_id(0) * 0
    last = tl.program_id(0) * 0
    for low in range(0, time, BLOCK):
        t = low + i
        begins = tl.load(boundary + batch * time + t, mask=t < time, other=0) != 0
        on = t < time
        if MASKED:
            on = tl.load(keep + batch * time + t, mask=on, other=0) != 0
            begins = begins & on
        number = count + tl.cumsum(begins.to(tl.int32), 0)
        begin = tl.maximum(tl.associative_scan(tl.where(begins, t, 0), 0, larger), last)
        inside = (number > 0) & (number <= limit) & on
        tl.store(member + batch * time + t, tl.where(inside, number, 0).to(tl.int64), mask=t < time)
        tl.store(offset + batch * time + t, tl.where(inside, t - begin, 0).to(tl.int64), mask=t < time)
        tl.store(start + batch * limit + number - 1, t.to(tl.int64), mask=begins & inside)
        count += tl.sum(begins.to(tl.int32), 0)
        last = tl.max(begin, 0)
    for low in range(0, limit, BLOCK):
        k = low + i
        there = k < count
        tl.store(real + batch * limit + k, there.to(tl.uint8), mask=k < limit)
        tl.store(start + batch * limit + k, tl.zeros((BLOCK,), tl.int64), mask=(k < limit) & (k >= count))


@triton.jit
def chain(left_decay, left_value, right_decay, right_value):
    return left_decay * right_decay, right_decay * left_value + right_value


@triton.jit(do_not_specialize=["limit"])
def average_kernel(
    vectors, probability, out, limit,
    DIM: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, REVERSED: tl.constexpr,
):  # fmt: skip
    """c_k = p_k z_k + (1 - p_k) c_{k-1}; reversed: g_k = v_k + (1 - p_{k+1}) g_{k+1}. One program a row and slice."""
    batch = tl.program_id(0).to(tl.int64)
    r = tl.arange(0, ROWS)
    d = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    base = batch * limit * DIM
    running = tl.zeros((COLUMNS,), tl.float32)
    for low in range(0, limit, ROWS):
        k = limit - 1 - (low + r) if REVERSED else low + r
        real = (low + r < limit)[:, None] & (d < DIM)[None, :]
        z = tl.load(vectors + base + k[:, None] * DIM + d[None, :], mask=real, other=0.0).to(tl.float32)
        if REVERSED:
            p = tl.load(probability + batch * limit + k + 1, mask=(low + r < limit) & (k + 1 < limit), other=0.0)
            p = tl.minimum(tl.maximum(p, 0.0), SURE_CONSTANT)
        else:
            p = tl.load(probability + batch * limit + k, mask=low + r < limit, other=0.0)
            p = tl.minimum(tl.maximum(p, 0.0), SURE_CONSTANT)
            z = z * p[:, None]
        decay = tl.broadcast_to((1.0 - p)[:, None], (ROWS, COLUMNS))
        reach, value = tl.associative_scan((decay, z), 0, chain)
        value += reach * tl.expand_dims(running, 0)
        tl.store(out + base + k[:, None] * DIM + d[None, :], value, mask=real)
        running = tl.sum(tl.where((r == ROWS - 1)[:, None], value, 0.0), 0)


@triton.jit(do_not_specialize=["rows", "time", "limit"])
def spread_kernel(
    average, member, out, rows, time, limit,
    DIM: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Each token takes the row of its chunk."""
    start = tl.program_id(0).to(tl.int64) * ROWS
    r = tl.arange(0, ROWS)
    d = tl.arange(0, PADDED)
    row = start + r
    which = tl.load(member + row, mask=row < rows, other=0)
    source = (row // time * limit + tl.maximum(which - 1, 0)) * DIM
    value = tl.load(average + source[:, None] + d[None, :], mask=(which > 0)[:, None] & (d < DIM)[None, :], other=0.0)
    spot = start * DIM + r[:, None] * DIM + d[None, :]
    tl.store(out + spot, value.to(out.dtype.element_ty), mask=(row < rows)[:, None] & (d < DIM)[None, :])


@triton.jit(do_not_specialize=["time", "limit"])
def gather_kernel(
    dy, member, start, out, time, limit,
    DIM: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The gradient of spread: one program sums the tokens of one chunk, in order, without atomics."""
    chunk = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    r = tl.arange(0, ROWS)
    d = tl.arange(0, PADDED)
    total = tl.zeros((PADDED,), tl.float32)
    begin = tl.load(start + batch * limit + chunk).to(tl.int32)
    following = tl.load(start + batch * limit + chunk + 1, mask=chunk + 1 < limit, other=0).to(tl.int32)
    end = tl.where(following > begin, following, time)
    # A chunk that is not there has its place at 0, which belongs to the first chunk or to none.
    end = tl.where(tl.load(member + batch * time + begin) == chunk + 1, end, begin)
    base = dy + batch * time * DIM
    for t in range(begin, end, ROWS):
        row = t + r
        mine = tl.load(member + batch * time + row, mask=row < end, other=0) == chunk + 1
        tile = tl.load(base + row[:, None] * DIM + d[None, :], mask=mine[:, None] & (d < DIM)[None, :], other=0.0)
        total += tl.sum(tile.to(tl.float32), 0)
    tl.store(out + (batch * limit + chunk) * DIM + d, total, mask=d < DIM)


@triton.jit(do_not_specialize=["rows", "limit"])
def smooth_slopes_kernel(
    slope, vectors, probability, averages, dvectors, dprobability, rows, limit,
    DIM: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """dz_k = p_k g_k and dp_k = (z_k - c_{k-1}) . g_k, which is 0 where p was outside its bounds."""
    start = tl.program_id(0).to(tl.int64) * ROWS
    r = tl.arange(0, ROWS)
    d = tl.arange(0, PADDED)
    row = start + r
    real = (row < rows)[:, None] & (d < DIM)[None, :]
    spot = start * DIM + r[:, None] * DIM + d[None, :]
    g = tl.load(slope + spot, mask=real, other=0.0)
    z = tl.load(vectors + spot, mask=real, other=0.0).to(tl.float32)
    before = tl.load(averages + spot - DIM, mask=real & (row % limit != 0)[:, None], other=0.0)
    given = tl.load(probability + row, mask=row < rows, other=0.0).to(tl.float32)
    p = tl.minimum(tl.maximum(given, 0.0), SURE_CONSTANT)
    tl.store(dvectors + spot, (g * p[:, None]).to(dvectors.dtype.element_ty), mask=real)
    dp = tl.where(given == p, tl.sum((z - before) * g, 1), 0.0)
    tl.store(dprobability + row, dp, mask=row < rows)


@triton.jit(do_not_specialize=["rows", "time", "limit"])
def take_kernel(
    h, start, real, out, rows, time, limit,
    DIM: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The first token of each chunk; rows of out are chunks, 0 where there is none."""
    first = tl.program_id(0).to(tl.int64) * ROWS
    r = tl.arange(0, ROWS)
    d = tl.arange(0, PADDED)
    row = first + r
    there = tl.load(real + row, mask=row < rows, other=0) != 0
    source = row // limit * time + tl.load(start + row, mask=there, other=0)
    value = tl.load(h + source[:, None] * DIM + d[None, :], mask=there[:, None] & (d < DIM)[None, :], other=0.0)
    tl.store(out + row[:, None] * DIM + d[None, :], value, mask=(row < rows)[:, None] & (d < DIM)[None, :])


@triton.jit(do_not_specialize=["rows", "time", "limit"])
def place_kernel(
    dout, member, offset, dh, rows, time, limit,
    DIM: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The gradient of take: a token that begins a chunk gets that chunk's row, all others 0."""
    first = tl.program_id(0).to(tl.int64) * ROWS
    r = tl.arange(0, ROWS)
    d = tl.arange(0, PADDED)
    row = first + r
    which = tl.load(member + row, mask=row < rows, other=0)
    begins = (which > 0) & (tl.load(offset + row, mask=row < rows, other=1) == 0)
    source = row // time * limit + tl.maximum(which - 1, 0)
    value = tl.load(dout + source[:, None] * DIM + d[None, :], mask=begins[:, None] & (d < DIM)[None, :], other=0.0)
    tl.store(dh + row[:, None] * DIM + d[None, :], value, mask=(row < rows)[:, None] & (d < DIM)[None, :])
