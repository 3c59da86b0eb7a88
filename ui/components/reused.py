"""Photos of a claim that are in other claims too, side by side. It shows; it does not judge."""

from __future__ import annotations

from html import escape

import streamlit as st

from ui import backend
from ui.client import ApiProblem
from ui.components.messages import show_problem
from ui.components.pictures import show_page
from ui.records import Claim, Reuse


def show_reused(claim: Claim) -> None:
    """Nothing where no photo is in another claim."""
    try:
        found = backend.client().reused(claim.claim_id)
    except ApiProblem as problem:
        show_problem(problem)
        return
    if not found:
        return
    st.html(
        '<h2 class="cs-h">Also in other claims</h2>'
        '<p class="cs-meta">These photos look like photos of other claims. There may be a good reason for it.</p>'
    )
    with st.grid(min_column_width=340, gap=16, key="reused"):
        for place, reuse in enumerate(found):
            with st.container(border=True, key=f"card-reused-{place}", gap="xsmall"):
                _pair(place, reuse)


def _pair(place: int, reuse: Reuse) -> None:
    left, right = st.columns(2, gap="small")
    with left, st.container(key=f"picture-reused-mine-{place}-photo"):
        show_page(reuse.page)
    with right, st.container(key=f"picture-reused-other-{place}-photo"):
        show_page(reuse.other_page, reuse.other_claim)
    likeness = f"{reuse.likeness:.0%} alike{', mirrored' if reuse.mirrored else ''}"
    how = "the same file" if reuse.same_file else likeness
    names = f"{escape(reuse.page.label)} and {escape(reuse.other_page.label)}"
    st.html(f'<div class="cs-file"><b>{how}</b> {names}</div>')
    st.page_link(
        "views/claim.py",
        label=f"Open {reuse.other_claim.claim_id}",
        query_params={"claim": reuse.other_claim.claim_id},
    )
