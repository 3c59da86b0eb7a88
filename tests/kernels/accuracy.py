"""How close a kernel must come to the fp64 reference: one table, one measure."""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 5e-3, torch.bfloat16: 1e-2}
"""Largest relative RMS error of a tensor, by the type of the inputs. fp32 leaves room for sums over chunks; the
16-bit types round products once (2**-9 for bf16) and states once more."""
GRADIENT = {torch.float64: 1e-12, torch.float32: 5e-5, torch.float16: 1e-2, torch.bfloat16: 2e-2}


def close(name: str, got: Tensor, expected: Tensor, tolerance: float) -> None:
    """‖got - expected‖ / ‖expected‖ under the tolerance, nothing NaN or infinite."""
    assert got.shape == expected.shape, f"{name}: {tuple(got.shape)} instead of {tuple(expected.shape)}"
    got, expected = got.detach().double().cpu(), expected.detach().double().cpu()
    assert torch.isfinite(got).all(), f"{name}: {int((~torch.isfinite(got)).sum())} values are not finite"
    scale = float(expected.norm())
    error = float((got - expected).norm()) / (scale if scale > 0 else 1.0)
    assert error <= tolerance, f"{name}: relative error {error:.2e}, allowed {tolerance:.0e}"
