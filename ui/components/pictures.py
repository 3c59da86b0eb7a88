"""Page pictures from the API, with alternative text; a picture that cannot be had leaves a note in its place."""

from __future__ import annotations

import io
from html import escape

import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from ui import backend
from ui.client import ApiProblem
from ui.records import Claim, Page

CARD_WIDTH = 560
LARGE_WIDTH = 1600


def alt_text(page: Page, claim: Claim | None = None) -> str:
    what = "Photo" if page.kind == "photo" else f"Page {page.number}"
    words = f"{what} of {page.filename or 'a file'} in claim {page.claim_id}"
    if claim and claim.damage:
        words += f": {', '.join(claim.damage)}"
    return words


def show_page(page: Page, claim: Claim | None = None, *, width: int = CARD_WIDTH, turns: int = 0) -> None:
    """turns: quarters to the right."""
    try:
        content = backend.page_image(page.page_id, width=width)
    except ApiProblem as problem:
        st.html(f'<div class="cs-nopicture" role="img">Picture not available ({escape(problem.code)})</div>')
        return
    st.image(turned(content, turns), width="stretch", alt=alt_text(page, claim))


def turned(content: bytes, turns: int) -> bytes:
    """A picture turned by quarters to the right, as PNG; as it is for 0."""
    return _turned(content, turns) if turns else content


@st.cache_data(ttl=300, max_entries=20, show_spinner=False)
def _turned(content: bytes, turns: int) -> bytes:
    ways = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)
    with Image.open(io.BytesIO(content)) as picture:
        picture.transpose(ways[turns - 1]).save(out := io.BytesIO(), "PNG", compress_level=1)
    return out.getvalue()


def turn_button(bar: DeltaGenerator, key: str) -> int:
    """Turns what is shown, never what is stored. Returns quarters to the right. key: of the picture."""
    turns = int(st.session_state.setdefault(f"turn-{key}", 0))
    bar.button(
        "Turn",
        key=f"{key}-turn",
        icon=":material/rotate_right:",
        help="Show it turned by a quarter. What is stored stays as it was uploaded.",
        on_click=_turn,
        args=(f"turn-{key}",),
    )
    return turns


def _turn(key: str) -> None:
    st.session_state[key] = (st.session_state[key] + 1) % 4


@st.dialog("Page", width="large")
def open_large(pages: list[Page], at: int, claim: Claim | None) -> None:
    """One page at reading size, with its neighbours one step away."""
    key = f"large-{pages[at].page_id}"
    place = int(st.session_state.setdefault(key, at))
    page = pages[place]
    bar = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
    bar.html(f'<div class="cs-large-h"><b>{escape(page.label)}</b>{escape(_where(place, len(pages)))}</div>')
    step = bar.container(horizontal=True, width="content")
    turns = turn_button(step, f"large-{page.page_id}")
    if len(pages) > 1:
        step.button(
            "Previous",
            key=f"{key}-back",
            icon=":material/chevron_left:",
            shortcut="Left",
            disabled=place == 0,
            on_click=_step,
            args=(key, -1),
        )
        step.button(
            "Next",
            key=f"{key}-on",
            icon=":material/chevron_right:",
            shortcut="Right",
            disabled=place == len(pages) - 1,
            on_click=_step,
            args=(key, 1),
        )
    with st.container(key="large-page"):
        show_page(page, claim, width=LARGE_WIDTH, turns=turns)


def _step(key: str, by: int) -> None:
    st.session_state[key] += by


def _where(place: int, count: int) -> str:
    return f" · {place + 1} of {count}" if count > 1 else ""
