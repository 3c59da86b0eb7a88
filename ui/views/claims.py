"""All claims: a list to filter, sort and open, and the way to a new one."""

from __future__ import annotations

import streamlit as st

from ui import backend, entry
from ui.components import filters
from ui.components.claim_form import new_claim, open_made_claim
from ui.components.claim_rows import show_rows
from ui.components.login import show_to_whoever_is_in
from ui.components.messages import empty_state

SORTS = {
    "Latest loss": "-loss_date",
    "Newest entry": "-created_at",
    "Highest amount": "-loss_amount",
    "Claim number": "claim_id",
}
PAGE = 25


def main() -> None:
    open_made_claim()
    filter = filters.claim_filter(filters.sidebar(backend.facets(), with_kind=False))
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="claims-head"
    ):
        st.html('<h1 class="cs-h">Claims</h1>')
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            order = st.selectbox(
                "Order", list(SORTS), key="order", bind="query-params", label_visibility="collapsed", width=190
            )
            if entry.may("adjuster") and st.button("New claim", key="new-claim", type="primary", icon=":material/add:"):
                new_claim()
    shown = int(st.session_state.setdefault("claims-shown", PAGE))
    listing = backend.client().claims(filter=filter, sort=SORTS[order], limit=shown)
    if not listing.claims:
        if filter:
            empty_state("filter_alt_off", "No claim passes these filters", "Remove a filter to see more.")
        else:
            first = "Create the first one, then upload its photos and papers."
            if not entry.may("adjuster"):
                first = "They appear here as soon as somebody who may enter claims has created one."
            empty_state("inventory_2", "No claims yet", first)
        return
    show_rows(listing.claims, key="claim-list")
    if listing.next_cursor is not None and shown < 200:
        with st.container(horizontal_alignment="center"):
            st.button("Show more", key="more-claims", icon=":material/expand_more:", on_click=_show_more)


def _show_more() -> None:
    st.session_state["claims-shown"] += PAGE


show_to_whoever_is_in(main)
