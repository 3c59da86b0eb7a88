"""The Triton scan against the fp64 reference: in the interpreter on a CPU, at the shipped sizes on a GPU."""

from __future__ import annotations

import itertools

import pytest
import torch

from kernels.ssd import bidirectional_ssd
from tests.kernels.accuracy import GRADIENT, TOLERANCE, close
from tests.kernels.ssd_inputs import Inputs, make, truth, truth_gradients

pytest.importorskip("triton")
from kernels.ssd import triton as ssd_triton_module
from kernels.ssd import trust
from kernels.ssd.tables import packed_layout
from kernels.ssd.triton import ssd_triton

GPU_LENGTHS = [1, 7, 63, 64, 65, 500, 1000, 4096, 5632, 16_384]
GPU_KINDS = [torch.float32, torch.float16, torch.bfloat16]
GPU_SHAPES = [(12, 64, 64), (12, 64, 128), (8, 64, 16), (12, 64, 32), (3, 64, 64), (3, 32, 16)]


def run(inputs: Inputs, chunk: int | None = None, edges: torch.Tensor | None = None) -> torch.Tensor:
    x, b, c, dt_f, dt_b, a, skip = inputs.tensors()
    return ssd_triton(x, b, c, dt_f, dt_b, a, skip=skip, chunk=chunk, cu_seqlens=edges)


def check(inputs: Inputs, chunk: int | None = None, edges: list[int] | None = None) -> None:
    """Output and every gradient against fp64, and the same bits twice."""
    kind, device = inputs.x.dtype, inputs.x.device
    if device.type == "cuda":  # as the door does before the first gradient of a size
        assert trust.gradients_agree(device, kind, *inputs.x.shape[2:], inputs.b.shape[-1])
    cu = None if edges is None else torch.tensor(edges, dtype=torch.int32, device=device)
    leaves, again = inputs.leaves(), inputs.leaves()
    y, y_again = run(leaves, chunk, cu), run(again, chunk, cu)
    close("y", y, truth(inputs, edges), TOLERANCE[kind])
    assert torch.equal(y, y_again)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(5)).to(device, kind)
    y.backward(dy)
    y_again.backward(dy)
    for name, expected in truth_gradients(inputs, dy, edges).items():
        got, twin = leaves.named()[name].grad, again.named()[name].grad
        assert got is not None
        assert twin is not None
        close(f"gradient of {name}", got, expected, GRADIENT[kind])
        assert torch.equal(got, twin), f"gradient of {name} differs between two runs"


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("time", [1, 33, 70])
def test_equal_lengths(time: int, device: str) -> None:
    check(make(2, time, device=device).cast(torch.float32), chunk=32)


@pytest.mark.usefixtures("poisoned")
def test_long_row_walks_over_many_chunks(device: str) -> None:
    check(make(1, 200, heads=1, device=device).cast(torch.float32), chunk=32)


@pytest.mark.usefixtures("poisoned")
def test_packed_documents_with_empty_ones(device: str) -> None:
    check(make(1, 103, heads=3, device=device).cast(torch.float32), chunk=32, edges=[0, 0, 40, 41, 41, 103, 103])


@pytest.mark.usefixtures("poisoned")
def test_wide_state_and_half_precision(device: str) -> None:
    check(make(1, 40, heads=1, state=32, device=device).cast(torch.float16), chunk=32)


@pytest.mark.parametrize("dt", [(1e-5, 1e-5), (2.0, 50.0)], ids=["tiny", "large and beyond the clamp"])
def test_extreme_steps(dt: tuple[float, float], device: str) -> None:
    check(make(1, 40, heads=1, dt=dt, device=device).cast(torch.float32), chunk=32)


def test_zeros_give_zero_and_finite_gradients(device: str) -> None:
    leaves = Inputs(*(torch.zeros_like(t) for t in make(1, 40, device=device).cast(torch.float32).tensors())).leaves()
    y = run(leaves, 32)
    y.sum().backward()
    assert not y.any()
    assert all(t.grad is not None and torch.isfinite(t.grad).all() for t in leaves.tensors())


def test_inputs_that_are_views_of_one_projection(device: str) -> None:
    """x, b, c and dt as slices of a wider row, as a layer gives them, and raw steps with a bias."""
    whole = torch.randn(2, 40, 32 + 16 + 16 + 4, generator=torch.Generator().manual_seed(1)).to(device)
    bias, a = torch.tensor([[0.1, -1.0], [0.3, 0.2]], device=device), -torch.ones(2, 2, device=device)

    def of(row: torch.Tensor, path: str) -> tuple[torch.Tensor, ...]:
        row, shift, rate = (t.detach().clone().requires_grad_() for t in (row, bias, a))
        x, b, c, dt = row.split([32, 16, 16, 4], dim=-1)
        x, dt = x.reshape(2, 40, 2, 16), dt.reshape(2, 40, 2, 2)
        if path == "triton":
            y = ssd_triton(x, b, c, dt[:, :, 0], dt[:, :, 1], rate, dt_bias=shift, chunk=32)
        else:
            y = bidirectional_ssd(x.cpu(), b.cpu(), c.cpu(), dt[:, :, 0].cpu(), dt[:, :, 1].cpu(), rate.cpu(),
                                  dt_bias=shift.cpu())  # fmt: skip
        (y * torch.arange(40, device=y.device)[:, None, None]).sum().backward()
        assert row.grad is not None
        assert shift.grad is not None
        assert rate.grad is not None
        return y, row.grad, shift.grad, rate.grad

    for name, got, expected in zip(("y", "row", "bias", "a"), of(whole, "triton"), of(whole, "cpu"), strict=True):
        close(name, got, expected, GRADIENT[torch.float32])


def test_result_of_a_document_does_not_depend_on_its_neighbours(device: str) -> None:
    inputs, other = make(1, 100, device=device).cast(torch.float32), make(1, 100, seed=4, scale=20.0, device=device)
    mixed = Inputs(*(torch.cat([s[:, :50], o[:, 50:].to(s)], 1)
                     for s, o in zip(inputs.tensors()[:5], other.tensors(), strict=False)),
                   inputs.a, inputs.skip)  # fmt: skip
    edges = torch.tensor([0, 50, 100], dtype=torch.int32, device=device)
    assert torch.equal(run(inputs, 32, edges)[:, :50], run(mixed, 32, edges)[:, :50])


def test_tables_of_packed_documents(device: str) -> None:
    edges = torch.tensor([0, 70, 70, 71, 167], dtype=torch.int32, device=device)
    layout = packed_layout(edges, 167, 32)
    assert layout.first.tolist() == [0, 3, 3, 4, 7]
    assert layout.start.tolist()[:7] == [0, 32, 64, 70, 71, 103, 135]
    assert layout.length.tolist()[:7] == [32, 32, 6, 1, 32, 32, 32]
    assert not layout.length[7:].any()


def layer_inputs(
    batch: int, time: int, heads: int, width: int, state: int, kind: torch.dtype, device: str
) -> tuple[torch.Tensor, ...]:
    """One projection as a layer cuts it, raw steps, and a mask with holes and a masked end."""
    g = torch.Generator().manual_seed(time)
    inner = heads * width
    row = torch.randn(batch, time, inner + 2 * state + 2 * heads, generator=g).to(device, kind)
    bias, skip = torch.rand(2, heads, generator=g) * 3 - 4, torch.rand(heads, generator=g)
    a = -torch.rand(2, heads, generator=g) * 3 - 0.1
    mask = torch.rand(batch, time, generator=g) > 0.2
    mask[0, time // 2 :] = False
    return row, bias.to(device), skip.to(device), a.to(device), mask.to(device)


def through_layer(
    row: torch.Tensor, bias: torch.Tensor, skip: torch.Tensor, a: torch.Tensor, mask: torch.Tensor, *, state: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    leaves = {"row": row, "bias": bias, "skip": skip, "a": a}
    leaves = {name: t.detach().clone().requires_grad_() for name, t in leaves.items()}
    heads = a.shape[1]
    inner = row.shape[-1] - 2 * state - 2 * heads
    x, b, c, dt = leaves["row"].split([inner, state, state, 2 * heads], dim=-1)
    x, dt = x.reshape(*mask.shape, heads, -1), dt.reshape(*mask.shape, 2, heads)
    y = bidirectional_ssd(x, b, c, dt[:, :, 0], dt[:, :, 1], leaves["a"], skip=leaves["skip"], dt_bias=leaves["bias"],
                          mask=mask)  # fmt: skip
    (y * (1 + torch.arange(y.shape[1], device=y.device) % 7)[:, None, None]).sum().backward()
    return y, {name: t.grad for name, t in leaves.items() if t.grad is not None}


def check_layer(
    batch: int, time: int, heads: int, width: int, state: int, kind: torch.dtype, device: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    *tensors, mask = layer_inputs(batch, time, heads, width, state, kind, device)
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", "triton")
    y, gradients = through_layer(*tensors, mask, state=state)
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", "reference")
    expected, truths = through_layer(*(t.double() for t in tensors), mask, state=state)
    assert not y[~mask].any()
    close("y", y, expected, TOLERANCE[kind])
    for name, truth_ in truths.items():
        close(f"gradient of {name}", gradients[name], truth_, GRADIENT[kind])


@pytest.mark.usefixtures("poisoned")
def test_masked_steps_of_a_layer(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_layer(2, 150, 1, 16, 16, torch.float32, device, monkeypatch)


def test_masked_steps_that_are_not_raw(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of a masked step is 0 also where no softplus makes it so."""
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", "triton")
    leaves = make(1, 20, heads=1, device=device).cast(torch.float32).leaves()
    x, b, c, dt_f, dt_b, a, skip = leaves.tensors()
    mask = torch.arange(20, device=device)[None] < 15
    got = bidirectional_ssd(x, b, c, dt_f, dt_b, a, skip=skip, mask=mask)
    close("y", got[:, :15], truth(leaves.rows(0, 15)), TOLERANCE[torch.float32])
    assert not got[:, 15:].any()
    got.sum().backward()
    assert all(t.grad is not None and not t.grad[:, 15:].any() for t in (x, b, c, dt_f, dt_b))


def test_compiled_code_takes_the_operator_as_it_is(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", "triton")
    leaves = make(1, 40, heads=1, device=device).cast(torch.float32).leaves()
    compiled = torch.compile(lambda *t: bidirectional_ssd(*t[:6], skip=t[6]) * 2, fullgraph=True, backend="aot_eager")
    y = compiled(*leaves.tensors())
    close("y", y, truth(leaves) * 2, TOLERANCE[torch.float32])
    y.sum().backward()
    assert all(t.grad is not None for t in leaves.tensors())


def test_a_compiler_that_makes_wrong_gradients_is_found_out(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "TIME", 40)
    size = (torch.device(device), torch.float32, 1, 16, 16)
    assert trust.gradients_agree.__wrapped__(*size)
    right = ssd_triton_module.scan_backward

    def wrong(*args: object) -> tuple[torch.Tensor, ...]:
        dx, db, *rest = right(*args)
        return dx, db.flip(0), *rest

    monkeypatch.setattr(ssd_triton_module, "scan_backward", wrong)
    assert not trust.gradients_agree.__wrapped__(*size)


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize(("time", "heads", "state"), [(2368, 8, 16), (2432, 8, 16), (256, 12, 32), (1000, 12, 64)])
def test_gpu_masked_steps_of_a_layer(
    time: int, heads: int, state: int, kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_layer(3, time, heads, 64, state, kind, "cuda", monkeypatch)


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", GPU_KINDS, ids=str)
@pytest.mark.parametrize("time", GPU_LENGTHS)
def test_gpu_lengths(time: int, kind: torch.dtype) -> None:
    check(make(1 if time > 1000 else 2, time, heads=12, width=64, state=64, device="cuda").cast(kind))


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", GPU_KINDS, ids=str)
@pytest.mark.parametrize("shape", GPU_SHAPES, ids=str)
def test_gpu_shapes(shape: tuple[int, int, int], kind: torch.dtype) -> None:
    heads, width, state = shape
    inputs = make(1, 800, heads=heads, width=width, state=state, device="cuda").cast(kind)
    check(inputs, edges=[0, 0, 129, 130, 257, 257, 640, 800])


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("time", "state"), [(64, 64), (300, 64), (300, 128)])
def test_gpu_many_short_documents(time: int, state: int, kind: torch.dtype) -> None:
    """So many that their states are made by those who walk them."""
    check(make(48, time, heads=12, width=64, state=state, device="cuda").cast(kind))


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("state", [16, 64, 128])
def test_gpu_many_packed_documents(state: int) -> None:
    lengths = [1, 127, 128, 129, 0, 300, 64, 65, 256, 5, 0, 7, 200, 31, 500, 2, 90]
    inputs = make(1, sum(lengths), heads=12, width=64, state=state, device="cuda").cast(torch.bfloat16)
    check(inputs, edges=[0, *itertools.accumulate(lengths)])


@pytest.mark.gpu
def test_gpu_not_even_a_nan_reaches_the_neighbour() -> None:
    """A page that cannot be computed spoils itself alone; both kernels that make states see such a neighbour."""
    for copies in (1, 20):
        inputs = make(1, 90 * copies + 40, heads=12, width=64, state=64, device="cuda").cast(torch.bfloat16)
        edges = torch.tensor([*range(0, 90 * copies + 1, 90), 90 * copies + 40], dtype=torch.int32, device="cuda")
        alone = run(inputs, None, edges)
        for tensor in inputs.tensors()[:3]:
            tensor[:, -40:] = float("nan")
        spoiled = run(inputs, None, edges)
        assert torch.equal(spoiled[:, :-40], alone[:, :-40])
        assert spoiled[:, -40:].isnan().any()


@pytest.mark.gpu
@pytest.mark.parametrize("kind", GPU_KINDS, ids=str)
@pytest.mark.parametrize("dt", [(1e-5, 1e-5), (2.0, 2.0), (1e-5, 2.0)], ids=["tiny", "large", "mixed"])
def test_gpu_extreme_steps(dt: tuple[float, float], kind: torch.dtype) -> None:
    check(make(1, 300, heads=12, width=64, state=64, dt=dt, device="cuda").cast(kind))


@pytest.mark.gpu
def test_gpu_graph_holds_a_packed_call_and_its_gradient() -> None:
    """Nothing waits for the device: the call can be captured, and replays on new documents of other lengths."""
    inputs = make(1, 1024, heads=4, width=64, state=64, device="cuda").cast(torch.bfloat16)
    leaves = inputs.leaves()
    edges = torch.tensor([0, 100, 400, 1024], dtype=torch.int32, device="cuda")
    dy = torch.randn_like(inputs.x)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.autograd.grad(run(leaves, None, edges), leaves.tensors(), dy)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = run(leaves, None, edges)
        gradients = torch.autograd.grad(y, leaves.tensors(), dy)
    edges.copy_(torch.tensor([0, 1, 640, 1024], dtype=torch.int32))
    graph.replay()
    torch.cuda.synchronize()
    close("y", y, truth(inputs, [0, 1, 640, 1024]), TOLERANCE[torch.bfloat16])
    expected = truth_gradients(inputs, dy, [0, 1, 640, 1024])
    for (name, _), got in zip(inputs.named().items(), gradients, strict=True):
        close(f"gradient of {name}", got, expected[name], GRADIENT[torch.bfloat16])


@pytest.mark.gpu
def test_gpu_compiled_code_calls_the_operator() -> None:
    inputs = make(2, 200, heads=4, width=64, state=64, device="cuda").cast(torch.bfloat16)
    compiled = torch.compile(lambda *t: bidirectional_ssd(*t[:6], skip=t[6]) * 2, fullgraph=True)
    close("y", compiled(*inputs.tensors()), truth(inputs) * 2, TOLERANCE[torch.bfloat16])
