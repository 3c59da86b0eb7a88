"""The dashboard's entry: look and navigation."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent

st.set_page_config(page_title="Claimsight", page_icon=str(HERE / "assets" / "mark.svg"), layout="wide")
st.logo(str(HERE / "assets" / "logo.svg"), size="large")
st.html(HERE / "assets" / "style.css")

page = st.navigation(
    [
        st.Page("views/search.py", title="Search", icon=":material/search:", default=True),
        st.Page("views/claims.py", title="Claims", icon=":material/folder_open:", url_path="claims"),
        st.Page("views/claim.py", title="Claim", url_path="claim", visibility="hidden"),
    ],
    position="top",
)
page.run()
