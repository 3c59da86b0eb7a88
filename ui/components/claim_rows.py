"""Claims as the rows of a list, each a link to its claim."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import streamlit as st

from ui.components.facts import chips, day, money, status_badge
from ui.records import Claim

HEADS = ("Status", "Amount", "Line", "Damage", "Vehicle or place", "Date of loss")
LINK_WIDTH = 130


def show_rows(claims: Iterable[Claim], *, key: str) -> None:
    with st.container(key=key, gap=None):
        with st.container(horizontal=True, wrap=False, key=f"heads-{key}"):
            with st.container(width=LINK_WIDTH):
                st.html('<div class="cs-head">Claim</div>')
            st.html(f'<div class="cs-listed cs-head">{"".join(f"<span>{head}</span>" for head in HEADS)}</div>')
        for claim in claims:
            _row(claim)


def _row(claim: Claim) -> None:
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", key=f"row-{claim.claim_id}"):
        with st.container(width=LINK_WIDTH):
            st.page_link("views/claim.py", label=claim.claim_id, query_params={"claim": claim.claim_id})
        st.html(
            f'<div class="cs-listed"><span>{status_badge(claim.status)}</span>'
            f'<span class="cs-amount">{escape(money(claim.amount, claim.currency))}</span>'
            f"<span>{escape(claim.line)}</span>"
            f'<span class="cs-chips">{chips(claim.damage)}</span>'
            f"<span>{escape(claim.vehicle or claim.place)}</span><span>{escape(day(claim.loss_date))}</span></div>"
        )
