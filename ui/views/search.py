"""Search: words, a photo or a page in; similar claims out, with what they cost and why they match."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import streamlit as st

from ui import backend, entry
from ui.client import ApiProblem
from ui.components import filters
from ui.components.ask import MOST, Asked, ask, come_back, forget, remember, show_more, shown
from ui.components.cards import show_hits
from ui.components.claim_rows import show_rows
from ui.components.costs import show_costs
from ui.components.login import show_to_whoever_is_in
from ui.components.messages import empty_state, show_problem
from ui.components.pictures import show_page
from ui.records import Facet, Json, Page

RECENT = 8


def main() -> None:
    come_back()
    facets = backend.facets()
    filter = filters.sidebar(facets)
    hero = st.container()
    asked = ask()
    if asked.anything:
        # Before the answer: whoever opens a claim while it is being drawn comes back to this question all the same.
        remember()
        _answer(asked, filter)
        return
    with hero:
        st.html(
            '<div class="cs-hero"><h1>Find claims like this one</h1>'
            "<p>Ask in words or drop a photo of the damage. You see the closest past claims, what they cost, "
            "and where they match.</p></div>"
        )
    _recent(facets, filters.claim_filter(filter))


def _answer(asked: Asked, filter: Json) -> None:
    head = st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="answer-head"
    )
    left = head.container(horizontal=True, vertical_alignment="center", gap="small")
    with head.container(horizontal=True, vertical_alignment="center", width="content"):
        exact_text = _exact_text(asked.text)
        group_by = _group_by()
        st.button("New search", key="forget", type="tertiary", icon=":material/close:", on_click=forget)
    try:
        with st.spinner("Searching ..."):
            answer = backend.search(
                text=asked.text,
                page_id=asked.like,
                picture=asked.picture,
                filter=filter,
                group_by=group_by,
                limit=shown(),
                exact_text=exact_text,
            )
    except ApiProblem as problem:
        show_problem(problem)
        return
    with left:
        _headline(asked, _counted(len(answer.hits), group_by, more=answer.next_cursor is not None))
    if backend.reads_files():
        st.caption(":material/autorenew: Files are being read just now. They are found as soon as that is done.")
    if unread := backend.unread():
        pages = "1 page is" if unread == 1 else f"{unread:,} pages are"
        st.caption(f":material/history: {pages} found again once `claimsight encoder reindex` has read them anew.")
    if not answer.hits:
        _nothing(bool(filter))
        return
    show_costs(hit.claim for hit in answer.hits)
    show_hits(answer.hits, asked)
    if answer.next_cursor is not None and shown() < MOST:
        with st.container(horizontal_alignment="center"):
            st.button("Show more", key="more", icon=":material/expand_more:", on_click=show_more)


def _exact_text(text: str | None) -> bool:
    """Offered where the words ask for something to the letter: with a digit, or something in quotes."""
    if not text or not any(char.isdigit() or char in '"„“”«»' for char in text):
        return True
    return st.toggle(
        "Exact text first",
        value=True,
        key="exact",
        bind="query-params",
        help="Digital PDFs that hold the number, or the words in quotes, to the letter come first.",
    )


def _group_by() -> str:
    chosen = st.segmented_control(
        "Show claims or pages",
        ("claims", "pages"),
        default="claims",
        required=True,
        key="show",
        bind="query-params",
        label_visibility="collapsed",
    )
    return "page" if chosen == "pages" else "claim"


def _counted(count: int, group_by: str, *, more: bool) -> str:
    noun = group_by if count == 1 else f"{group_by}s"
    return f"The {count} closest {noun}" if more else f"{count} {noun}"


def _headline(asked: Asked, counted: str) -> None:
    if asked.picture:
        st.image(asked.picture.content, width=96, alt=f"Your photo {asked.picture.filename}")
        words = f"{counted} like your photo"
    elif asked.like:
        page = _liked(asked.like)
        if page is not None:
            with st.container(width=96):
                show_page(page, width=200)
        words = f"{counted} like {page.label} of {page.claim_id}" if page else f"{counted} like this page"
    else:
        words = f"{counted} for “{asked.text}”"
    st.html(f'<h1 class="cs-h">{escape(words)}</h1>')


def _liked(page_id: str) -> Page | None:
    """The page asked about; the search itself says it when there is none."""
    try:
        return backend.client().page(page_id)
    except ApiProblem:
        return None


def _nothing(filtered: bool) -> None:
    if filtered:
        empty_state("search_off", "Nothing passes these filters", "Remove a filter to see more.")
    else:
        empty_state(
            "search_off",
            "Nothing found",
            "No page is searchable yet. Upload files to a claim; they can be found as soon as they are indexed.",
        )


def _recent(facets: Mapping[str, Facet], filter: Json) -> None:
    """Before a question: how much there is to search, and the latest losses."""
    claims = backend.client().claims(filter=filter, sort="-loss_date", limit=RECENT).claims
    if not claims:
        if filter:
            _nothing(True)
            return
        first = "Create the first claim under Claims and upload its photos and papers."
        if not entry.may("adjuster"):
            first = "Whoever may enter claims creates the first one and uploads its photos and papers."
        empty_state("inventory_2", "No claims yet", f"{first} They can be searched soon after.")
        return
    st.html('<h2 class="cs-h">Latest losses</h2>')
    lines = facets["line"].values if "line" in facets and not filter else ()
    if lines:
        counts = "".join(f"<span><b>{count}</b> {escape(str(line))}</span>" for line, count in lines)
        st.html(f'<div class="cs-lines">{counts}</div>')
    show_rows(claims, key="recent")


show_to_whoever_is_in(main)
