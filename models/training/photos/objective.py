"""What the head of the visual tower is taught: views of one picture agree, labels gather, old likeness is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.photos.data import SEVERITY_ONLY, Entry

MASKED = -1e4


@dataclass(frozen=True, slots=True)
class PhotoLossWeights:
    """supervised, agreement, kept: weights of the three losses below. temperature: of the first two;
    kept_temperature: of the third. kind, part, severity: share of a pair that has only this in common, beside 1 for
    the same fine label."""

    supervised: float = 1.0
    agreement: float = 0.3
    kept: float = 0.0
    temperature: float = 0.1
    kept_temperature: float = 0.05
    kind: float = 0.1
    part: float = 0.1
    severity: float = 0.05


@dataclass(frozen=True, slots=True)
class Relations:
    """Of all pictures of a training set, [n, n]. pull: how much two belong together, 0..1. known: bool, False where
    the labels do not tell whether they do."""

    pull: Tensor
    known: Tensor


def relations(entries: Sequence[Entry], weights: PhotoLossWeights, device: torch.device | str) -> Relations:
    """From the labels. A damaged car whose place and kind are unknown may be anything but a car without damage."""

    def same(values: Sequence[str]) -> Tensor:
        numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
        number = torch.tensor([numbers[value] if value else -1 for value in values], device=device)
        return (number[:, None] == number[None]) & (number >= 0)[:, None]

    vague = torch.tensor([entry.fine in SEVERITY_ONLY for entry in entries], device=device)
    damaged_car = torch.tensor(
        [entry.subject == "car" and entry.fine != "car_undamaged" for entry in entries], device=device
    )
    fine = same(["" if entry.fine in SEVERITY_ONLY else entry.fine for entry in entries])
    subject = same([entry.subject for entry in entries])
    pull = weights.kind * (same([entry.kind for entry in entries]) & subject)
    pull = pull + weights.part * (same([entry.part for entry in entries]) & subject)
    pull = pull + weights.severity * (same([entry.severity for entry in entries]) & subject)
    unclear = (vague[:, None] & damaged_car[None]) | (vague[None] & damaged_car[:, None])
    return Relations(torch.where(fine, 1.0, pull), ~unclear | (pull > 0))


def supervised(z: Tensor, pull: Tensor, known: Tensor, temperature: float) -> Tensor:
    """Contrast with graded positives: each row's softmax over the others should be its share of the pull.

    z: unit vectors [n, dim]. pull, known: [n, n] as Relations; a row's own column does not count.
    """
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logit = (z @ z.T / temperature).masked_fill(own | ~known, MASKED)
    target = pull.masked_fill(own | ~known, 0.0)
    total = target.sum(1)
    loss = -(target * logit.log_softmax(1)).sum(1) / total.clamp(min=1e-6)
    return (loss * (total > 0)).sum() / (total > 0).sum().clamp(min=1)


def agreement(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """InfoNCE: each view finds the other view of its picture among all others, both ways."""
    target = torch.arange(len(first), device=first.device)
    logit = first @ second.T / temperature
    return 0.5 * (F.cross_entropy(logit, target) + F.cross_entropy(logit.T, target))


def kept(z: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence between the neighbourhoods that the teacher's unit vectors and z see; labels play no part."""
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    seen = (z @ z.T / temperature).masked_fill(own, MASKED).log_softmax(1)
    wanted = (teacher @ teacher.T / temperature).masked_fill(own, MASKED).log_softmax(1)
    return F.kl_div(seen, wanted, reduction="batchmean", log_target=True)
