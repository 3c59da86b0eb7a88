"""Inputs for the tests of the scan."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.ssd import ssd_chunked, ssd_reference


@dataclass
class Inputs:
    x: Tensor
    b: Tensor
    c: Tensor
    dt_forward: Tensor
    dt_backward: Tensor
    a: Tensor
    skip: Tensor

    def named(self) -> dict[str, Tensor]:
        return dict(vars(self))

    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(vars(self).values())

    def cast(self, kind: torch.dtype) -> Inputs:
        """x, b, c in `kind`; steps and decays in fp32 (fp64 when kind is)."""
        small = kind if kind == torch.float64 else torch.float32
        return Inputs(
            *(t.to(kind) for t in (self.x, self.b, self.c)),
            *(t.to(small) for t in (self.dt_forward, self.dt_backward, self.a, self.skip)),
        )

    def rows(self, start: int, end: int) -> Inputs:
        return Inputs(
            *(t[:, start:end] for t in (self.x, self.b, self.c, self.dt_forward, self.dt_backward)), self.a, self.skip
        )

    def leaves(self) -> Inputs:
        return Inputs(*(t.detach().clone().requires_grad_() for t in self.tensors()))


def make(
    batch: int,
    time: int,
    *,
    heads: int = 2,
    width: int = 16,
    state: int = 16,
    seed: int = 0,
    device: str = "cpu",
    dt: tuple[float, float] = (0.01, 0.5),
    scale: float = 1.0,
) -> Inputs:
    """Random fp64 inputs; dt log-uniform between two bounds."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=g, dtype=torch.float64) * scale).to(device)

    def steps() -> Tensor:
        low, high = torch.tensor(dt, dtype=torch.float64).log()
        spread = torch.rand(batch, time, heads, generator=g, dtype=torch.float64)
        return torch.exp(low + (high - low) * spread).to(device)

    x, b, c = normal(batch, time, heads, width), normal(batch, time, state), normal(batch, time, state)
    a = -(torch.rand(2, heads, generator=g, dtype=torch.float64) * 3 + 0.1).to(device)
    return Inputs(x, b, c, steps(), steps(), a, torch.rand(heads, generator=g, dtype=torch.float64).to(device) + 0.5)


def truth(inputs: Inputs, edges: list[int] | None = None) -> Tensor:
    """The recurrence in fp64 of exactly these (rounded) inputs, document by document."""
    return _by_document(Inputs(*(t.double() for t in inputs.tensors())), edges)


def truth_gradients(inputs: Inputs, dy: Tensor, edges: list[int] | None = None) -> dict[str, Tensor]:
    wide = Inputs(*(t.double() for t in inputs.tensors())).leaves()
    _by_document(wide, edges).backward(dy.double())
    return {name: t.grad for name, t in wide.named().items() if t.grad is not None}


def _by_document(wide: Inputs, edges: list[int] | None) -> Tensor:
    # A loop over time is too slow on a GPU; there the chunked form stands in, which the CPU tests hold to 1e-12.
    scan = ssd_chunked if wide.x.is_cuda else ssd_reference
    edges = edges or [0, wide.x.shape[1]]
    parts = [scan(*wide.rows(s, e).tensors()) for s, e in itertools.pairwise(edges)]
    return torch.cat(parts, dim=1)
