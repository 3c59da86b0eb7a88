"""The way in: a key, or the login of the identity provider."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ui import backend, entry
from ui.client import ApiDown, ApiProblem
from ui.components.messages import problem_sentence, show_api_down, show_problem
from ui.records import Me


def show_to_whoever_is_in(page: Callable[[], None]) -> None:
    """The page, or the login; the one place where a fault becomes a message."""
    try:
        if (me := _enter()) is not None:
            entry.note(me)
            page()
            _show_person(me)
    except ApiDown as fault:
        show_api_down(fault)
    except ApiProblem as problem:
        show_problem(problem)


def _enter() -> Me | None:
    """None when the login page is shown instead. Raises ApiDown, ApiProblem."""
    given = entry.credential() is not None
    try:
        return backend.client().me()
    except ApiProblem as problem:
        if problem.status != 401:
            raise
        entry.forget()
        _login_page(problem_sentence(problem) if given else "")
        return None


def _show_person(me: Me) -> None:
    """Who is in, and the way out; nothing where the API asks for no key."""
    if entry.credential() is None:
        return
    with st.sidebar.container(key="person"):
        st.caption(f"{me.name or 'Logged in'} · {me.role}")
        st.button("Log out", key="logout", type="tertiary", icon=":material/logout:", on_click=entry.leave)


def _login_page(reason: str) -> None:
    with st.container(horizontal_alignment="center", key="login"), st.container(width=420):
        st.html('<h1 class="cs-h">Log in to Claimsight</h1>')
        if reason:
            st.error(reason, icon=":material/error:")
        if entry.provider_is_set():
            st.button("Log in", key="provider", type="primary", icon=":material/login:", on_click=st.login)
        with st.form("key-form", border=False):
            key = st.text_input(
                "Your key", type="password", key="key-typed", autocomplete="current-password", max_chars=200
            )
            kind = "secondary" if entry.provider_is_set() else "primary"
            if st.form_submit_button("Enter", type=kind, icon=":material/key:") and key.strip():
                entry.keep(key.strip())
                st.rerun()
        st.caption("Whoever runs Claimsight makes keys with `claimsight keys create`. A reload of the page asks again.")
