"""Claims like the one on the page: which of its pictures match which of theirs, and what those claims cost."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import streamlit as st

from ui import backend
from ui.client import ApiProblem
from ui.components.ask import Asked
from ui.components.cards import facts_html
from ui.components.costs import show_losses
from ui.components.messages import empty_state, show_problem
from ui.components.pictures import show_page
from ui.components.why import show_why
from ui.records import Claim, Hit, Page

SHOWN = 6
PAIRS = 3
LEAST_LIKE = 0.05
"""Score below which two pictures are not shown beside each other, but for the best pair of a claim."""
MOST_PAGES = 24
LIKELY = 0.5
"""Chance of the same kind of damage below which a neighbour is not called comparable."""


def show_similar(claim: Claim, pages: list[Page]) -> None:
    """pages: of the claim. Asks with all of them unless the user picks some."""
    if not pages:
        empty_state("compare", "Nothing to compare by", "Add photos and papers of this claim under Files.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="similar-head"):
        chosen = st.multiselect(
            "Compare by",
            pages,
            format_func=lambda page: page.label,
            key="probes",
            placeholder="all its photos" if any(page.kind == "photo" for page in pages) else "all its pages",
            max_selections=MOST_PAGES,
            width=420,
        )
        apart = st.toggle("Leave out its own policy", key="apart", disabled=not claim.policy_id)
        diverse = st.toggle("Different kinds first", key="diverse")
    try:
        with st.spinner("Comparing claims ..."):
            answer = backend.similar(
                claim.claim_id,
                page_ids=tuple(page.page_id for page in chosen),
                exclude_same_policy=apart,
                diverse=diverse,
                limit=SHOWN,
            )
    except ApiProblem as problem:
        show_problem(problem)
        return
    if not answer.hits:
        empty_state(
            "compare", "No comparable claim", "No other claim has a searchable page that can be compared with these."
        )
        return
    surest = max((hit.probability for hit in answer.hits if hit.probability is not None), default=None)
    if surest is not None and surest < LIKELY:
        st.info(
            f"No comparable claim: of the nearest, the likeliest shows the same kind of damage at {surest:.0%}.",
            icon=":material/info:",
        )
    show_losses(answer.losses, claims=len(answer.hits))
    own = {page.page_id: page for page in pages}
    asked = {place: own[page_id] for place, page_id in enumerate(answer.asked) if page_id in own}
    for hit in answer.hits:
        with st.container(border=True, key=f"card-{hit.rank}"):
            _neighbour(hit, asked)


def _neighbour(hit: Hit, asked: Mapping[int, Page]) -> None:
    """The facts of a claim on the left; on the right its pictures beside those of this claim that they match."""
    facts, pictures = st.columns([3, 7], gap="medium")
    with facts:
        st.html(facts_html(hit))
        with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key=f"actions-hit-{hit.rank}"):
            st.page_link("views/claim.py", label="Open claim", query_params={"claim": hit.claim.claim_id})
            best = asked.get(hit.pairs[0].asked) if hit.pairs else None
            if best is not None and st.button("Why", key=f"why-{hit.rank}", type="tertiary"):
                show_why(hit, Asked(like=best.page_id))
    with pictures, st.grid(min_column_width=250, gap=14, key=f"pairs-{hit.rank}"):
        for place, pair in enumerate(hit.pairs[:PAIRS]):
            mine = asked.get(pair.asked)
            if mine is None or (place > 0 and pair.score < LEAST_LIKE):
                continue
            with st.container(key=f"pair-{hit.rank}-{place}", gap="xsmall"):
                left, right = st.columns(2, gap="small")
                with left, st.container(key=f"picture-mine-{hit.rank}-{place}-{mine.kind}"):
                    show_page(mine)
                with right, st.container(key=f"picture-theirs-{hit.rank}-{place}-{pair.page.kind}"):
                    show_page(pair.page, hit.claim)
                words = f"{escape(mine.label)} and {escape(pair.page.label)}"
                st.html(f'<div class="cs-file"><b>{pair.score:.0%}</b> {words}</div>')
