"""Whose key or token this session asks with: never in an address or a log. A key stays on the server; the token of the
identity provider's login comes from Streamlit, which keeps it in a signed cookie that no script can read."""

from __future__ import annotations

import streamlit as st

from ui.records import Me

_KEY, _ME = "entry-key", "entry-me"


def credential() -> str | None:
    """The key that was typed in this session, else the token of the login at the identity provider."""
    return st.session_state.get(_KEY) or _token()


def keep(key: str) -> None:
    st.session_state[_KEY] = key


def note(me: Me) -> None:
    """Who the API says it is, for `may`."""
    st.session_state[_ME] = me


def may(role: str) -> bool:
    """Whether to offer what takes that role; the API decides in the end."""
    me: Me | None = st.session_state.get(_ME)
    return me is None or me.may(role)


def forget() -> None:
    st.session_state.pop(_KEY, None)


def provider_is_set() -> bool:
    """Whether Streamlit's own login is configured (`[auth]` in secrets.toml)."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def leave() -> None:
    """Logs out of everything."""
    forget()
    if provider_is_set() and st.user.is_logged_in:
        st.logout()


def _token() -> str | None:
    if not provider_is_set() or not st.user.is_logged_in:
        return None
    tokens = st.user.tokens.to_dict()
    return tokens.get("access") or tokens.get("id")
