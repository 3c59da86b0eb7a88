"""Cases of the operators that work row by row: norms, short filter, dynamic chunking. The compiler is a peer here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from kernels import chunking, norm
from kernels import filter as filters
from kernels.chunking.reference import average_reference, likeness_reference, spread_reference
from kernels.filter.reference import short_filter_reference
from kernels.norm.reference import add_rms_norm_reference, rms_norm_reference
from scripts.kernel_bench.case import BYTES_PER_MS, Case, Prepared, error

TOKENS = 65536


def rms(width: int, *, gated: bool, backward: bool, compiled: bool) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        x = torch.randn(TOKENS, width, device="cuda", dtype=torch.bfloat16, requires_grad=backward)
        gate = torch.randn_like(x, requires_grad=backward) if gated else None
        weight = torch.randn(width, device="cuda", requires_grad=backward)
        dy = torch.randn_like(x)
        fused = torch.compile(rms_norm_reference, dynamic=False) if compiled else None

        def call() -> Tensor:
            return norm.rms_norm(x, weight, gate=gate) if fused is None else fused(x, weight, gate, 1e-5)

        def both() -> object:
            return torch.autograd.grad(call(), [t for t in (x, weight, gate) if t is not None], dy)

        def check() -> float:
            wide = None if gate is None else gate.double()
            return error(call(), rms_norm_reference(x.double(), weight.double(), wide, 1e-5))

        return (both if backward else call), check, 1e-2

    return prepare


def summed(width: int, *, backward: bool, compiled: bool) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        x = torch.randn(TOKENS, width, device="cuda", dtype=torch.bfloat16, requires_grad=backward)
        residual = torch.randn_like(x, requires_grad=backward)
        weight = torch.randn(width, device="cuda", requires_grad=backward)
        slopes = [torch.randn_like(x), torch.randn_like(x)]
        fused = torch.compile(add_rms_norm_reference, dynamic=False) if compiled else None

        def call() -> tuple[Tensor, Tensor]:
            if fused is None:
                return norm.add_rms_norm(x, residual, weight)
            return fused(x, residual, weight, None, 1e-5)

        def both() -> object:
            return torch.autograd.grad(call(), (x, residual, weight), slopes)

        def check() -> float:
            expected, _ = add_rms_norm_reference(x.double(), residual.double(), weight.double(), None, 1e-5)
            return error(call()[0], expected)

        return (both if backward else call), check, 1e-2

    return prepare


def filtered(channels: int, *, backward: bool, compiled: bool) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        wide = torch.randn(32, 2368, 2 * channels, device="cuda", dtype=torch.bfloat16, requires_grad=backward)
        taps, bias = torch.randn(3, channels, device="cuda"), torch.randn(channels, device="cuda")
        taps, bias = taps.requires_grad_(backward), bias.requires_grad_(backward)
        mask = (torch.arange(2368, device="cuda") < 2200).expand(32, -1).contiguous()
        dy = torch.randn(32, 2368, channels, device="cuda", dtype=torch.bfloat16)
        fused = torch.compile(short_filter_reference, dynamic=False) if compiled else None

        def call() -> Tensor:
            u = wide[..., :channels]
            return filters.short_filter(u, taps, bias, mask=mask) if fused is None else fused(u, taps, bias, mask)

        def both() -> object:
            return torch.autograd.grad(call(), (wide, taps, bias), dy)

        def check() -> float:
            u = wide[:2, :, :channels].detach().double()
            with torch.no_grad():
                return error(call()[:2], short_filter_reference(u, taps.double(), bias.double(), mask[:2]))

        return (both if backward else call), check, 3e-2 if compiled else 1e-2

    return prepare


def chunked(*, backward: bool) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        h = torch.randn(64, 1024, 384, device="cuda", dtype=torch.bfloat16, requires_grad=backward)
        query, key = ((torch.randn(384, 384, device="cuda") / 20).bfloat16().requires_grad_(backward) for _ in range(2))
        boundary = torch.rand(64, 1024, device="cuda") < 0.125
        boundary[:, 0] = True
        dy = torch.randn(64, 1024, 384, device="cuda", dtype=torch.bfloat16)

        def call() -> Tensor:
            p = chunking.boundary_probability(chunking.boundary_likeness(h, query, key))
            numbered = chunking.compact(boundary, 256)
            vectors = chunking.chunk_rows(h, numbered)
            return chunking.dechunk(vectors, p.gather(1, numbered.start), numbered)

        def both() -> object:
            return torch.autograd.grad(call(), (h, query, key), dy)

        def check() -> float:
            wide = [t.detach().float() for t in (h[:4], query, key)]
            p = chunking.boundary_probability(likeness_reference(*wide))
            numbered = chunking.compact(boundary[:4], 256)
            vectors = wide[0].gather(1, numbered.start[..., None].expand(-1, -1, 384))
            average = average_reference(vectors, p.gather(1, numbered.start))
            with torch.no_grad():
                return error(call()[:4], spread_reference(average, numbered.member))

        return (both if backward else call), check, 1e-2

    return prepare


def cases() -> Iterator[Case]:
    shape = "64x1024x384, 8192 boundaries"
    yield Case("routing+chunk+dechunk fwd", shape, "bf16", 0.064, 0.16, 0.12, chunked(backward=False))
    yield Case("routing+chunk+dechunk fwd+bwd", shape, "bf16", 0.2, 0.6, 0.45, chunked(backward=True))
    for width, gated, backward, floor, must, stretch in (
        (384, False, False, 0.024, 0.031, None), (768, False, False, 0.047, 0.056, None),
        (384, True, False, 0.036, 0.044, 0.041), (768, True, False, 0.071, 0.077, 0.075),
        (384, False, True, 0.059, None, None), (768, False, True, 0.118, None, None),
        (384, True, True, 0.095, 0.14, 0.12), (768, True, True, 0.189, 0.25, 0.22),
    ):  # fmt: skip
        name = f"{'gated ' if gated else ''}rmsnorm fwd{'+bwd' if backward else ''}"
        for compiled in (False, True):
            yield Case(name, f"65536x{width}", "bf16", floor, must, stretch,
                       rms(width, gated=gated, backward=backward, compiled=compiled),
                       "torch.compile" if compiled else "ours")  # fmt: skip
    for backward in (False, True):
        step = f"fwd{'+bwd' if backward else ''}"
        for compiled in (False, True):
            impl = "torch.compile" if compiled else "ours"
            # Bytes forward: two tensors in and two out; backward adds two gradients and the sum in, one gradient out.
            moved = TOKENS * 384 * 2 * (4 + (4 if backward else 0))
            yield Case(f"rmsnorm of a sum {step}", "65536x384", "bf16", moved / BYTES_PER_MS, None, None,
                       summed(384, backward=backward, compiled=compiled), impl)  # fmt: skip
            moved = 32 * 2368 * 544 * 2 * (2 + (3 if backward else 0))
            yield Case(f"short filter {step}", "32x2368x544 masked", "bf16", moved / BYTES_PER_MS, None, None,
                       filtered(544, backward=backward, compiled=compiled), impl)  # fmt: skip
