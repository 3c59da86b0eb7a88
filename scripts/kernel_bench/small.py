"""Small calls of every operator, forward and backward, for compute-sanitizer: it slows a kernel a hundred times."""

from __future__ import annotations

import torch

from kernels.chunking import boundary_likeness, boundary_probability, chunk_rows, compact, dechunk
from kernels.delta import bidirectional_delta
from kernels.filter import short_filter
from kernels.maxsim import maxsim_bits_top, maxsim_scores, maxsim_sums, maxsim_top
from kernels.norm import add_rms_norm, rms_norm
from kernels.ssd.triton import ssd_triton

OPERATORS = ("ssd", "delta", "chunking", "maxsim", "norm", "filter")


def run_small(operator: str) -> None:
    {"ssd": _ssd, "delta": _delta, "chunking": _chunking, "maxsim": _maxsim, "norm": _norm, "filter": _filter}[
        operator
    ]()
    torch.cuda.synchronize()


def _normal(*shape: int, kind: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(*shape, device="cuda").to(kind).requires_grad_()


def _ssd() -> None:
    for batch, time, state, edges in ((1, 300, 16, None), (1, 300, 64, [0, 0, 130, 131, 300]), (40, 130, 32, None)):
        x, b, c = _normal(batch, time, 4, 64), _normal(batch, time, state), _normal(batch, time, state)
        dt, a = _normal(2, batch, time, 4), -torch.rand(2, 4, device="cuda") - 0.1
        cu = None if edges is None else torch.tensor(edges, dtype=torch.int32, device="cuda")
        mask = torch.rand(batch, time, device="cuda") > 0.2
        y = ssd_triton(x, b, c, dt[0], dt[1], a, skip=torch.ones(4, device="cuda"),
                       dt_bias=torch.zeros(2, 4, device="cuda"), mask=mask, cu_seqlens=cu)  # fmt: skip
        y.sum().backward()


def _delta() -> None:
    v, k = _normal(1, 130, 2, 64).detach(), _normal(1, 130, 64).detach()
    gate = torch.rand(1, 130, 2, device="cuda")
    bidirectional_delta(v, k, k, gate, gate, -gate, -gate)


def _chunking() -> None:
    h, query, key = _normal(2, 150, 128), _normal(128, 128), _normal(128, 128)
    chunks = compact(torch.rand(2, 150, device="cuda") < 0.2, 40)
    p = boundary_probability(boundary_likeness(h, query, key))
    dechunk(chunk_rows(h, chunks), p.gather(1, chunks.start), chunks).sum().backward()


def _maxsim() -> None:
    offsets = torch.tensor([0, 5, 5, 200], device="cuda")
    best, _ = maxsim_scores(_normal(20, 64), _normal(200, 64), None, offsets)
    best[[0, 2]].sum().backward()
    eight = torch.randint(-9, 9, (300, 64, 64), device="cuda", dtype=torch.int8)
    scales = torch.rand(300, 64, device="cuda").half()
    maxsim_top(eight[:1, :32], eight, scales, k=5)
    maxsim_sums(_normal(1, 32, 128).detach(), _normal(3, 512, 128).detach())
    words = torch.randint(-(2**31), 2**31 - 1, (300, 64, 2), device="cuda", dtype=torch.int32)
    maxsim_bits_top(words[0, :32].contiguous(), words, k=5)


def _norm() -> None:
    x, gate, weight = _normal(70, 384), _normal(70, 384), _normal(384, kind=torch.float32)
    rms_norm(x, weight, gate=gate).sum().backward()
    rms_norm(x, weight).sum().backward()
    y, total = add_rms_norm(x, gate, weight, scale=torch.ones(384, device="cuda", requires_grad=True))
    (y.sum() + total.sum()).backward()


def _filter() -> None:
    mask = torch.rand(2, 70, device="cuda") > 0.2
    u, taps, bias = _normal(2, 70, 96), _normal(3, 96, kind=torch.float32), _normal(96, kind=torch.float32)
    short_filter(u, taps, bias, mask=mask).sum().backward()
