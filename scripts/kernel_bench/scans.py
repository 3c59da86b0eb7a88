"""Cases of the scan and of the delta rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import delta, ssd
from scripts.kernel_bench.case import BYTES_PER_MS, FLOP_PER_MS, Case, Prepared, Run, error

FORWARD, BOTH = "ssd both directions fwd", "ssd both directions fwd+bwd"


def scan_inputs(documents: int, time: int, heads: int, state: int) -> list[Tensor]:
    """x, b, c, dt of both directions as cuts of one projection, a, skip, bias."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)

    width = heads * 64
    # One projection as a layer has it, its width a multiple of eight numbers.
    row = normal(documents, time, 2 * width + 2 * state + 2 * heads + (-2 * heads) % 8)
    x, b, c, dt = row[..., width:].split([width, state, state, row.shape[-1] - 2 * width - 2 * state], -1)
    dt = dt[..., : 2 * heads].reshape(documents, time, 2, heads)
    a = -torch.rand(2, heads, device="cuda") * 3 - 0.5
    skip, bias = torch.ones(heads, device="cuda"), torch.rand(2, heads, device="cuda") * 3 - 4
    return [x.reshape(documents, time, heads, 64), b, c, dt[:, :, 0], dt[:, :, 1], a, skip, bias]


def scan_floor(tokens: int, heads: int, state: int) -> float:
    moved = tokens * (2 * heads * 64 * 2 + 2 * state * 2 + 2 * heads * 2)
    flop = tokens * (2 * 64 * state + heads * (2 * 64 * 64 + 8 * 64 * state))
    return max(moved / BYTES_PER_MS, flop / FLOP_PER_MS)


def scan(
    documents: int,
    time: int,
    heads: int,
    state: int,
    *,
    backward: bool,
    edges: list[int] | None = None,
    masked: bool = False,
) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        inputs = [t.detach().requires_grad_(backward) for t in scan_inputs(documents, time, heads, state)]
        *rest, skip, bias = inputs
        cu = None if edges is None else torch.tensor(edges, device="cuda", dtype=torch.int32)
        mask = (torch.arange(time, device="cuda") < time - 90).expand(documents, -1) if masked else None
        dy = torch.randn(documents, time, heads, 64, device="cuda", dtype=torch.bfloat16)

        def call() -> Tensor:
            return ssd.bidirectional_ssd(*rest, skip=skip, dt_bias=bias, mask=mask, cu_seqlens=cu)

        def both() -> object:
            return torch.autograd.grad(call(), inputs, dy)

        def check() -> float:
            x, b, c, dt_f, dt_b, a = (t.detach() for t in rest)
            # One document's worth is compared: the plain form of all of them does not fit.
            end = time - 90 if masked else time if edges is None else edges[1]
            dt_f, dt_b = (F.softplus(t.float() + s) for t, s in ((dt_f, bias[0]), (dt_b, bias[1])))
            part = [t[:1, :end].float() for t in (x, b, c, dt_f, dt_b)]
            with torch.no_grad():
                return error(call()[:1, :end], ssd.ssd_chunked(*part, a, skip.detach()))

        return (both if backward else call), check, 1e-2

    return prepare


def cases() -> Iterator[Case]:
    forward = {(64, 1024): ((0.26, 0.18), (0.38, 0.27)), (16, 4096): ((0.29, 0.20), (0.42, 0.30)),
               (4, 16384): ((0.33, 0.23), (0.46, 0.32))}  # fmt: skip
    for (documents, length), targets in forward.items():
        for state, (must, stretch) in zip((64, 128), targets, strict=True):
            yield Case(FORWARD, f"{documents}x{length} 12x64 N={state}", "bf16", scan_floor(65536, 12, state),
                       must, stretch, scan(documents, length, 12, state, backward=False))  # fmt: skip
    # Targets: 1.15 and 1.05 times those of the equal lengths.
    yield Case(FORWARD, "64 mixed lengths in 65536 12x64 N=64", "bf16", scan_floor(65536, 12, 64), 0.299, 0.189,
               scan(1, 65536, 12, 64, backward=False, edges=mixed_edges()))  # fmt: skip
    for state, floor, must, stretch in ((64, 0.148, 1.2, 0.8), (128, 0.250, 1.7, 1.2)):
        yield Case(BOTH, f"64x1024 12x64 N={state}", "bf16", floor, must, stretch,
                   scan(64, 1024, 12, state, backward=True))  # fmt: skip
    for documents, length, heads, state in ((32, 2368, 8, 16), (64, 256, 12, 32)):
        for backward in (False, True):
            floor = scan_floor(documents * length, heads, state) * (2.8 if backward else 1.0)
            # The same share of the floor as the aim at 64x1024, N=64.
            aim = floor * (0.8 / 0.148 if backward else 0.18 / 0.052)
            yield Case(BOTH if backward else FORWARD, f"{documents}x{length} {heads}x64 N={state} masked", "bf16",
                       floor, None, aim,
                       scan(documents, length, heads, state, backward=backward, masked=True))  # fmt: skip
    yield Case("gated delta both directions fwd", "64x1024 12x64 N=64", "bf16", scan_floor(65536, 12, 64), None, None,
               delta_rule(64, 1024, 12, 64))  # fmt: skip


def mixed_edges() -> list[int]:
    """64 documents of 64 to 4,096 tokens, 65,536 in all."""
    lengths = torch.logspace(1.81, 3.6, 63, dtype=torch.float64)
    lengths = (lengths * (65536 - 1024) / lengths.sum()).clamp(64, 4096).long()
    lengths = lengths[torch.randperm(63, generator=torch.Generator().manual_seed(0))].tolist()
    lengths.append(65536 - sum(lengths))
    return [0, *torch.tensor(lengths).cumsum(0).tolist()]


def delta_rule(documents: int, time: int, heads: int, state: int) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        v = torch.randn(documents, time, heads, 64, device="cuda", dtype=torch.bfloat16)
        k, q = (F.normalize(torch.randn(documents, time, state, device="cuda"), dim=-1).bfloat16() for _ in range(2))
        beta = [torch.rand(documents, time, heads, device="cuda") for _ in range(2)]
        decay = [-torch.rand(documents, time, heads, device="cuda") * 0.2 for _ in range(2)]

        def call() -> Tensor:
            return delta.bidirectional_delta(v, k, q, *beta, *decay)

        def check() -> float:
            part = [t[:1].double() for t in (v, k, q, *beta, *decay)]
            return error(call()[:1], delta.delta_chunked(*part))

        return call, check, 1e-2

    return prepare


__all__ = ["BOTH", "FORWARD", "Run", "cases", "scan_inputs"]
