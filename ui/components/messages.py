"""What went wrong or is missing, in sentences an adjuster can act on."""

from __future__ import annotations

from html import escape

import streamlit as st

from ui.client import ApiDown, ApiProblem

# The user's words for the codes that an adjuster can do something about; others show what the API said.
_ADVICE = {
    "claim_not_found": "This claim does not exist, or it was deleted.",
    "page_not_found": "This page does not exist any more. Its file or claim may have been deleted.",
    "claim_exists": "There is already a claim with this number.",
    "version_conflict": "Somebody else changed this claim meanwhile. Reload it and enter your change again.",
    "unauthorised": "This key is not one that opens Claimsight.",
    "key_expired": "This key has expired. Ask whoever runs Claimsight for the next one.",
    "key_revoked": "This key was revoked. Ask whoever runs Claimsight for another one.",
    "token_expired": "Your login has ended. Log in again.",
    "role_required": "Your role does not allow this.",
    "rate_limited": "That was too much at once. Try again in a moment.",
    "encoder_unavailable": "The encoder does not answer at the moment. Try again shortly.",
    "text_unsupported": "The encoder in use sees pictures only. Search by a photo or a page.",
    "explain_unsupported": "The encoder in use cannot say where a page matched.",
    "index_not_ready": "The search index is still being built. Try again shortly.",
    "store_unavailable": "The store does not answer at the moment. Try again shortly.",
}


def show_api_down(fault: ApiDown) -> None:
    with st.container(key="api-down"):
        empty_state(
            "cloud_off",
            "Claimsight's API does not answer",
            f"{fault} Start it with `claimsight serve`, or check CLAIMSIGHT_API_URL. Nothing you entered is lost.",
        )
        st.button("Try again", icon=":material/refresh:", type="primary", key="retry-api")


def show_problem(problem: ApiProblem) -> None:
    """A problem document: what happened first, then what support needs to know."""
    st.error(problem_sentence(problem), icon=":material/error:")
    reference = f"Code {problem.code}" + (f", request {problem.request_id}" if problem.request_id else "")
    st.caption(reference)


def problem_sentence(problem: ApiProblem) -> str:
    return _ADVICE.get(problem.code) or problem.detail or problem.title


def empty_state(icon: str, title: str, words: str) -> None:
    """Nothing to show, and what to do about it. icon: a Material symbol's name."""
    with st.container(horizontal_alignment="center", key=f"empty-{icon}"):
        st.markdown(f"# :material/{icon}:")
        st.html(f'<div class="cs-empty"><h3>{escape(title)}</h3><p>{escape(words)}</p></div>')
