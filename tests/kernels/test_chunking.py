"""Dynamic chunking on both paths: boundaries, numbering, and the way back to tokens."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kernels.chunking import (
    Chunks,
    boundary_likeness,
    boundary_probability,
    chunk_rows,
    compact,
    dechunk,
    straight_through,
)
from tests.kernels.accuracy import GRADIENT, TOLERANCE, close


def boundaries(batch: int, time: int, share: float, device: str) -> torch.Tensor:
    return (torch.rand(batch, time, generator=torch.Generator().manual_seed(time)) < share).to(device)


def likeness_in_fp64(h: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    cosine = F.cosine_similarity(h[:, 1:] @ query.T, h[:, :-1] @ key.T, dim=-1)
    return torch.cat([-torch.ones_like(cosine[:, :1]), cosine], 1) if h.shape[1] > 1 else -torch.ones_like(h[..., 0])


def check_likeness(batch: int, time: int, dim: int, width: int, kind: torch.dtype, device: str) -> None:
    g = torch.Generator().manual_seed(time)
    h, query, key = (torch.randn(*s, generator=g).to(device, kind) for s in ((batch, time, dim), (width, dim),
                                                                             (width, dim)))  # fmt: skip
    leaves = [t.clone().requires_grad_() for t in (h, query, key)]
    wide = [t.double().requires_grad_() for t in (h, query, key)]
    got, expected = boundary_likeness(*leaves), likeness_in_fp64(*wide)
    close("likeness", got, expected, TOLERANCE[kind])
    weight = torch.randn(batch, time, generator=g).to(device)
    (got * weight).sum().backward()
    if expected.requires_grad:
        (expected * weight.double()).sum().backward()
    for name, leaf, twin in zip(("h", "query", "key"), leaves, wide, strict=True):
        assert leaf.grad is not None
        if twin.grad is not None:
            close(f"gradient of {name}", leaf.grad, twin.grad, GRADIENT[kind])


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("batch", "time", "dim", "width"), [(1, 1, 32, 16), (2, 65, 64, 64), (3, 7, 96, 32)])
def test_likeness_of_neighbours(batch: int, time: int, dim: int, width: int, path: str, device: str) -> None:
    check_likeness(batch, time, dim, width, torch.float32, device)


def test_zero_rows_are_neither_like_nor_unlike(path: str, device: str) -> None:
    h = torch.zeros(1, 5, 32, device=device, requires_grad=True)
    got = boundary_likeness(h, torch.ones(16, 32, device=device), torch.ones(16, 32, device=device))
    got.sum().backward()
    assert got.tolist() == [[-1.0, 0.0, 0.0, 0.0, 0.0]]
    assert h.grad is not None
    assert torch.isfinite(h.grad).all()


def test_probability_is_one_at_the_first_token_and_a_tie_is_no_boundary() -> None:
    p = boundary_probability(torch.tensor([[-1.0, 0.0, 1.0, -0.5]]))
    assert p.tolist() == [[1.0, 0.5, 0.0, 0.75]]
    assert (p > 0.5).tolist() == [[True, False, False, True]]


def test_chunks_are_numbered_in_order(path: str, device: str) -> None:
    boundary = torch.tensor([[0, 1, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0]], dtype=torch.bool, device=device)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1]], dtype=torch.bool, device=device)
    chunks = compact(boundary, 4, mask=mask)
    assert chunks.member.tolist() == [[0, 1, 1, 2, 3, 3, 0], [1, 1, 1, 1, 1, 1, 1]]
    assert chunks.start.tolist() == [[1, 3, 4, 0], [0, 0, 0, 0]]
    assert chunks.real.tolist() == [[True, True, True, False], [True, False, False, False]]
    assert chunks.offset.tolist() == [[0, 0, 1, 0, 0, 1, 0], [0, 1, 2, 3, 4, 5, 6]]


def test_chunks_past_the_limit_have_no_members(path: str, device: str) -> None:
    chunks = compact(torch.ones(1, 5, dtype=torch.bool, device=device), 3)
    assert chunks.member.tolist() == [[1, 2, 3, 0, 0]]
    assert chunks.start.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(("time", "limit"), [(1, 1), (1030, 7), (2100, 900)])
def test_both_paths_number_alike(time: int, limit: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    boundary, mask = boundaries(2, time, 0.3, device), boundaries(2, time + 1, 0.8, device)[:, 1:]
    both: list[Chunks] = []
    for forced in ("reference", "triton"):
        monkeypatch.setenv("CLAIMSIGHT_KERNELS", forced)
        both.append(compact(boundary, limit, mask=mask))
    for name in ("member", "start", "real", "offset"):
        assert torch.equal(getattr(both[0], name), getattr(both[1], name)), name


@pytest.mark.usefixtures("poisoned")
def test_rows_of_chunks_and_their_gradient(path: str, device: str) -> None:
    boundary = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0]], dtype=torch.bool, device=device)
    chunks = compact(boundary, 3)
    h = torch.arange(2 * 4 * 16, dtype=torch.float32, device=device).view(2, 4, 16).requires_grad_()
    rows = chunk_rows(h, chunks)
    assert torch.equal(rows[0, :2], h[0, [1, 3]])
    assert torch.equal(rows[1, 0], h[1, 0])
    assert not rows[0, 2].any()
    assert not rows[1, 1:].any()
    (rows * torch.tensor([1.0, 2.0, 4.0], device=device)[None, :, None]).sum().backward()
    assert h.grad is not None
    assert h.grad[..., 0].tolist() == [[0.0, 1.0, 0.0, 2.0], [1.0, 0.0, 0.0, 0.0]]


def dechunk_in_fp64(vectors: torch.Tensor, probability: torch.Tensor, chunks: Chunks) -> torch.Tensor:
    p = probability.clamp(max=1 - 1e-4)
    rows = []
    for b in range(len(vectors)):
        running, averages = torch.zeros_like(vectors[0, 0]), []
        for k in range(vectors.shape[1]):
            running = p[b, k] * vectors[b, k] + (1 - p[b, k]) * running
            averages.append(running)
        none = torch.zeros_like(running)
        rows.append(torch.stack([averages[m - 1] if m else none for m in chunks.member[b].tolist()]))
    return torch.stack(rows)


def check_dechunk(batch: int, time: int, limit: int, dim: int, kind: torch.dtype, device: str) -> None:
    g = torch.Generator().manual_seed(dim)
    boundary = boundaries(batch, time, 0.3, device)
    boundary[0, 0] = True
    mask = torch.arange(time, device=device) % 19 < (18 if time > 1 else 19)
    chunks = compact(boundary, limit, mask=mask.expand(batch, -1))
    vectors = torch.randn(batch, limit, dim, generator=g).to(device, kind)
    probability = torch.rand(batch, limit, generator=g).to(device)
    probability[:, 0] = 1.0
    leaves = [vectors.clone().requires_grad_(), probability.clone().requires_grad_()]
    wide = [t.double().cpu().requires_grad_() for t in (vectors, probability)]
    there = Chunks(*(t.cpu() for t in (chunks.member, chunks.start, chunks.real, chunks.offset)))
    got, expected = dechunk(leaves[0], leaves[1], chunks), dechunk_in_fp64(wide[0], wide[1], there)
    close("tokens", got, expected, TOLERANCE[kind])
    dy = torch.randn(batch, time, dim, generator=g)
    (got * dy.to(device, kind)).sum().backward()
    (expected * dy.to(kind).double()).sum().backward()
    for name, leaf, twin in zip(("vectors", "probability"), leaves, wide, strict=True):
        assert leaf.grad is not None
        assert twin.grad is not None
        close(f"gradient of {name}", leaf.grad, twin.grad, GRADIENT[kind])


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("batch", "time", "limit", "dim"), [(2, 40, 16, 48), (1, 1, 1, 16), (1, 150, 70, 32)])
def test_dechunk(batch: int, time: int, limit: int, dim: int, path: str, device: str) -> None:
    check_dechunk(batch, time, limit, dim, torch.float32, device)


def test_straight_through_is_one_with_the_gradient_of_the_probability() -> None:
    p = torch.tensor([0.2, 0.9], requires_grad=True)
    gate = straight_through(p)
    gate.sum().backward()
    assert gate.tolist() == [1.0, 1.0]
    assert p.grad is not None
    assert p.grad.tolist() == [1.0, 1.0]


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_gpu_chunking(kind: torch.dtype) -> None:
    check_likeness(2, 1000, 384, 384, kind, "cuda")
    check_likeness(3, 500, 256, 64, kind, "cuda")
    check_dechunk(3, 500, 200, 384, kind, "cuda")
