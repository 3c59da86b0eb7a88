"""The gated delta rule: chunked form and Triton kernels against the loop over time."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kernels.delta import bidirectional_delta, delta_chunked, delta_reference
from tests.kernels.accuracy import TOLERANCE, close


def make(
    batch: int, time: int, heads: int, width: int, state: int, kind: torch.dtype = torch.float64, device: str = "cpu"
) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(time)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    v, k, q = normal(batch, time, heads, width), normal(batch, time, state), normal(batch, time, state)
    k, q = F.normalize(k, dim=-1), F.normalize(q, dim=-1)
    gates = [torch.sigmoid(normal(batch, time, heads)) for _ in range(2)]
    gates += [-F.softplus(normal(batch, time, heads) - 1.0) for _ in range(2)]
    small = torch.float64 if kind == torch.float64 else torch.float32
    return [t.to(device, kind) for t in (v, k, q)] + [t.to(device, small) for t in gates]


def wide(inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return [t.double() for t in inputs]


@pytest.mark.parametrize("time", [1, 7, 63, 64, 65, 200])
@pytest.mark.parametrize("block", [16, 64])
def test_chunked_form_agrees_with_the_recurrence(time: int, block: int) -> None:
    inputs = make(2, time, 2, 8, 4)
    close("y", delta_chunked(*inputs, block=block), delta_reference(*inputs), 1e-11)


@pytest.mark.parametrize("scan", [delta_reference, lambda *t: delta_chunked(*t, block=4)], ids=["reference", "chunked"])
def test_gradcheck(scan: object) -> None:
    assert torch.autograd.gradcheck(scan, [t.requires_grad_() for t in make(1, 6, 2, 2, 3)])


def test_both_directions_are_two_scans() -> None:
    v, k, q, beta_f, beta_b, g_f, g_b = make(1, 20, 2, 8, 4)
    none = torch.zeros_like(beta_f)
    forward = delta_reference(v, k, q, beta_f, none, g_f, none)
    mirrored = [t.flip(1) for t in (v, k, q, beta_b, none, g_b, none)]
    close("y", delta_reference(v, k, q, beta_f, beta_b, g_f, g_b), forward + delta_reference(*mirrored).flip(1), 1e-12)


def test_a_key_seen_again_gives_the_later_value() -> None:
    """What the delta rule is for: with beta = 1 and no decay, a written value replaces the one before it."""
    key = F.one_hot(torch.tensor([[0, 1, 0, 1]]), 4).double()
    v = torch.arange(4, dtype=torch.float64)[None, :, None, None].expand(1, 4, 1, 2)
    one, none = torch.ones(1, 4, 1, dtype=torch.float64), torch.zeros(1, 4, 1, dtype=torch.float64)
    y = delta_chunked(v, key, key, one, none, none, none)
    assert y[0, :, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("batch", "time", "heads"), [(2, 70, 1), (1, 130, 2), (1, 1, 1)])
def test_kernels_agree_with_the_recurrence(batch: int, time: int, heads: int, path: str, device: str) -> None:
    inputs = make(batch, time, heads, 16, 16, torch.float32, device)
    close("y", bidirectional_delta(*inputs), delta_reference(*wide(inputs)), TOLERANCE[torch.float32])


def test_masked_steps_change_nothing_and_give_zero(path: str, device: str) -> None:
    inputs = make(1, 50, 1, 16, 16, torch.float32, device)
    mask = (torch.arange(50, device=device) % 3 != 1)[None]
    y = bidirectional_delta(*inputs, mask=mask)
    assert not y[~mask].any()
    kept = [t[:, mask[0]] for t in inputs]
    close("kept", y[:, mask[0]], delta_reference(*wide(kept)), TOLERANCE[torch.float32])


def test_gradient_of_a_masked_call_is_finite(path: str, device: str) -> None:
    inputs = [t.requires_grad_() for t in make(1, 20, 1, 16, 16, torch.float32, device)]
    mask = (torch.arange(20, device=device) < 12)[None]
    bidirectional_delta(*inputs, mask=mask).sum().backward()
    assert all(t.grad is not None and torch.isfinite(t.grad).all() and not t.grad[:, 12:].any() for t in inputs)


def test_wrong_shapes_are_refused() -> None:
    inputs = make(1, 4, 2, 8, 4)
    with pytest.raises(ValueError, match="beta and decay must be"):
        bidirectional_delta(*inputs[:3], inputs[3][:, :3], *inputs[4:])


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("time", "heads", "state"), [(1000, 12, 64), (2368, 8, 16), (256, 12, 32), (65, 2, 128)])
def test_gpu_delta(time: int, heads: int, state: int, kind: torch.dtype) -> None:
    inputs = make(2, time, heads, 64, state, kind, "cuda")
    y = bidirectional_delta(*inputs)
    close("y", y, delta_chunked(*wide(inputs)), TOLERANCE[kind])
    assert torch.equal(y, bidirectional_delta(*inputs))
