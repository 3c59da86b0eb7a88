"""Random draws on the device of the composer, from torch's own generators (seed: torch.manual_seed)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Chance:
    """Draws as tensors of the given shape on `device`; none of them waits for the device."""

    device: torch.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Even between low and high."""
        return torch.empty(shape, device=self.device).uniform_(low, high)

    def skewed(self, low: float, high: float, *shape: int) -> Tensor:
        """Even on a logarithmic scale between low and high."""
        return self.uniform(math.log(low), math.log(high), *shape).exp_()

    def normal(self, spread: float, *shape: int) -> Tensor:
        """Normal about 0, cut at three times the spread."""
        return torch.empty(shape, device=self.device).normal_(0, spread).clamp_(-3 * spread, 3 * spread)

    def flag(self, probability: float, *shape: int) -> Tensor:
        """True with the given probability."""
        return torch.rand(shape, device=self.device) < probability

    def integer(self, low: int, high: int, *shape: int) -> Tensor:
        """int64, low <= value < high."""
        return torch.randint(low, high, shape, device=self.device)

    def rows(self, table: Tensor, *shape: int) -> Tensor:
        """Rows of `table`, each as likely as the others."""
        return table[self.integer(0, table.shape[0], *shape)]

    def share(self, count: int, part: float) -> int:
        """How many of `count` get something that `part` of all get: whole, right on average, drawn on the host."""
        return min(count, int(count * part + torch.rand(()).item()))

    def some(self, count: int, part: float, first: int = 0) -> Tensor:
        """int64 numbers of about part * count different items out of first..count-1."""
        free = count - first
        return (
            first + torch.randperm(free, device=self.device)[: self.share(free, min(1.0, part * count / max(1, free)))]
        )
