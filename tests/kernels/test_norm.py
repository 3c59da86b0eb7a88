"""Plain and gated RMS norm on both paths, outputs and gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kernels.norm import add_rms_norm, rms_norm
from tests.kernels.accuracy import GRADIENT, TOLERANCE, close


def truth(x: torch.Tensor, weight: torch.Tensor, gate: torch.Tensor | None) -> torch.Tensor:
    u = x if gate is None else x * F.silu(gate)
    return u / torch.sqrt((u * u).mean(-1, keepdim=True) + 1e-5) * weight


def check(rows: int, width: int, kind: torch.dtype, *, gated: bool, device: str, scale: float = 1.0) -> None:
    g = torch.Generator().manual_seed(rows)
    x = (torch.randn(rows, width, generator=g) * scale).to(device, kind).requires_grad_()
    gate = torch.randn(rows, width, generator=g).to(device, kind).requires_grad_() if gated else None
    weight = torch.randn(width, generator=g).to(device).requires_grad_()
    dy = torch.randn(rows, width, generator=g).to(device, kind)
    y = rms_norm(x, weight, gate=gate)
    y.backward(dy)
    wide = [None if t is None else t.detach().double().requires_grad_() for t in (x, weight, gate)]
    expected = truth(wide[0], wide[1], wide[2])  # type: ignore[arg-type]
    expected.backward(dy.double())
    close("y", y, expected, TOLERANCE[kind])
    for name, got, twin in zip(("x", "weight", "gate"), (x, weight, gate), wide, strict=True):
        if got is not None and twin is not None:
            assert got.grad is not None
            assert twin.grad is not None
            close(f"gradient of {name}", got.grad, twin.grad, GRADIENT[kind])


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
@pytest.mark.parametrize(("rows", "width"), [(1, 384), (16, 384), (7, 100), (65, 768), (64, 768), (3, 2048)])
def test_norm_and_gradients(rows: int, width: int, gated: bool, path: str, device: str) -> None:
    check(rows, width, torch.float32, gated=gated, device=device)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_scale_of_the_input(scale: float, path: str, device: str) -> None:
    check(9, 64, torch.float32, gated=False, device=device, scale=scale)


def test_rows_of_zeros_give_zero(path: str, device: str) -> None:
    x = torch.zeros(3, 64, device=device, requires_grad=True)
    y = rms_norm(x, torch.ones(64, device=device))
    y.sum().backward()
    assert not y.any()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_rows_of_a_wider_tensor(path: str, device: str) -> None:
    whole = torch.randn(2, 5, 3 * 64, device=device)
    x, gate, _ = whole.split(64, dim=-1)
    weight = torch.rand(64, device=device)
    close("y", rms_norm(x, weight, gate=gate), truth(x.double(), weight.double(), gate.double()), 1e-5)


def test_wrong_gate_is_refused() -> None:
    with pytest.raises(ValueError, match="gate must be"):
        rms_norm(torch.zeros(2, 8), torch.ones(8), gate=torch.zeros(2, 7))


def check_sum(rows: int, width: int, kind: torch.dtype, *, scaled: bool, device: str) -> None:
    g = torch.Generator().manual_seed(rows)
    leaves = {"x": torch.randn(rows, width, generator=g).to(device, kind),
              "residual": torch.randn(rows, width, generator=g).to(device),
              "weight": torch.randn(width, generator=g).to(device)}  # fmt: skip
    if scaled:
        leaves["scale"] = torch.rand(width, generator=g).to(device)
    dy, dtotal = (torch.randn(rows, width, generator=g).to(device) for _ in range(2))
    own = {name: t.clone().requires_grad_() for name, t in leaves.items()}
    wide = {name: t.double().requires_grad_() for name, t in leaves.items()}
    y, total = add_rms_norm(own["x"], own["residual"], own["weight"], scale=own.get("scale"))
    s = wide["residual"] + wide["x"] * (wide["scale"] if scaled else 1.0)
    expected = truth(s, wide["weight"], None)
    torch.autograd.backward([y, total], [dy, dtotal])
    torch.autograd.backward([expected, s], [dy.double(), dtotal.double()])
    close("y", y, expected, TOLERANCE[torch.float32])
    close("sum", total, s, TOLERANCE[torch.float32])
    for name, leaf in own.items():
        assert leaf.grad is not None
        assert wide[name].grad is not None
        # x may be of 16 bits, and so is its gradient.
        tolerance = GRADIENT[kind if name == "x" else torch.float32]
        close(f"gradient of {name}", leaf.grad, wide[name].grad, tolerance)  # type: ignore[arg-type]


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
@pytest.mark.parametrize(("rows", "width"), [(1, 384), (7, 100)])
def test_norm_after_a_residual_sum(rows: int, width: int, scaled: bool, path: str, device: str) -> None:
    check_sum(rows, width, torch.float32, scaled=scaled, device=device)


def test_a_sum_of_other_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="residual must be"):
        add_rms_norm(torch.zeros(2, 8), torch.zeros(2, 7), torch.ones(8))


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
@pytest.mark.parametrize(("rows", "width"), [(5632, 384), (500, 768)])
def test_gpu_norm_after_a_residual_sum(rows: int, width: int, scaled: bool, kind: torch.dtype) -> None:
    check_sum(rows, width, kind, scaled=scaled, device="cuda")


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
@pytest.mark.parametrize(("rows", "width"), [(1, 384), (5632, 384), (5632, 768), (63, 1024), (500, 512)])
def test_gpu_norm(rows: int, width: int, gated: bool, kind: torch.dtype) -> None:
    check(rows, width, kind, gated=gated, device="cuda")
