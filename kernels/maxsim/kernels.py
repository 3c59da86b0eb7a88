"""Triton kernels of late interaction. Page tokens lie on the row side of the product, because Hopper's wide matrix
instruction wants 64 rows or more and a query has 32 tokens."""

# Inside a kernel these are the compiler's values, not the host's that the package's types describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["pages"])
def ragged_kernel(
    query, tokens, scales, offsets, best, where,
    pages, words,
    DIMS: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    SCALED: tl.constexpr, ARGMAX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program a page of any length and COLUMNS query tokens; maxima [pages, words] and their rows."""
    page = tl.program_id(0)
    start = tl.load(offsets + page)
    count = (tl.load(offsets + page + 1) - start).to(tl.int32)
    d = tl.arange(0, PADDED)
    w = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    asked = tl.load(query + w[:, None] * DIMS + d[None, :],
                    mask=(w < words)[:, None] & (d < DIMS)[None, :], other=0.0)  # fmt: skip
    base = tokens + start * DIMS
    top = tl.full((ROWS, COLUMNS), float("-inf"), tl.float32)
    top_row = tl.full((ROWS, COLUMNS), -1, tl.int32)
    r = tl.arange(0, ROWS)
    for low in range(0, count, ROWS):
        i = low + r
        real = i < count
        tile = tl.load(base + i[:, None] * DIMS + d[None, :], mask=real[:, None] & (d < DIMS)[None, :], other=0)
        score = tl.dot(tile.to(asked.dtype), tl.trans(asked), input_precision=PRECISION)
        if SCALED:
            score *= tl.load(scales + start + i, mask=real, other=0.0).to(tl.float32)[:, None]
        score = tl.where(real[:, None], score, float("-inf"))
        if ARGMAX:
            top_row = tl.where(score > top, i[:, None], top_row)
        top = tl.maximum(top, score)
    spot = page.to(tl.int64) * words + w
    high = tl.max(top, 0)
    tl.store(best + spot, high, mask=w < words)
    if ARGMAX:
        row = tl.where(top == high[None, :], top_row, 2147483647)
        tl.store(where + spot, tl.where(count > 0, tl.min(row, 0), -1).to(tl.int64), mask=w < words)


@triton.jit(do_not_specialize=["pages", "across"])
def equal_kernel(
    query, tokens, scales, out,
    pages, across,
    LENGTH: tl.constexpr, DIMS: tl.constexpr, ROWS: tl.constexpr, TILES: tl.constexpr, COLUMNS: tl.constexpr,
    SPAN: tl.constexpr, SCALED: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Pages of one length, sums over each query of SPAN tokens; COLUMNS // SPAN queries a program.

    A tile is part of a page (a running maximum is kept element by element and reduced once a page), one page, or
    several pages. One program walks TILES tiles, whole pages always. The `across` programs of the same pages are
    neighbours, so that they find these in the cache.
    """
    QUERIES: tl.constexpr = COLUMNS // SPAN
    d = tl.arange(0, DIMS)
    part = tl.program_id(0) % across
    w = part * COLUMNS + tl.arange(0, COLUMNS)
    asked = tl.trans(tl.load(query + w[:, None] * DIMS + d[None, :]))
    r = tl.arange(0, ROWS)
    queries = across * QUERIES
    q = part * QUERIES + tl.arange(0, QUERIES)
    first = (tl.program_id(0) // across).to(tl.int64) * (TILES * ROWS)
    base = tokens + first * DIMS
    left = tl.minimum(pages.to(tl.int64) * LENGTH - first, TILES * ROWS).to(tl.int32)
    if LENGTH > ROWS:
        EACH: tl.constexpr = LENGTH // ROWS
        top = tl.full((ROWS, COLUMNS), float("-inf"), tl.float32)
        for t in tl.range(0, TILES, num_stages=STAGES):
            i = t * ROWS + r
            tile = tl.load(base + i[:, None] * DIMS + d[None, :], mask=(i < left)[:, None], other=0)
            score = tl.dot(tile, asked, input_precision=PRECISION).to(tl.float32)
            if SCALED:
                score *= tl.load(scales + first + i, mask=i < left, other=0.0).to(tl.float32)[:, None]
            top = tl.maximum(top, score)
            if t % EACH == EACH - 1:
                total = tl.sum(tl.reshape(tl.max(top, 0), (QUERIES, SPAN)), 1)
                page = (first + t * ROWS) // LENGTH
                tl.store(out + q * pages.to(tl.int64) + page, total, mask=(page < pages) & (q < queries))
                top = tl.full((ROWS, COLUMNS), float("-inf"), tl.float32)
    else:
        GATHERED: tl.constexpr = ROWS // LENGTH
        g = tl.arange(0, GATHERED)
        for t in tl.range(0, TILES, num_stages=STAGES):
            i = t * ROWS + r
            tile = tl.load(base + i[:, None] * DIMS + d[None, :], mask=(i < left)[:, None], other=0)
            score = tl.dot(tile, asked, input_precision=PRECISION).to(tl.float32)
            if SCALED:
                score *= tl.load(scales + first + i, mask=i < left, other=0.0).to(tl.float32)[:, None]
            high = tl.max(tl.reshape(score, (GATHERED, LENGTH, COLUMNS)), 1)
            total = tl.sum(tl.reshape(high, (GATHERED, QUERIES, SPAN)), 2)
            page = (first + t * ROWS) // LENGTH + g
            tl.store(out + q[None, :] * pages.to(tl.int64) + page[:, None], total,
                     mask=(page < pages)[:, None] & (q < queries)[None, :])  # fmt: skip


@triton.jit
def spread_bits(word, ROWS: tl.constexpr):
    """Bits of int32 words [rows] as int8 0 or 1 [rows, 32]; column 4 s + j holds bit s + 8 j.

    One shift and one mask make four bytes at once; the order of the bits does not matter to a product of two sides
    that share it. The bytes lie in their register as they must, so taking it apart and together costs nothing.
    """
    four = (word[:, None] >> tl.arange(0, 8)[None, :]) & 0x01010101
    even = tl.join(four.to(tl.int8), (four >> 16).to(tl.int8))
    odd = tl.join((four >> 8).to(tl.int8), (four >> 24).to(tl.int8))
    return tl.reshape(tl.join(even, odd), (ROWS, 32))


@triton.jit
def asked_bits(query, words, n, LONGS: tl.constexpr, COLUMNS: tl.constexpr):
    """Word n of every query token as int8 -1 or 1: [32, columns]."""
    w = tl.arange(0, COLUMNS)
    bits = spread_bits(tl.load(query + w * LONGS + n, mask=w < words, other=0), COLUMNS)
    return tl.trans(2 * bits - 1)


@triton.jit(do_not_specialize=["pages", "words"])
def bits_kernel(
    query, tokens, out, pages, words,
    LENGTH: tl.constexpr, LONGS: tl.constexpr, PAGES: tl.constexpr, JOIN: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Bits against bits as int8 products: q in -1, 1 times b in 0, 1, then 2 q.b - sum(q).

    A row of the product is a page and a step takes JOIN tokens of each, so that the maximum over a page runs inside a
    thread, step by step.
    Counting differing bits would be 16 a clock on a multiprocessor; the matrix unit does the same work in a tenth.
    """
    i = tl.arange(0, JOIN * PAGES)
    w = tl.arange(0, COLUMNS)
    first = tl.program_id(0).to(tl.int64) * PAGES
    base = tokens + first * (LENGTH * LONGS)
    there = first + i % PAGES < pages
    place = i % PAGES * LENGTH + i // PAGES
    total = tl.zeros((COLUMNS,), tl.int32)
    for n in range(LONGS):
        total += tl.sum(asked_bits(query, words, n, LONGS, COLUMNS).to(tl.int32), 0)
    side_0 = asked_bits(query, words, 0, LONGS, COLUMNS)
    side_1 = asked_bits(query, words, LONGS - 1, LONGS, COLUMNS)
    top = tl.full((PAGES, COLUMNS), -2147483647, tl.int32)
    for t in range(0, LENGTH, JOIN):
        real = there & (i // PAGES + t < LENGTH)
        at = base + (place + t) * LONGS
        tile = spread_bits(tl.load(at, mask=real, other=0), JOIN * PAGES)
        score = tl.dot(tile, side_0, out_dtype=tl.int32)
        if LONGS > 1:
            tile = spread_bits(tl.load(at + LONGS - 1, mask=real, other=0), JOIN * PAGES)
            score = tl.dot(tile, side_1, score, out_dtype=tl.int32)
        for n in range(1, LONGS - 1):
            tile = spread_bits(tl.load(at + n, mask=real, other=0), JOIN * PAGES)
            score = tl.dot(tile, asked_bits(query, words, n, LONGS, COLUMNS), score, out_dtype=tl.int32)
        if LENGTH % JOIN != 0:
            score = tl.where((i // PAGES + t < LENGTH)[:, None], score, -2147483647)
        top = tl.maximum(top, tl.max(tl.reshape(score, (JOIN, PAGES, COLUMNS)), 0))
    value = tl.sum(tl.where((w < words)[None, :], 2 * top - total[None, :], 0), 1)
    page = first + tl.arange(0, PAGES)
    tl.store(out + page, value, mask=page < pages)


@triton.jit(do_not_specialize=["pages"])
def keys_kernel(scores, keys, heads, pages, GROUP: tl.constexpr, FLOATS: tl.constexpr):
    """Scores to int64 keys whose order is: higher score first, then lower page. Also the largest key of each group."""
    group = tl.program_id(0)
    query = tl.program_id(1).to(tl.int64)
    groups = tl.num_programs(0)
    page = group * GROUP + tl.arange(0, GROUP)
    score = tl.load(scores + query * pages + page, mask=page < pages, other=0)
    if FLOATS:
        bits = score.to(tl.int32, bitcast=True)
        score = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    key = score.to(tl.int64) * 4294967296 + (4294967295 - page.to(tl.int64))
    key = tl.where(page < pages, key, -9223372036854775807)
    tl.store(keys + (query * groups + group) * GROUP + tl.arange(0, GROUP), key)
    tl.store(heads + query * groups + group, tl.max(key, 0))


@triton.jit(do_not_specialize=["words"])
def of_tokens_kernel(
    query, slope, where, offsets, dtokens, words,
    DIMS: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradient of the page tokens: a token gets the queries whose best it is. A product with a matrix of choices,
    so no atomics; one program a page walks its tokens."""
    page = tl.program_id(0)
    start = tl.load(offsets + page)
    count = (tl.load(offsets + page + 1) - start).to(tl.int32)
    r = tl.arange(0, ROWS)
    d = tl.arange(0, PADDED)
    for low in range(tl.program_id(1) * ROWS, count, tl.num_programs(1) * ROWS):
        i = low + r
        total = tl.zeros((ROWS, PADDED), tl.float32)
        for word in range(0, words, COLUMNS):
            w = word + tl.arange(0, COLUMNS)
            spot = page.to(tl.int64) * words + w
            chosen = tl.load(where + spot, mask=w < words, other=-1)
            pull = tl.load(slope + spot, mask=w < words, other=0.0)
            asked = tl.load(query + w[:, None] * DIMS + d[None, :],
                            mask=(w < words)[:, None] & (d < DIMS)[None, :], other=0.0)  # fmt: skip
            weight = tl.where(i[:, None] == chosen[None, :], pull[None, :], 0.0)
            total += tl.dot(weight.to(asked.dtype), asked, input_precision=PRECISION)
        at = dtokens + start * DIMS + i[:, None] * DIMS + d[None, :]
        tl.store(at, total.to(dtokens.dtype.element_ty), mask=(i < count)[:, None] & (d < DIMS)[None, :])


@triton.jit(do_not_specialize=["pages", "words"])
def of_query_kernel(
    tokens, scales, slope, where, offsets, shares, pages, words,
    DIMS: tl.constexpr, PADDED: tl.constexpr, COLUMNS: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """Gradient of the query tokens: the best rows of each page, gathered. Shares [programs, words, dims] add up."""
    w = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    d = tl.arange(0, PADDED)
    total = tl.zeros((COLUMNS, PADDED), tl.float32)
    for page in range(tl.program_id(1), pages, tl.num_programs(1)):
        start = tl.load(offsets + page)
        spot = tl.cast(page, tl.int64) * words + w
        chosen = tl.load(where + spot, mask=w < words, other=-1)
        pull = tl.load(slope + spot, mask=w < words, other=0.0)
        if SCALED:
            pull *= tl.load(scales + start + chosen, mask=chosen >= 0, other=0.0).to(tl.float32)
        row = tl.load(tokens + (start + chosen)[:, None] * DIMS + d[None, :],
                      mask=(chosen >= 0)[:, None] & (d < DIMS)[None, :], other=0)  # fmt: skip
        total += pull[:, None] * row.to(tl.float32)
    at = shares + (tl.program_id(1).to(tl.int64) * words + w[:, None]) * DIMS + d[None, :]
    tl.store(at, total, mask=(w < words)[:, None] & (d < DIMS)[None, :])
