"""What reading is trained on: signs, word starts, words against strings, and which pages hold a typed word."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.local.page_tower import SIGNS
from models.local.reading_network import ReadingNetwork
from models.training.batch import UNKNOWN, Batch

LARGEST_SCALE = 60.0
START_WEIGHT = 3.0
"""Weight of a word's first cell against any other cell: one in ten is one."""
NOT_HERE = -1e4

METRICS = (
    "signs",
    "starts",
    "contrast",
    "pages",
    "presence",
    "word accuracy",
    "sign accuracy",
    "start recall",
    "start precision",
    "cells used",
    "words kept",
)


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each part counts."""

    signs: float = 1.0
    starts: float = 1.0
    contrast: float = 1.0
    pages: float = 0.5
    presence: float = 0.25


@dataclass(frozen=True, slots=True)
class StepSize:
    """Fixed sizes of a step, so that no step waits for the device to say how much there is.

    cells, chunks: most a page, beyond which it is cut. words: drawn for the contrast. queries: of them, asked of all
    pages of the batch, each once as it is and once edited. known: words of a batch, which is filled up with its first
    ones, so that a GPU can record the step; a step with more is computed launch by launch, as all are with 0.
    """

    cells: int = 2688
    chunks: int = 384
    words: int = 2048
    queries: int = 384
    known: int = 0


def reading_loss(
    reader: ReadingNetwork,
    batch: Batch,
    edited: Tensor,
    size: StepSize,
    weights: LossWeights,
    *,
    taught: float | Tensor,
) -> tuple[Tensor, Tensor]:
    """The loss of one batch, and what METRICS names, as one detached vector.

    edited: uint8 [n, 24], a wrong form of each word of the batch. taught: share of pages that are cut into words where
    the words truly start; the others where the router says. Pages without sign labels have word starts that are
    estimates, so they do not teach the router.
    """
    page, device = reader.page, batch.image.device
    cells = page.cells(batch.image, limit=size.cells)
    count, kept, _ = cells.hidden.shape
    exact = (batch.signs != UNKNOWN).flatten(1).any(1)

    labels = batch.signs.gather(1, cells.index[..., None].expand(-1, -1, reader.config.slots))
    logits = page.sign_logits(cells.hidden)
    each = F.cross_entropy(
        logits.reshape(-1, SIGNS).float(), labels.reshape(-1), reduction="none", ignore_index=UNKNOWN
    )
    each = each.view_as(labels)
    signed, empty = (labels > 0) & cells.mask[..., None], (labels == 0) & cells.mask[..., None]
    sign_loss = _mean(each, signed) + 0.3 * _mean(each, empty)

    place = cells.position[batch.word_page, batch.word_cell]
    found = place >= 0
    starts = torch.zeros(count, kept + 1, dtype=torch.bool, device=device)
    starts[batch.word_page, torch.where(found, place, kept)] = torch.ones_like(found)
    starts = starts[:, :kept]
    route = page.router(cells.hidden)
    taught_here = cells.mask & exact[:, None]
    weight = torch.where(starts, START_WEIGHT, 1.0)
    start_loss = _mean(
        F.binary_cross_entropy_with_logits(route, starts.float(), weight=weight, reduction="none"), taught_here
    )

    use_truth = (torch.rand(count, 1, device=device) < taught) & exact[:, None]
    boundary = torch.where(use_truth, starts, route.detach() > 0)
    chunks = page.pool(cells.hidden, cells.mask, boundary, torch.sigmoid(route), size.chunks)
    tokens = page.tokens(chunks)

    chunk = torch.where(found, chunks.member[batch.word_page, place.clamp(min=0)], 0)
    # Words that are on the page come first; among them the draw is even.
    drawn = torch.argsort(torch.rand(len(chunk), device=device) - 2.0 * (chunk > 0))[: size.words]
    real = chunk[drawn] > 0
    seen = tokens[batch.word_page[drawn], (chunk[drawn] - 1).clamp(min=0)]
    right, wrong = batch.word_bytes[drawn], edited[drawn]
    typed = reader.text.tokens(reader.text.features(torch.cat([right, wrong])))
    with torch.autocast(device.type, enabled=False):
        contrast, accuracy = _contrast(reader, seen, typed, right, wrong, real)
        page_loss, presence_loss = _page_losses(reader, tokens, chunks.mask, typed, right, wrong, batch, size.queries)

    loss = (
        weights.signs * sign_loss
        + weights.starts * start_loss
        + weights.contrast * contrast
        + weights.pages * page_loss
        + weights.presence * presence_loss
    )
    with torch.no_grad():
        guess = (route > 0) & taught_here
        truth = starts & taught_here
        metrics = torch.stack(
            [
                sign_loss,
                start_loss,
                contrast,
                page_loss,
                presence_loss,
                accuracy,
                _mean((logits.argmax(-1) == labels).float(), signed),
                (guess & truth).sum() / truth.sum().clamp(min=1),
                (guess & truth).sum() / guess.sum().clamp(min=1),
                cells.mask.float().mean(),
                found.float().mean(),
            ]
        )
    return loss, metrics


def word_hash(words: Tensor) -> Tensor:
    """uint8 [n, 24] -> int64 [n]; equal words give equal numbers, others almost surely not."""
    step = torch.arange(1, words.shape[1] + 1, device=words.device, dtype=torch.int64)
    odd = (step * 0x9E3779B97F4A7C15 % 2**63) | 1
    mixed = (words.long() + 1) * odd
    return ((mixed ^ (mixed >> 29)) * 0x2545F4914F6CDD1D).sum(-1)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)


def _contrast(
    reader: ReadingNetwork, seen: Tensor, typed: Tensor, right: Tensor, wrong: Tensor, real: Tensor
) -> tuple[Tensor, Tensor]:
    """InfoNCE both ways between words on pages and typed strings; the edited strings are further wrong answers.
    Equal strings elsewhere in the batch do not count as wrong."""
    count = len(seen)
    hashes, edits = word_hash(right), word_hash(wrong)
    own = torch.eye(count, dtype=torch.bool, device=seen.device)
    equal = (hashes[:, None] == hashes[None]) & ~own
    scale = reader.contrast_scale.exp().clamp(max=LARGEST_SCALE)
    likeness = seen @ typed.T * scale
    forward = likeness.masked_fill(torch.cat([equal, hashes[:, None] == edits[None]], 1), NOT_HERE)
    backward = likeness[:, :count].T.masked_fill(equal | (~real[None] & ~own), NOT_HERE)
    answer = torch.arange(count, device=seen.device)
    each = F.cross_entropy(forward, answer, reduction="none") + F.cross_entropy(backward, answer, reduction="none")
    accuracy = _mean((forward.argmax(1) == answer).float(), real)
    return 0.5 * _mean(each, real), accuracy.detach()


def _page_losses(
    reader: ReadingNetwork,
    tokens: Tensor,
    mask: Tensor,
    typed: Tensor,
    right: Tensor,
    wrong: Tensor,
    batch: Batch,
    queries: int,
) -> tuple[Tensor, Tensor]:
    """Typed words against whole pages by late interaction: which pages hold a word (softmax over the batch), and
    whether a page holds it at all (logistic: it calibrates the scores of a search)."""
    count = len(right)
    asked = torch.randperm(count, device=tokens.device)[:queries]
    question = torch.cat([typed[:count][asked], typed[count:][asked]])
    hashes = torch.cat([word_hash(right)[asked], word_hash(wrong)[asked]])
    best = (question @ tokens.flatten(0, 1).T).view(len(question), *mask.shape)
    best = best.masked_fill(~mask[None], -1.0).amax(-1)
    # How often, as a product: whole numbers, and the same in any order.
    of_page = batch.word_page[:, None] == torch.arange(len(mask), device=tokens.device)
    holds = (hashes[:, None] == word_hash(batch.word_bytes)[None]).float() @ of_page.float() > 0

    scale = reader.contrast_scale.exp().clamp(max=LARGEST_SCALE)
    half = len(asked)
    logits = best[:half] * scale
    page_loss = (logits.logsumexp(1) - logits.masked_fill(~holds[:half], NOT_HERE).logsumexp(1)).mean()

    presence = best * reader.presence_scale.exp() + reader.presence_bias
    each = F.binary_cross_entropy_with_logits(presence, holds.float(), reduction="none")
    return page_loss, _mean(each, holds) + 4.0 * _mean(each, ~holds)
