"""The scan on the PyTorch path: what the door promises."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kernels.dispatch import KernelUnavailable
from kernels.ssd import bidirectional_ssd, causal_ssd, ssd_chunked, ssd_reference
from tests.kernels.accuracy import GRADIENT, TOLERANCE, close
from tests.kernels.ssd_inputs import Inputs, make, truth, truth_gradients


@pytest.fixture(autouse=True)
def _reference_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that ask for `path` set it after this."""
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", "reference")


def door(inputs: Inputs, **options: object) -> torch.Tensor:
    x, b, c, dt_f, dt_b, a, skip = inputs.tensors()
    return bidirectional_ssd(x, b, c, dt_f, dt_b, a, skip=skip, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("time", [1, 7, 63, 64, 65, 500])
@pytest.mark.parametrize("learning", [True, False])
def test_scan_agrees_with_the_recurrence(time: int, kind: torch.dtype, learning: bool) -> None:
    inputs = make(2, time).cast(kind)
    with torch.set_grad_enabled(learning):
        close("y", door(inputs), truth(inputs), TOLERANCE[kind])


def test_steps_of_zero_write_nothing_where_no_gradient_is_wanted() -> None:
    inputs = make(1, 130)
    silent = torch.rand(1, 130, 1, generator=torch.Generator().manual_seed(4)) > 0.5
    inputs.dt_forward.masked_fill_(silent, 0.0)
    inputs.dt_backward.masked_fill_(silent, 0.0)
    with torch.no_grad():
        close("y", door(inputs), truth(inputs), 1e-12)


def test_left_out_steps_count_as_much_where_no_gradient_is_wanted() -> None:
    inputs = make(2, 130)
    generator = torch.Generator().manual_seed(6)
    gaps = torch.randint(0, 5, (2, 2, 130), generator=generator).double()
    rate = -torch.rand(2, 2, generator=generator).double()
    learnt = door(inputs, gaps=gaps, gap_rate=rate)
    with torch.no_grad():
        close("y", door(inputs, gaps=gaps, gap_rate=rate), learnt, 1e-12)


def test_gradients_agree_with_the_recurrence() -> None:
    inputs = make(2, 65)
    dy = torch.randn(inputs.x.shape, dtype=torch.float64)
    leaves = inputs.leaves()
    door(leaves).backward(dy)
    for name, expected in truth_gradients(inputs, dy).items():
        got = leaves.named()[name].grad
        assert got is not None
        close(name, got, expected, GRADIENT[torch.float64])


@pytest.mark.parametrize("scan", [ssd_reference, lambda *t: ssd_chunked(*t, block=4)], ids=["reference", "chunked"])
def test_gradcheck(scan: object) -> None:
    leaves = make(1, 9, width=2, state=3, heads=2).leaves()
    assert torch.autograd.gradcheck(scan, leaves.tensors())


@pytest.mark.parametrize("block", [1, 16, 64, 128])
def test_chunk_size_does_not_matter(block: int) -> None:
    inputs = make(2, 130)
    close("y", door(inputs, block=block), truth(inputs), 1e-12)


def test_both_directions_are_two_scans_that_each_count_the_own_term() -> None:
    inputs = make(1, 40)
    none = torch.zeros_like(inputs.dt_forward)
    x, b, c, dt_f, dt_b, a, _ = inputs.tensors()
    forward = ssd_reference(x, b, c, dt_f, none, a)
    mirrored = [t.flip(1) for t in (x, b, c, dt_b)]
    backward = ssd_reference(*mirrored, none, a.flip(0)).flip(1)
    close("y", bidirectional_ssd(x, b, c, dt_f, dt_b, a), forward + backward, 1e-12)
    own = bidirectional_ssd(x[:, :1], b[:, :1], c[:, :1], dt_f[:, :1], dt_b[:, :1], a)
    term = (c[:, :1] * b[:, :1]).sum(-1)[..., None, None] * x[:, :1]
    close("own term", own, term * (dt_f + dt_b)[:, :1, :, None], 1e-12)


@pytest.mark.parametrize("edges", [[0, 5, 5, 70, 71, 200], [0, 0, 64, 64], [0, 1]])
def test_packed_equals_alone(edges: list[int]) -> None:
    inputs = make(1, edges[-1])
    close("y", door(inputs, cu_seqlens=torch.tensor(edges, dtype=torch.int32)), truth(inputs, edges), 1e-12)


def test_left_out_steps_forget_and_write_nothing(path: str, device: str) -> None:
    """Rows of which some steps were left out, and the count of these: as the whole row in which they have x = 0 and
    a decay of their own. The mirror counts what was left out after a step."""
    inputs = make(1, 60, width=16, device=device).cast(torch.float32)
    rate = -torch.rand(2, 2, generator=torch.Generator().manual_seed(2)).to(device) * 0.3
    kept = torch.rand(60, generator=torch.Generator().manual_seed(8)) > 0.4
    place = kept.nonzero()[:, 0]
    before = torch.diff(place, prepend=torch.tensor([-1])) - 1
    after = torch.diff(place, append=torch.tensor([60])) - 1
    gaps = torch.stack((before, after))[:, None].float().to(device)
    short = [t[:, kept.to(device)].detach().requires_grad_() for t in inputs.tensors()[:5]]
    rates = [t.detach().clone().requires_grad_() for t in (inputs.a, inputs.skip, rate)]
    x, b, c, dt_f, dt_b = short
    y = bidirectional_ssd(x, b, c, dt_f, dt_b, rates[0], skip=rates[1], gaps=gaps, gap_rate=rates[2])
    wide = [t.detach().double().requires_grad_() for t in (*short, *rates)]
    expected = torch.zeros(1, len(place), 2, 16, dtype=torch.float64, device=device)
    for direction, order in ((0, range(60)), (1, range(59, -1, -1))):
        state = torch.zeros(1, 2, 16, 16, dtype=torch.float64, device=device)
        terms = []
        for t in order:
            if not kept[t]:
                state = state * torch.exp(wide[7][direction])[None, :, None, None]
                continue
            k = int(kept[:t].sum())
            dt = wide[3 + direction][:, k]
            state = state * torch.exp(dt * wide[5][direction])[..., None, None]
            state = state + (dt[..., None] * wide[0][:, k])[..., None] * wide[1][:, k, None, None]
            terms.append((k, (state * wide[2][:, k, None, None]).sum(-1)))
        expected = expected + torch.stack([term for _, term in sorted(terms, key=lambda pair: pair[0])], 1)
    expected = expected + wide[6][:, None] * wide[0]
    close("y", y, expected, TOLERANCE[torch.float32])
    weight = torch.arange(len(place), device=device)[:, None, None] % 5 + 1
    (y * weight).sum().backward()
    (expected * weight).sum().backward()
    names = ("x", "b", "c", "dt_f", "dt_b", "a", "skip", "rate")
    for name, leaf, twin in zip(names, (*short, *rates), wide, strict=True):
        assert leaf.grad is not None
        assert twin.grad is not None
        close(f"gradient of {name}", leaf.grad, twin.grad, GRADIENT[torch.float32])


def test_masked_steps_change_nothing_and_give_zero() -> None:
    inputs = make(2, 90)
    mask = torch.rand(2, 90, generator=torch.Generator().manual_seed(3)) > 0.4
    got = door(inputs, mask=mask)
    assert not got[~mask].any()
    for row in range(2):
        kept = Inputs(
            *(t[row : row + 1, mask[row]] for t in inputs.tensors()[:5]),
            inputs.a,
            inputs.skip,
        )
        close("kept", got[row : row + 1, mask[row]], truth(kept), 1e-12)


def test_result_of_a_row_does_not_depend_on_its_neighbours() -> None:
    inputs = make(3, 70).cast(torch.float32)
    other = make(3, 70, seed=9, scale=30.0).cast(torch.float32)
    mixed = Inputs(
        *(torch.cat([s[:1], o[1:]]) for s, o in zip(inputs.tensors()[:5], other.tensors(), strict=False)),
        inputs.a,
        inputs.skip,
    )
    assert torch.equal(door(inputs)[:1], door(mixed)[:1])


@pytest.mark.parametrize(
    ("dt", "scale"),
    [((1e-5, 1e-5), 1.0), ((2.0, 2.0), 1.0), ((1e-5, 2.0), 1e3), ((50.0, 50.0), 1.0)],
    ids=["tiny", "large", "mixed and large x", "beyond the clamp"],
)
def test_extreme_steps_stay_finite(dt: tuple[float, float], scale: float) -> None:
    inputs = make(1, 130, dt=dt, scale=scale).cast(torch.float32)
    leaves = inputs.leaves()
    y = door(leaves)
    close("y", y, truth(inputs), TOLERANCE[torch.float32])
    with torch.no_grad():
        close("y without gradients", door(inputs), truth(inputs), TOLERANCE[torch.float32])
    y.sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in leaves.tensors() if t.grad is not None)


def test_zeros_give_zero() -> None:
    inputs = Inputs(*(torch.zeros_like(t) for t in make(1, 70).cast(torch.float32).tensors()))
    assert not door(inputs).any()


def test_raw_steps_go_through_softplus_with_their_bias() -> None:
    inputs = make(1, 30).cast(torch.float32)
    raw_f, raw_b, bias = torch.randn(1, 30, 2), torch.randn(1, 30, 2), torch.randn(2, 2)
    x, b, c, *_ = inputs.tensors()
    got = bidirectional_ssd(x, b, c, raw_f, raw_b, inputs.a, dt_bias=bias)
    expected = bidirectional_ssd(x, b, c, F.softplus(raw_f + bias[0]), F.softplus(raw_b + bias[1]), inputs.a)
    assert torch.equal(got, expected)


def test_a_causal_row_goes_on_from_the_state_of_its_beginning(path: str, device: str) -> None:
    inputs = make(2, 70, device=device).cast(torch.float32)
    x, b, c, dt, _, a, skip = inputs.tensors()
    none = torch.zeros_like(dt)
    expected = ssd_reference(*(t.double() for t in (x, b, c, dt, none, a, skip)))
    first, state = causal_ssd(x[:, :33], b[:, :33], c[:, :33], dt[:, :33], a[0], skip=skip)
    rest, _ = causal_ssd(x[:, 33:], b[:, 33:], c[:, 33:], dt[:, 33:], a[0], skip=skip, initial=state)
    close("beginning", first, expected[:, :33], TOLERANCE[torch.float32])
    close("rest", rest, expected[:, 33:], TOLERANCE[torch.float32])


def test_causal_gradients_pass_through_the_state() -> None:
    x, b, c, dt, _, a, _ = make(1, 9, width=2, state=3, heads=2).leaves().tensors()
    held = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *t: causal_ssd(*t[:5], initial=t[5], block=4), (x, b, c, dt, a[0], held))


def test_wrong_shapes_are_named() -> None:
    x, b, c, dt_f, dt_b, a, _ = make(2, 8).tensors()
    with pytest.raises(ValueError, match=r"dt_backward must be \[2, 8, 2\]"):
        bidirectional_ssd(x, b, c, dt_f, dt_b[:, :7], a)
    with pytest.raises(ValueError, match="batch must be 1"):
        bidirectional_ssd(x, b, c, dt_f, dt_b, a, cu_seqlens=torch.tensor([0, 16]))
    with pytest.raises(ValueError, match="must rise from 0 to 8"):
        bidirectional_ssd(x[:1], b[:1], c[:1], dt_f[:1], dt_b[:1], a, cu_seqlens=torch.tensor([0, 9]))


def test_forced_path_that_cannot_run_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    x, b, c, dt_f, dt_b, a, _ = make(1, 8).cast(torch.float32).tensors()
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(KernelUnavailable, match="cannot run on cpu"):
        bidirectional_ssd(x, b, c, dt_f, dt_b, a)
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", "fast")
    with pytest.raises(KernelUnavailable, match="'reference', 'triton' or unset"):
        bidirectional_ssd(x, b, c, dt_f, dt_b, a)
