"""Compiles what an encoder will call, before its first request or its first captured graph."""

from __future__ import annotations

import torch

from kernels.filter import short_filter
from kernels.maxsim import maxsim_scores
from kernels.norm import rms_norm
from kernels.ssd import bidirectional_ssd

TIME = 130
"""Steps of the row that is scanned: more than one chunk of any table."""


def warm_up(
    device: torch.device,
    *,
    dim: int,
    heads: int,
    width: int,
    state: int,
    words: int = 64,
    kind: torch.dtype = torch.bfloat16,
    training: bool = False,
) -> None:
    """One small call of each operator of a layer, and of the score of int8 pages, in the types that a layer uses.

    dim: of the layer's input. heads, width, state: of its scan. words: numbers of a query token. training: the
    gradients too, which also checks the compiler's work (`kernels.ssd.trust`). Waits for the device. Kernels are
    compiled for sizes, not for batch and length, so later calls of other lengths compile nothing.
    """
    inner = heads * width
    with torch.set_grad_enabled(training):
        u = torch.zeros(1, TIME, dim, device=device, dtype=kind, requires_grad=training)
        row = torch.zeros(1, TIME, 2 * inner + 2 * state + 2 * heads, device=device, dtype=kind, requires_grad=training)
        mask = torch.ones(1, TIME, dtype=torch.bool, device=device)
        local, gate, dt = row.split([inner + 2 * state, inner, 2 * heads], dim=-1)
        taps = torch.zeros(3, inner + 2 * state, device=device)
        x, b, c = short_filter(local, taps, taps[0], mask=mask).split([inner, state, state], dim=-1)
        dt = dt.reshape(1, TIME, 2, heads)
        a, ones = -torch.ones(2, heads, device=device), torch.ones(inner, device=device)
        y = bidirectional_ssd(x.reshape(1, TIME, heads, width), b, c, dt[:, :, 0], dt[:, :, 1], a,
                              skip=ones[:heads], dt_bias=a, mask=mask)  # fmt: skip
        y = rms_norm(y.reshape(1, TIME, inner), ones, gate=gate)
        out = y.float().sum() + rms_norm(u, torch.ones(dim, device=device)).float().sum()
        if training:
            out.backward()
    tokens = torch.zeros(1, words, device=device, dtype=torch.int8)
    ends = torch.tensor([0, 1], device=device)
    maxsim_scores(torch.zeros(1, words, device=device), tokens, torch.ones(1, device=device), ends)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
