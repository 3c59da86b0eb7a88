"""How photos were made, as their files say, and what of that does not fit the claim. It shows; it does not judge."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from ui.records import Asset


def capture_html(asset: Asset) -> str:
    """ "" where the file says nothing."""
    capture = asset.capture
    if capture is None:
        return ""
    said = [
        f"taken {capture.taken_at:%d %b %Y, %H:%M}" if capture.taken_at else "",
        capture.camera,
        capture.software,
        "names its place" if capture.has_place else "",
    ]
    return f'<span class="cs-capture">{escape(" · ".join(part for part in said if part))}</span>'


def show_contradictions(assets: Sequence[Asset]) -> None:
    """Nothing where all that the files say fits the claim."""
    rows = "".join(
        f'<p class="cs-reason"><b>{escape(asset.filename)}</b>: {escape(words)}</p>'
        for asset in assets
        for words in asset.contradictions
    )
    if rows:
        st.html(
            '<h2 class="cs-h">What the files say themselves</h2>'
            '<p class="cs-meta">This does not fit the claim. A wrong clock is the usual reason, and anybody can'
            f" write these facts.</p>{rows}"
        )
