"""Why a page was found: the page with what matched marked, and the words it answers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from ui import backend
from ui.client import ApiProblem
from ui.components.ask import Asked
from ui.components.messages import problem_sentence
from ui.components.pictures import alt_text, turn_button, turned
from ui.records import Hit, Matches


@st.dialog("Why this page?", width="large")
def show_why(hit: Hit, asked: Asked) -> None:
    """asked: the query that found the hit."""
    try:
        with st.spinner("Looking where it matches ..."):
            if asked.like and hit.page.kind == "photo":
                _show_matches(hit, backend.matches(asked.like, hit.page.page_id))
                return
            found = backend.explain(hit.page.page_id, text=asked.text, picture=asked.picture, like=asked.like)
    except ApiProblem as problem:
        st.info(problem_sentence(problem), icon=":material/info:")
        return
    left, right = st.columns([7, 3], gap="medium")
    about, turns = right.container(), turn_button(right, f"why-{hit.page.page_id}")
    with left, st.container(key="why-page"):
        st.image(
            turned(found.overlay, turns),
            width="stretch",
            alt=f"{alt_text(hit.page, hit.claim)}; the matching parts are marked in orange",
        )
    with about:
        st.html(f'<div class="cs-why-score">{hit.score:.0%}<small>match</small></div>')
        what = "photo" if hit.page.kind == "photo" else "page"
        if asked.text:
            st.markdown(f"Orange marks the parts of this {what} that answer “{asked.text}”.")
        else:
            other = "your photo" if asked.picture else "the page you compare with"
            st.markdown(f"Orange marks the parts of this {what} that are most like {other}.")
        words = found.words or hit.words
        if words and asked.text:
            st.html(word_bars(words))


def _show_matches(hit: Hit, found: Matches) -> None:
    parts = "one part" if found.count == 1 else f"{found.count} parts"
    words = (
        f"Boxes of one colour and number mark {parts} that look alike."
        if found.count
        else ("No part of one looks like a part of the other: they are alike as a whole.")
    )
    with st.container(key="why-page"):
        st.image(
            found.overlay,
            width="stretch",
            alt=f"The page you compare with, beside {alt_text(hit.page, hit.claim)}; {parts} marked in both",
        )
    st.markdown(f"**{hit.score:.0%}** match. {words}")


def word_bars(words: Sequence[tuple[str, float]]) -> str:
    """How well each word is answered, as bars."""
    rows = "".join(
        f'<li><span>{escape(word)}</span><i style="width:{max(2, min(100, round(score * 100)))}%"></i>'
        f"<b>{score:.0%}</b></li>"
        for word, score in words
    )
    return f'<ul class="cs-words" aria-label="How well the page answers each word">{rows}</ul>'
