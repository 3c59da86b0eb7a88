"""Heads by logistic regression: which thing a cell belongs to, and which words are right for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.encoder import FloatArray
from models.local.look_words import LOOKS
from models.local.page_looks import THINGS, PageLooks, found_things, inputs
from models.training.looks.examples import PRINT, Example

PRINT_CELLS, THING_CELLS = 250, 120
"""Most cells of a kind that are taken from one page: neighbours are much alike."""
CELL_DECAY, PAGE_DECAY = 1e-4, 1e-5
FOLDS, CLEAR, RIGHT = 4, 50, -0.5
"""See `lift`; RIGHT on the logistic scale."""
SIGN_STEPS, SIGN_SAMPLE = 400, 4000
LIKE_PRINT, LIKE_SIGN = 0.1, 0.3
"""Cosines that a sign may have with print and with another sign: they answer nothing."""
REAL_WEIGHT = 0.7
"""Of a real page beside a sketch: there are many receipts among them, of few shops."""


def fitted(
    examples: Sequence[Example], words: Sequence[str], weights: FloatArray, signs: FloatArray, *, seed: int = 0
) -> PageLooks:
    """weights: of each example. signs: as `unprinted` gives them."""
    cell_weight, cell_bias = cell_head(examples, seed)
    given = np.stack([inputs(one.sight, found_things(one.sight, cell_weight, cell_bias)) for one in examples])
    wanted, features = labels(examples, words), len(examples[0].sight.features)
    page_weight, page_bias = page_heads(given, wanted, weights, features=features)
    page_bias = page_bias + lift(given, wanted, weights, features=features, seed=seed)
    return PageLooks(LOOKS, signs, cell_weight, cell_bias, tuple(words), page_weight, page_bias)


def unprinted(tokens: FloatArray, count: int, *, seed: int = 0) -> FloatArray:
    """(count, dim) unit vectors that no token of print is like, nor one of them the other. tokens: (n, dim), of
    pages of many kinds."""
    print_tokens = torch.from_numpy(tokens)
    chance = torch.Generator().manual_seed(seed)
    away = -3 * F.normalize(print_tokens.mean(0), dim=0)
    rows = (torch.randn(count, tokens.shape[1], generator=chance) + away).requires_grad_()
    optimiser = torch.optim.Adam([rows], lr=0.03)
    same = 2 * torch.eye(count)
    for _ in range(SIGN_STEPS):
        unit = F.normalize(rows, dim=1)
        some = print_tokens[torch.randint(len(print_tokens), (SIGN_SAMPLE,), generator=chance)]
        printed = F.relu(some @ unit.T - LIKE_PRINT).pow(2).sum() / count
        loss = printed + 3 * F.relu(unit @ unit.T - same - LIKE_SIGN).pow(2).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return F.normalize(rows, dim=1).detach().numpy()


def labels(examples: Sequence[Example], words: Sequence[str]) -> FloatArray:
    """(examples, words): 1 right, 0 wrong, NaN in doubt."""
    table = np.zeros((len(examples), len(words)), np.float32)
    for row, one in zip(table, examples, strict=True):
        row[[word in one.said for word in words]] = 1.0
        row[[word in one.doubtful for word in words]] = np.nan
    return table


def cell_head(examples: Sequence[Example], seed: int) -> tuple[FloatArray, FloatArray]:
    """(dim, 1 + THINGS), (1 + THINGS,)."""
    chance = np.random.default_rng(seed)
    cells: list[FloatArray] = []
    kinds: list[NDArray[np.int64]] = []
    for one in examples:
        for kind in (PRINT, *range(1 + len(THINGS))):
            most = THING_CELLS if kind > 0 else PRINT_CELLS
            taken = chance.permutation(np.flatnonzero(one.kinds == kind))[:most]
            cells.append(one.sight.cells[taken])
            kinds.append(np.full(len(taken), kind))
    x, y = torch.from_numpy(np.concatenate(cells)), torch.from_numpy(np.concatenate(kinds))
    y = y.clamp(min=0)
    count = torch.bincount(y, minlength=1 + len(THINGS)).float()
    # Rare things weigh more, but not as much as if there were as many of them.
    share = (count[0] / count.clamp(min=1)).sqrt()
    head = torch.zeros(x.shape[1] + 1, 1 + len(THINGS), requires_grad=True)

    def loss() -> Tensor:
        wrong = F.cross_entropy(x @ head[:-1] + head[-1], y, weight=share)
        return wrong + CELL_DECAY * head[:-1].pow(2).sum()

    minimise(loss, head, steps=100)
    return head[:-1].detach().numpy(), head[-1].detach().numpy()


def page_heads(
    given: FloatArray, wanted: FloatArray, weights: FloatArray, *, features: int
) -> tuple[FloatArray, FloatArray]:
    """(inputs, words), (words,). given: (pages, inputs), of which the first `features` count together as much as the
    others together."""
    mean, spread = given.mean(0), given.std(0) + np.where(np.arange(given.shape[1]) < features, 1e-3, 5e-2)
    spread = spread * np.sqrt(np.where(np.arange(given.shape[1]) < features, features, given.shape[1] - features))
    x = torch.from_numpy(((given - mean) / spread).astype(np.float32))
    known = torch.from_numpy(~np.isnan(wanted)).float() * torch.from_numpy(weights)[:, None]
    y = torch.from_numpy(np.nan_to_num(wanted))
    # A word is rare because few of these pages were drawn with it: right pages weigh more, as rare things do.
    rare = ((known * (1 - y)).sum(0) / (known * y).sum(0).clamp(min=1)).sqrt().clamp(min=1)
    known = known * torch.where(y > 0, rare, 1.0)
    head = torch.zeros(x.shape[1] + 1, y.shape[1], requires_grad=True)

    def loss() -> Tensor:
        each = F.binary_cross_entropy_with_logits(x @ head[:-1] + head[-1], y, reduction="none") * known
        return (each.sum(0) / known.sum(0)).sum() + PAGE_DECAY * head[:-1].pow(2).sum()

    minimise(loss, head, steps=150)
    weight = head[:-1].detach().numpy() / spread[:, None]
    return weight.astype(np.float32), (head[-1].detach().numpy() - mean @ weight).astype(np.float32)


def lift(given: FloatArray, wanted: FloatArray, weights: FloatArray, *, features: int, seed: int) -> FloatArray:
    """(words,): what is added so that one wrong page in CLEAR is said to be right with RIGHT and no more. Heads are
    shy: real pages are less clear than drawn ones, and most words are rare."""
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(given))
    logit = np.zeros_like(wanted)
    for held in range(FOLDS):
        weight, bias = page_heads(given[fold != held], wanted[fold != held], weights[fold != held], features=features)
        logit[fold == held] = given[fold == held] @ weight + bias
    edge = np.array(
        [np.quantile(values[right == 0], 1 - 1 / CLEAR) for values, right in zip(logit.T, wanted.T, strict=True)]
    )
    return np.maximum(0.0, RIGHT - edge).astype(np.float32)


def minimise(loss: Callable[[], Tensor], head: Tensor, *, steps: int) -> None:
    """Changes `head` to where the loss is least."""
    optimiser = torch.optim.LBFGS([head], max_iter=steps, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(step)
