"""How the user asks: words, a photo or a page. The latest of the three is in force."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from ui.client import Picture

EXAMPLES = ("smashed windscreen", "hail on a roof", "repair estimate bumper", "police report", "burst pipe")
PICTURE_TYPES = ["jpg", "jpeg", "png", "webp", "heic", "tif", "tiff"]
FIRST, STEP, MOST = 12, 12, 96


@dataclass(frozen=True, slots=True)
class Asked:
    """The query in force; one of the three is set, or none. like: a page's id."""

    text: str | None = None
    picture: Picture | None = None
    like: str | None = None

    @property
    def anything(self) -> bool:
        return bool(self.text or self.picture or self.like)


def ask() -> Asked:
    """Draws the search box and the photo drop."""
    _take_up_link()
    with st.container(key="ask"):
        words, photo = st.columns([3, 2], gap="medium", vertical_alignment="top")
        with words:
            text = st.text_input(
                "Describe the damage, or what the paper says",
                key="q",
                bind="query-params",
                type="search",
                placeholder="smashed windscreen, hail on a roof, repair estimate for a bumper ...",
                icon=":material/search:",
                max_chars=2000,
                on_change=_only_words,
            )
            with st.container(horizontal=True, gap="xsmall", key="examples"):
                for example in EXAMPLES:
                    st.button(
                        example, key=f"example-{example}", type="tertiary", on_click=_use_example, args=(example,)
                    )
        with photo:
            file = st.file_uploader(
                "Or drop a photo of the damage",
                type=PICTURE_TYPES,
                key=f"photo-{st.session_state['drop']}",
                on_change=_only_photo,
            )
    if file is not None:
        kind = file.type or "application/octet-stream"
        st.session_state["photo"] = Picture(file.name, file.getvalue(), kind)
    if like := st.query_params.get("like"):
        return Asked(like=like)
    if text := (text or "").strip():
        return Asked(text=text)
    # Kept apart from the uploader, which forgets its file when another page is shown.
    return Asked(picture=st.session_state.get("photo"))


def come_back() -> None:
    """Takes up the last search after "back" from a claim. Streamlit's own history leaves the claim in the address of
    this page and the question out of it."""
    if "claim" in st.query_params:
        st.switch_page("views/search.py", query_params=st.session_state.get("last-search", {}))


def remember() -> None:
    """Keeps the address of the search for `come_back`."""
    st.session_state["last-search"] = {name: st.query_params.get_all(name) for name in st.query_params}


def shown() -> int:
    """How many answers the user wants to see."""
    return int(st.session_state.setdefault("shown", FIRST))


def show_more() -> None:
    st.session_state["shown"] = shown() + STEP


def forget() -> None:
    """A new, empty search; the filters stay."""
    st.session_state["q"] = ""
    _only_words()


def _take_up_link() -> None:
    """A "more like this" link that was followed just now puts words and photo aside."""
    st.session_state.setdefault("drop", 0)
    like = st.query_params.get("like")
    if like != st.session_state.get("liked"):
        st.session_state["liked"] = like
        if like:
            st.session_state["q"] = ""
            # Clearing the bound box rewrites the address; without this the link would be lost from it.
            st.query_params["like"] = like
            _restart()


def _restart() -> None:
    """A new uploader without a file, and a short list again."""
    st.session_state["drop"] += 1
    st.session_state["photo"] = None
    st.session_state["shown"] = FIRST


def _only_words() -> None:
    st.query_params.pop("like", None)
    _restart()


def _only_photo() -> None:
    st.session_state["q"] = ""
    st.session_state["photo"] = None
    st.query_params.pop("like", None)
    st.session_state["shown"] = FIRST


def _use_example(words: str) -> None:
    st.session_state["q"] = words
    _only_words()
