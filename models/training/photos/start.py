"""Where the head of the visual tower starts: principal components for the base, a linear discriminant for the rest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WHITENING = 0.5
"""0 = components as they are, 1 = all of the same spread."""
OVERSAMPLED = 64
"""Directions beyond those wanted, for the accuracy of the randomised decomposition."""
LEAST_SPREAD = 0.03
"""Of the largest; weaker directions are not raised further."""
SHRINKAGE = 1.0
"""Of the scatter within the labels, in means of its 512 largest directions."""

LEAST_APART = 1e-3
"""Of the direction that tells labels apart best; weaker ones are noise of the computation."""


@torch.no_grad()
def set_components(layer: nn.Linear, pooled: Tensor) -> None:
    """`layer` becomes the principal components of `pooled` [n, channels], partly whitened, around its mean."""
    centred = pooled - pooled.mean(0)
    rank = min(layer.out_features, *pooled.shape)
    _, singular, axes = torch.svd_lowrank(centred, q=min(rank + OVERSAMPLED, *pooled.shape), niter=4)
    spread = singular[:rank].clamp(min=LEAST_SPREAD * float(singular[0]))
    _set(layer, axes[:, :rank] / spread**WHITENING, pooled)


@torch.no_grad()
def set_discriminant(layer: nn.Linear, pooled: Tensor, labels: Sequence[str], graded: Sequence[str] = ()) -> None:
    """`layer` becomes Fisher's linear discriminant of `labels`; numbers beyond its rank start at 0. Pictures whose
    label is empty do not count. graded: a second label of each picture that is told apart too, by the same scatter
    within the first."""
    means, inside = _scatters(pooled, labels)
    within = inside.T @ inside / len(inside)
    within.diagonal().add_(SHRINKAGE * within.trace() / min(512, len(within)))
    if any(graded):
        means = torch.cat([means, _scatters(pooled, graded)[0]])
    root = torch.linalg.cholesky(within)
    whitened = torch.linalg.solve_triangular(root, means.T, upper=False)
    axes, spread, _ = torch.linalg.svd(whitened, full_matrices=False)
    rank = min(layer.out_features, int((spread > LEAST_APART * spread[0]).sum()))
    axes = torch.linalg.solve_triangular(root.T, axes[:, :rank], upper=True)
    _set(layer, axes.to(pooled.dtype), pooled)


def _scatters(pooled: Tensor, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Of the pictures with a label, in float64: means of the labels around the mean of all, by the root of their
    share, [labels, channels]; and pictures around the mean of their label."""
    known = torch.tensor([bool(label) for label in labels], device=pooled.device)
    features, names = pooled[known].double(), [label for label in labels if label]
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    label = torch.tensor([number[name] for name in names], device=pooled.device)
    count = torch.bincount(label).double()
    centre = torch.zeros(len(number), features.shape[1], dtype=features.dtype, device=pooled.device)
    centre = centre.index_add_(0, label, features) / count[:, None]
    return (centre - features.mean(0)) * (count / len(features)).sqrt()[:, None], features - centre[label]


def _set(layer: nn.Linear, axes: Tensor, pooled: Tensor) -> None:
    """axes: [channels, rank]. Scaled so that outputs have length 1 on average, and centred."""
    centred = pooled - pooled.mean(0)
    axes = axes / (centred @ axes).norm(dim=1).mean()
    layer.weight.zero_()
    layer.weight[: axes.shape[1]] = axes.T
    layer.bias.copy_(-(layer.weight @ pooled.mean(0)))
