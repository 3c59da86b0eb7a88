"""Cases of late interaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import maxsim
from kernels.maxsim.reference import maxsim_binary
from scripts.kernel_bench.case import READ_PER_MS, Case, Prepared, error


def late_inputs(queries: int, pages: int, length: int, dims: int, kind: str) -> tuple[Tensor, Tensor, Tensor | None]:
    if kind == "int8":
        query = torch.randint(-127, 128, (queries, 32, dims), device="cuda", dtype=torch.int8)
        tokens = torch.randint(-127, 128, (pages, length, dims), device="cuda", dtype=torch.int8)
        return query, tokens, torch.rand(pages, length, device="cuda").half() * 0.01
    query = torch.randn(queries, 32, dims, device="cuda", dtype=torch.float16)
    return query, torch.randn(pages, length, dims, device="cuda", dtype=torch.float16), None


def exact(query: Tensor, tokens: Tensor, scales: Tensor | None) -> Tensor:
    wide = tokens.double() * (1.0 if scales is None else scales[..., None].double())
    return torch.einsum("qwd,prd->qpwr", query.double(), wide).amax(-1).sum(-1)


def late(queries: int, pages: int, length: int, dims: int, kind: str) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        query, tokens, scales = late_inputs(queries, pages, length, dims, kind)

        def check() -> float:
            few = None if scales is None else scales[-200:]
            return error(maxsim.maxsim_sums(query, tokens, scales)[:, -200:], exact(query, tokens[-200:], few))

        return (lambda: maxsim.maxsim_sums(query, tokens, scales)), check, 1e-5

    return prepare


def bits(pages: int, *, top: int | None) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        query = torch.randint(-(2**31), 2**31 - 1, (32, 2), device="cuda", dtype=torch.int32)
        tokens = torch.randint(-(2**31), 2**31 - 1, (pages, 64, 2), device="cuda", dtype=torch.int32)

        def check() -> float:
            if top is None:
                return error(maxsim.maxsim_bits(query, tokens)[:500], maxsim_binary(query, tokens[:500]))
            _, best = maxsim.maxsim_bits_top(query, tokens, k=top)
            order = torch.sort(maxsim.maxsim_bits(query, tokens), descending=True, stable=True).indices[:top]
            return float((best != order).sum())

        if top is None:
            return (lambda: maxsim.maxsim_bits(query, tokens)), check, 0.0
        return (lambda: maxsim.maxsim_bits_top(query, tokens, k=top)), check, 0.0

    return prepare


def best_of(pages: int, top: int) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        query, tokens, scales = late_inputs(1, pages, 64, 64, "int8")

        def check() -> float:
            _, best = maxsim.maxsim_top(query, tokens, scales, k=top)
            every = maxsim.maxsim_sums(query, tokens, scales)[0]
            return float((best[0] != torch.sort(every, descending=True, stable=True).indices[:top]).sum())

        return (lambda: maxsim.maxsim_top(query, tokens, scales, k=top)), check, 0.0

    return prepare


def ragged() -> Prepared:
    lengths = torch.randint(1, 128, (100_000,), device="cuda")
    offsets = F.pad(lengths.cumsum(0), (1, 0))
    rows = int(offsets[-1])
    tokens = torch.randint(-127, 128, (rows, 64), device="cuda", dtype=torch.int8)
    scales = (torch.rand(rows, device="cuda") * 0.01).half()
    query = F.normalize(torch.randn(4, 64, device="cuda"), dim=-1).half()

    def check() -> float:
        few = offsets[:301]
        end = int(few[-1])
        expected, _ = maxsim.reference.maxsim_ragged(query.float(), tokens[:end], scales[:end], few)
        return error(maxsim.maxsim_scores(query, tokens, scales, offsets)[0][:300], expected)

    return (lambda: maxsim.maxsim_scores(query, tokens, scales, offsets)[0]), check, 1e-4


def learned() -> Prepared:
    """A contrastive step: 64 queries of 32 tokens against 64 pages of 256, forward and backward."""
    query = torch.randn(64, 32, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    tokens = torch.randn(64, 256, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    slope = torch.randn(64, 64, device="cuda")

    def call() -> object:
        return torch.autograd.grad(maxsim.maxsim_sums(query, tokens), (query, tokens), slope)

    def check() -> float:
        return error(maxsim.maxsim_sums(query, tokens), exact(query, tokens, None))

    return call, check, 1e-5


def cases() -> Iterator[Case]:
    one, many = "maxsim 1 query", "100000x64x64"
    yield Case(one, "1000x1024x128", "fp16", 0.060, 0.073, 0.068, late(1, 1000, 1024, 128, "fp16"))
    yield Case("maxsim 16 queries", "1000x1024x128", "fp16", 0.174, 0.22, 0.20, late(16, 1000, 1024, 128, "fp16"))
    yield Case(one, many, "fp16", 0.187, 0.195, 0.19, late(1, 100_000, 64, 64, "fp16"))
    yield Case(one, many, "int8", 0.097, 0.145, 0.115, late(1, 100_000, 64, 64, "int8"))
    yield Case(one, many, "binary", 0.012, 0.11, 0.06, bits(100_000, top=None))
    yield Case("maxsim top 100", many, "int8", 0.097, None, None, best_of(100_000, 100))
    yield Case("maxsim top 100", "1000000x64x64", "binary", 0.117, None, None, bits(1_000_000, top=100))
    yield Case("maxsim maxima, 4 words", "100000 pages of 1..127 x 64", "int8", 100_000 * 64 * 66 / READ_PER_MS,
               None, None, ragged)  # fmt: skip
    yield Case("maxsim fwd+bwd", "64 queries x 64 pages x 256 x 64", "bf16", 0.02, None, None, learned)
