"""What similar claims cost: one line of figures over the claims found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

import streamlit as st

from ui.components.facts import money
from ui.records import Claim, Losses


@dataclass(frozen=True, slots=True)
class Costs:
    """Of the claims in one currency. Amounts in different currencies are never mixed."""

    currency: str
    count: int
    median: float
    lowest: float
    highest: float


def costs(claims: Iterable[Claim]) -> list[Costs]:
    """By currency, the one with most claims first; each claim counts once."""
    amounts: dict[str, list[float]] = defaultdict(list)
    for claim in {claim.claim_id: claim for claim in claims}.values():
        if claim.amount is not None:
            amounts[claim.currency].append(claim.amount)
    found = [Costs(name, len(all_), median(all_), min(all_), max(all_)) for name, all_ in amounts.items()]
    return sorted(found, key=lambda cost: (-cost.count, cost.currency))


def show_costs(claims: Iterable[Claim]) -> None:
    unique = {claim.claim_id: claim for claim in claims}
    figures = costs(unique.values())
    if not figures:
        return
    blocks = "".join(
        f'<div class="cs-cost"><span class="cs-cost-n">{escape(money(cost.median, cost.currency))}</span>'
        f'<span class="cs-cost-l">'
        + _spread(cost.count, f"{money(cost.lowest, cost.currency)} – {money(cost.highest, cost.currency)}")
        + "</span></div>"
        for cost in figures[:4]
    )
    states = Counter(claim.status for claim in unique.values())
    outcome = ", ".join(f"{count} {escape(state)}" for state, count in states.most_common())
    st.html(
        f'<section class="cs-costs" aria-label="What these claims cost">'
        f'<div class="cs-costs-h">{_heading(len(unique))}<small>{outcome}</small></div>{blocks}</section>'
    )


def show_losses(losses: Sequence[Losses], *, claims: int) -> None:
    """Quartiles as the API gives them; nothing where no claim states an amount."""
    if not losses:
        return
    blocks = "".join(
        f'<div class="cs-cost"><span class="cs-cost-n">{escape(money(loss.median, loss.currency))}</span>'
        f'<span class="cs-cost-l">'
        + _spread(loss.count, f"half of them {money(loss.lower, loss.currency)} – {money(loss.upper, loss.currency)}")
        + "</span></div>"
        for loss in losses[:4]
    )
    st.html(
        f'<section class="cs-costs" aria-label="What these claims cost">'
        f'<div class="cs-costs-h">{_heading(claims)}</div>{blocks}</section>'
    )


def _heading(claims: int) -> str:
    return "What this claim cost" if claims == 1 else f"What these {claims} claims cost"


def _spread(count: int, range_: str) -> str:
    """What a median stands for; one amount is no median."""
    return "1 claim" if count == 1 else f"median of {count} · {escape(range_)}"
