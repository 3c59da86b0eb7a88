"""The short filter on both paths: outputs and gradients, masked steps, ends of rows."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kernels.filter import short_filter
from tests.kernels.accuracy import GRADIENT, TOLERANCE, close


def truth(u: torch.Tensor, taps: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """A loop over rows and steps of what the door promises."""
    rows = []
    for row in range(len(u)):
        steps = []
        for t in range(u.shape[1]):
            total = bias
            for k in range(3):
                there = t + k - 1
                if 0 <= there < u.shape[1] and (mask is None or bool(mask[row, there])):
                    total = total + taps[k] * u[row, there]
            out = F.silu(total)
            steps.append(out if mask is None or bool(mask[row, t]) else torch.zeros_like(out))
        rows.append(torch.stack(steps))
    return torch.stack(rows)


def vectorised(u: torch.Tensor, taps: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    seen = u if mask is None else u * mask[..., None]
    out = F.silu(F.conv1d(seen.mT, taps.T[:, None], bias, padding=1, groups=u.shape[-1]).mT)
    return out if mask is None else out * mask[..., None]


def check(batch: int, time: int, channels: int, kind: torch.dtype, device: str, *, masked: bool, loop: bool) -> None:
    g = torch.Generator().manual_seed(time)
    wide = torch.randn(batch, time, channels + 16, generator=g).to(device, kind).requires_grad_()
    taps = torch.randn(3, channels, generator=g).to(device).requires_grad_()
    bias = torch.randn(channels, generator=g).to(device).requires_grad_()
    mask = (torch.rand(batch, time, generator=g) > 0.3).to(device) if masked else None
    dy = torch.randn(batch, time, channels, generator=g).to(device, kind)
    y = short_filter(wide[..., 16:], taps, bias, mask=mask)
    y.backward(dy)
    twins = [t.detach().double().requires_grad_() for t in (wide, taps, bias)]
    expected = (truth if loop else vectorised)(twins[0][..., 16:], twins[1], twins[2], mask)
    expected.backward(dy.double())
    close("y", y, expected, TOLERANCE[kind])
    for name, leaf, twin in zip(("u", "taps", "bias"), (wide, taps, bias), twins, strict=True):
        assert leaf.grad is not None
        assert twin.grad is not None
        close(f"gradient of {name}", leaf.grad, twin.grad, GRADIENT[kind])


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(("batch", "time", "channels"), [(1, 1, 16), (3, 7, 80), (2, 33, 16)])
def test_filter_and_gradients(batch: int, time: int, channels: int, masked: bool, path: str, device: str) -> None:
    check(batch, time, channels, torch.float32, device, masked=masked, loop=True)


def test_what_a_masked_step_holds_does_not_matter(path: str, device: str) -> None:
    u = torch.randn(1, 9, 16, device=device)
    mask = torch.arange(9, device=device)[None] % 4 != 1
    other = torch.where(mask[..., None], u, torch.full_like(u, 1e4))
    taps, bias = torch.randn(3, 16, device=device), torch.randn(16, device=device)
    assert torch.equal(short_filter(u, taps, bias, mask=mask), short_filter(other, taps, bias, mask=mask))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[3, channels\]"):
        short_filter(torch.zeros(1, 2, 8), torch.zeros(3, 7), torch.zeros(8))
    with pytest.raises(ValueError, match="mask must be"):
        short_filter(torch.zeros(1, 2, 8), torch.zeros(3, 8), torch.zeros(8), mask=torch.ones(2, 1).bool())


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(("batch", "time", "channels"), [(4, 2368, 544), (3, 256, 832), (2, 1000, 96)])
def test_gpu_filter(batch: int, time: int, channels: int, masked: bool, kind: torch.dtype) -> None:
    check(batch, time, channels, kind, "cuda", masked=masked, loop=False)
