"""One answer as a card: the page, how well it matches, the claim behind it, what can be done next."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from ui.components.ask import Asked
from ui.components.facts import chips, meta_line, money, status_badge
from ui.components.filters import like_link
from ui.components.pictures import open_large, show_page
from ui.components.why import show_why
from ui.records import Hit


def show_hits(hits: Sequence[Hit], asked: Asked) -> None:
    """A responsive grid of cards, one such grid a page. asked: the query that found them."""
    with st.grid(min_column_width=290, gap=18, key="hits"):
        for hit in hits:
            with st.container(border=True, key=f"card-{hit.rank}", gap="xsmall"):
                _card(hit, asked)


def _card(hit: Hit, asked: Asked) -> None:
    with st.container(key=f"picture-hit-{hit.rank}-{hit.page.kind}"):
        show_page(hit.page, hit.claim)
    st.html(facts_html(hit))
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key=f"actions-hit-{hit.rank}"):
        st.page_link("views/claim.py", label="Open claim", query_params={"claim": hit.claim.claim_id})
        st.page_link("views/search.py", label="More like this", query_params=like_link(hit.page.page_id))
        if st.button("View", key=f"view-{hit.rank}", type="tertiary"):
            open_large([hit.page, *(page for page, _ in hit.more)], 0, hit.claim)
        if st.button("Why", key=f"why-{hit.rank}", type="tertiary"):
            show_why(hit, asked)


def facts_html(hit: Hit) -> str:
    """Score, amount, status, claim, damage and where the page comes from; all of it escaped."""
    claim = hit.claim
    percent = max(0, min(100, round(hit.score * 100)))
    chance = hit.probability
    likely = "" if chance is None else f'<div class="cs-meta">Same kind of damage: {chance:.0%} likely</div>'
    badge = '<span class="cs-exact" title="The text of this PDF holds it to the letter">exact text</span> '
    exact = badge if hit.exact_text else ""
    more = f'<span class="cs-more">+{len(hit.more)} more from this claim</span>' if hit.more else ""
    return (
        f'<div class="cs-card">'
        f'<div class="cs-score" role="img" aria-label="Match {percent} percent"><i style="width:{percent}%"></i></div>'
        f'<div class="cs-row"><span class="cs-amount">{escape(money(claim.amount, claim.currency))}</span>'
        f'<span class="cs-percent">{exact}{percent}% match</span></div>'
        f'<div class="cs-row"><span class="cs-id">{escape(claim.claim_id)}</span>{status_badge(claim.status)}</div>'
        f'<div class="cs-chips">{chips(claim.damage)}</div>'
        f"{likely}"
        f'<div class="cs-meta">{meta_line(claim)}</div>'
        f'<div class="cs-file">{escape(hit.page.label)}{more}</div>'
        f"</div>"
    )
