"""How well pictures find pictures with the same label: leave-one-out, every picture a query once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 4
"""Pictures that a label needs for its pictures to be queries."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of each query: its row, average precision, nDCG@10 and precision of the first five; all [queries]."""

    query: Tensor
    precision: Tensor
    ndcg: Tensor
    first_five: Tensor

    def of(self, rows: Sequence[bool]) -> Ranking:
        """Only the queries whose picture is marked; rows: one mark a picture."""
        kept = torch.tensor(rows)[self.query]
        return Ranking(self.query[kept], self.precision[kept], self.ndcg[kept], self.first_five[kept])


def ranking(likeness: Tensor, labels: Sequence[str]) -> Ranking:
    """likeness: [n, n], higher = more alike; the diagonal is ignored. Relevant = same label. Among equals a picture
    that is not relevant stands first. On the CPU, in float64."""
    likeness = likeness.detach().double().cpu()
    names = {name: number for number, name in enumerate(dict.fromkeys(labels))}
    label = torch.tensor([names[name] for name in labels])
    count = Counter(labels)
    query = torch.tensor([row for row, name in enumerate(labels) if count[name] >= FEWEST], dtype=torch.long)
    others = torch.arange(len(labels))[None] != query[:, None]
    near = likeness[query][others].view(len(query), -1)
    relevant = (label[query][:, None] == label[None])[others].view(len(query), -1)
    # Two stable sorts: first by relevance, then by likeness.
    first = torch.argsort(relevant.to(torch.uint8), dim=1, stable=True)
    second = torch.argsort(near.gather(1, first), dim=1, descending=True, stable=True)
    hit = relevant.gather(1, first.gather(1, second)).double()
    place = torch.arange(1, hit.shape[1] + 1, dtype=torch.double)
    total = hit.sum(1)
    precision = (hit.cumsum(1) / place * hit).sum(1) / total
    gain = 1 / torch.log2(torch.arange(2, 12, dtype=torch.double))[: hit.shape[1]]
    best = torch.tensor([float(gain[: int(n)].sum()) for n in total], dtype=torch.double)
    return Ranking(query, precision, (hit[:, : len(gain)] * gain).sum(1) / best, hit[:, :5].mean(1))


def mean_precision(vectors: Tensor, labels: Sequence[str]) -> float:
    """mAP by cosine of the rows of `vectors`."""
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    return float(ranking(unit @ unit.T, labels).precision.mean())
