"""Vectors to scores: how likely each word stands on a page, weighted by how few pages have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kernels.maxsim import maxsim_scores
from models.encoder import Embedding, FloatArray, PackedPages
from models.local.config import ScoreConfig
from models.local.lookalikes import numbers_of, read_as_typed
from models.local.meanings import meanings
from models.local.neighbours import together
from models.local.probability import Doubles, calibrated, rarity, sigmoid, value_of
from models.local.summary import likeness
from models.local.words import COMMON_WORDS, QueryPlan, Span, canonical, plan_query

QUESTION = 3
"""Other words in a query from which its common words only hold it together; in a shorter one they may be a name."""
MOST_PRODUCTS = 64_000_000
"""Pairs of tokens that are compared where some of the query's can be spared: in a large collection a picture's tokens
are thinned, and fewer words of like meaning are looked for."""
FEWEST_SIGHTS = 32
LONGEST_LOOK = 0.9
"""Length of a page's token up to which it says what the page looks like; print has length 1."""
BEST = 100
"""Pages whose tokens are looked at one by one, for words that stand side by side and for numbers that look like the
typed ones: those with the best scores."""
FULL_PRINT = 40
"""Tokens from which a picture counts as one that is read, not only looked at."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """values: what each span counts on each page, (P,). words: for each typed word the best of its spans, (P, words).
    weight: what a word weighs, (words,)."""

    values: list[Doubles]
    words: Doubles
    weight: Doubles


def score_pages(query: Embedding, pages: PackedPages, config: ScoreConfig, device: torch.device) -> FloatArray:
    """float32 (P,) in 0..1. Words: the mean of P(word on page), weighted by rarity, less where a number is read as one
    that looks like it and where neighbours in the query stand apart on the page; pictures without print are found by
    what they show, pages also by what their words mean together. Pictures: likeness of their looks, and the share of
    the query's print that the page holds."""
    if query.encoder != pages.encoder:
        raise ValueError(f"vectors of {query.encoder} and {pages.encoder} cannot be compared")
    looks, meant = likeness(query.summary, pages.summaries)
    if query.words and query.tokens is not None:
        whole = plan_query(query.words)
        plan = whole.narrowed(MOST_PRODUCTS // max(1, len(pages.tokens)))
        shown = presence(query.tokens[: len(plan.strings)], pages, config, device)
        evidence = weigh(plan, shown, config)
        print_score = _best_cut(plan, shown, evidence)
        numbers = numbers_of(whole)
        if numbers:
            best, alike = _first(print_score), query.tokens[len(whole.strings) :]
            shown[best[:, None], list(numbers)] = read_as_typed(numbers, query.tokens, alike, pages, best, config)
            evidence = weigh(plan, shown, config)
            print_score = _best_cut(plan, shown, evidence)
        if len(plan.words) > 1 and not plan.layout():
            best = _first(print_score)
            apart = np.ones(len(pages))
            apart[best] -= together(plan, query.tokens[: len(plan.strings)], pages, best, config)
            print_score = print_score * (1.0 - config.apart * apart)
        looked_at = 1.0 - np.minimum(1.0, np.diff(pages.offsets) / FULL_PRINT)
        topic = config.topic * looked_at * sigmoid(config.topic_slope * looks + config.topic_bias)
        scores = 1.0 - (1.0 - print_score) * (1.0 - topic)
        if not plan.layout():
            scores += config.meaning * np.maximum(meant, 0.0) * unsaid(plan, evidence)
    else:
        scores = sigmoid(config.picture_slope * looks + config.picture_bias)
        printed = None if query.tokens is None else query.tokens[np.linalg.norm(query.tokens, axis=1) > LONGEST_LOOK]
        if printed is not None and len(printed):
            most = max(FEWEST_SIGHTS, MOST_PRODUCTS // max(1, len(pages.tokens)))
            shown = presence(thinned(printed, most), pages, config, device)
            weight = rarity(shown.sum(0), len(pages))
            share = config.print * min(1.0, len(printed) / FULL_PRINT)
            scores = (1.0 - share) * scores + share * (shown @ weight) / weight.sum()
    return np.clip(scores, 0.0, 1.0).astype(np.float32)


def same_kind(query: Embedding, page: Embedding, config: ScoreConfig) -> float | None:
    """Chance that two pictures show the same kind of damage; None for words and for pictures that are read."""
    if query.words or holds_print(query) or holds_print(page):
        return None
    looks, _ = likeness(query.summary, page.summary[None])
    return float(sigmoid(config.picture_slope * looks + config.picture_bias)[0])


def holds_print(page: Embedding) -> bool:
    """Whether a picture holds so much print that it counts as read, not only as looked at."""
    return page.tokens is not None and len(page.tokens) >= FULL_PRINT


def is_read(page: Embedding) -> bool:
    """Whether a picture was read in full, and not seen to be a scene: only then it is told what it looks like. So it is
    for all 458 training pages, and for none of 120 training photos on a white ground."""
    if page.tokens is None:
        return False
    return holds_print(page) or bool((np.linalg.norm(page.tokens, axis=1) <= LONGEST_LOOK).any())


def score_words(plan: QueryPlan, shown: Doubles, config: ScoreConfig) -> Doubles:
    """(P,) in 0..1. shown: (P, strings), probability that a string stands on a page.

    The typed words are cut into spans (a word, two joined, a date, a look, a word of like meaning) so that the sum of
    rarity times probability is largest. A word of like meaning is worth its own rarity at most.
    """
    return _best_cut(plan, shown, weigh(plan, shown, config))


def _first(scores: Doubles) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")[:BEST]


def _best_cut(plan: QueryPlan, shown: Doubles, evidence: Evidence) -> Doubles:
    values, weight = evidence.values, evidence.weight
    known = rarity(shown.sum(0), len(shown))
    best = [np.zeros(len(shown)) for _ in range(len(plan.words) + 1)]
    for span, value in sorted(zip(plan.spans, values, strict=True), key=lambda pair: pair[0].end):
        worth = weight[span.first : span.end].sum()
        if span.kind == "near":
            worth = min(worth, known[span.rows[0]])
        elif span.kind == "look":
            worth = min(worth, known[list(span.rows)].min())
        best[span.end] = np.maximum(best[span.end], best[span.first] + value * worth)
    return best[-1] / weight.sum()


def unsaid(plan: QueryPlan, evidence: Evidence) -> Doubles:
    """(P,) in 0..1: how much of a query, weighted by rarity, a page does not print, and might say in other words: names
    and numbers have none."""
    has_others = np.array([canonical(word) in meanings().row for word in plan.words])
    return (1.0 - evidence.words) @ (evidence.weight * has_others) / evidence.weight.sum()


def weigh(plan: QueryPlan, shown: Doubles, config: ScoreConfig) -> Evidence:
    """shown: as of `score_words`."""
    seen, layout = plan.seen(), plan.layout()
    values = [
        value_of(span, shown[:, span.rows].max(1), config) * _share(span, seen, config, layout=layout)
        for span in plan.spans
    ]
    words = np.zeros((len(shown), len(plan.words)))
    for span, value in zip(plan.spans, values, strict=True):
        words[:, span.first : span.end] = np.maximum(words[:, span.first : span.end], value[:, None])
    weight = rarity(words.sum(0), len(shown))
    common = np.array([canonical(word) in COMMON_WORDS for word in plan.words])
    if layout:
        weight[plan.filler()] *= config.filler
    elif (~common).sum() >= QUESTION:
        weight[common] *= config.common
    return Evidence(values, words, weight)


def presence(query_tokens: FloatArray, pages: PackedPages, config: ScoreConfig, device: torch.device) -> Doubles:
    """(P, T): probability that a page shows what each query token stands for; 0 on pages without tokens."""
    if not len(pages.tokens):
        return np.zeros((len(pages), len(query_tokens)))
    best, _ = maxsim_scores(
        torch.from_numpy(query_tokens).to(device),
        torch.from_numpy(pages.tokens).to(device),
        torch.from_numpy(pages.scales).to(device),
        torch.from_numpy(pages.offsets).to(device),
    )
    return calibrated(best.cpu().numpy().astype(np.float64), np.diff(pages.offsets)[:, None], config)


def explain_words(query: Embedding, page_tokens: FloatArray, config: ScoreConfig) -> tuple[tuple[str, ...], FloatArray]:
    """Words and float32 (W, T) in 0..1: how likely each page token stands for each typed word; one row named ""
    for pictures."""
    count = len(page_tokens)
    if query.tokens is None:
        return query.words or ("",), np.zeros((max(1, len(query.words)), count), np.float32)
    plan = plan_query(query.words)
    asked = query.tokens[: len(plan.strings)] if query.words else query.tokens
    shown = calibrated((asked @ page_tokens.T).astype(np.float64), count, config)
    if not query.words:
        return ("",), shown.max(0, keepdims=True).astype(np.float32)
    scores = np.zeros((len(query.words), count))
    seen, layout = plan.seen(), plan.layout()
    for span in plan.spans:
        value = value_of(span, shown[list(span.rows)].max(0), config) * _share(span, seen, config, layout=layout)
        scores[span.first : span.end] = np.maximum(scores[span.first : span.end], value)
    return query.words, scores.astype(np.float32)


def _share(span: Span, seen: NDArray[np.bool_], config: ScoreConfig, *, layout: bool) -> float:
    """Of what a span counts: print comes before looks, but the other way round where looks are asked for."""
    if span.kind == "look":
        return 1.0 if layout else config.look
    return config.printed if layout and seen[span.first : span.end].all() else 1.0


def thinned(tokens: FloatArray, most: int) -> FloatArray:
    """At most so many of a picture's tokens, spread evenly over it."""
    if len(tokens) <= most:
        return tokens
    return tokens[np.linspace(0, len(tokens) - 1, most).round().astype(np.int64)]
