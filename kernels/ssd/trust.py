"""A look at the compiler's work before a training trusts it.

Triton has made wrong gradients of such kernels without a word (README.md, "Wrong gradients from the compiler"). So the
first differentiable call of a process and size runs a small scan both ways and holds it against plain PyTorch.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.ssd.chunked import ssd_chunked
from kernels.ssd.sizes import CAREFUL, careful, config_for
from kernels.ssd.triton import ssd_triton

BOUND = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 5e-2}
"""Largest relative RMS error of an output or gradient. A wrong product is off by far more, rounding by far less."""
BATCH, TIME = 2, 300


@lru_cache(maxsize=64)
def gradients_agree(device: torch.device, kind: torch.dtype, heads: int, width: int, state: int) -> bool:
    """Whether output and every gradient of the Triton scan of this size come out right on this device.

    With more warps, from then on, where the table's count does not. Waits for the device, once a process and size;
    0.1 s when the kernels are compiled already.
    """
    size = (device, kind, state)
    if _agree(device, kind, heads, width, state):
        return True
    if size in careful or config_for(kind, state, device).backward_warps == CAREFUL:
        return False
    careful.add(size)
    return _agree(device, kind, heads, width, state)


def _agree(device: torch.device, kind: torch.dtype, heads: int, width: int, state: int) -> bool:
    g = torch.Generator().manual_seed(0)
    inner = heads * width

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g).to(device)

    row, raw = normal(BATCH, TIME, inner + 2 * state).to(kind), normal(BATCH, TIME, 2 * heads).to(kind) - 2.0
    bias, skip, a = normal(2, heads) - 1.0, normal(heads), -torch.exp(normal(2, heads))
    mask = (torch.arange(TIME, device=device) % 11 != 3).expand(BATCH, -1)
    dy = normal(BATCH, TIME, heads, width).to(kind)
    given = (row, raw, bias, skip, a)
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        leaves = [t.detach().requires_grad_() for t in given]
        x, b, c, dt_f, dt_b = _cut(leaves[0], leaves[1], state, heads)
        got = ssd_triton(x, b, c, dt_f, dt_b, leaves[4], skip=leaves[3], dt_bias=leaves[2], mask=mask)
        wide = [t.detach().double().requires_grad_() for t in given]
        x, b, c, dt_f, dt_b = _cut(wide[0], wide[1], state, heads)
        dt_f, dt_b = (F.softplus(t + wide[2][i]) * mask[..., None] for i, t in enumerate((dt_f, dt_b)))
        expected = ssd_chunked(x, b, c, dt_f, dt_b, wide[4], wide[3]) * mask[..., None, None]
        pairs = [(got, expected)]
        pairs += zip(
            torch.autograd.grad(got, leaves, dy), torch.autograd.grad(expected, wide, dy.double()), strict=True
        )
    errors = torch.stack([(mine.double() - truth).norm() / truth.norm() for mine, truth in pairs])
    return bool((errors <= BOUND[kind]).all())  # NaN is not <= anything


def _cut(row: Tensor, raw: Tensor, state: int, heads: int) -> tuple[Tensor, ...]:
    x, b, c = row.split([row.shape[-1] - 2 * state, state, state], dim=-1)
    dt = raw.reshape(*raw.shape[:2], 2, heads)
    return x.reshape(*x.shape[:2], heads, -1), b, c, dt[:, :, 0], dt[:, :, 1]
