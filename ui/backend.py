"""The client of whoever is logged in, and what may be remembered for them between reruns of a page."""

from __future__ import annotations

import json
import os
from hashlib import sha256

import httpx2
import streamlit as st

from ui.client import ApiProblem, Client, Picture, pool
from ui.entry import credential
from ui.records import Explanation, Facet, Json, Matches, SearchAnswer

DEFAULT_API_URL = "http://127.0.0.1:8000"
DIVERSITY = 0.4
FACET_FIELDS = ("line", "status", "damage_types", "vehicle.make", "location.country", "loss_amount", "loss_date")


def client() -> Client:
    """Asks with the key or token of this session; the dashboard has none of its own."""
    url = os.environ.get("CLAIMSIGHT_API_URL", DEFAULT_API_URL)
    return Client(url, api_key=credential(), http=_pool(url))


@st.cache_resource(show_spinner=False)
def _pool(url: str) -> httpx2.Client:
    return pool(url)


def _of_session() -> str:
    """Part of the key of whatever is remembered: what one person may see is never shown to another."""
    return sha256((credential() or "").encode()).hexdigest()


def page_image(page_id: str, *, width: int) -> bytes:
    return _page_image(_of_session(), page_id, width)


@st.cache_data(ttl=300, max_entries=400, show_spinner=False)
def _page_image(session: str, page_id: str, width: int) -> bytes:
    return client().page_image(page_id, width=width)


def facets() -> dict[str, Facet]:
    """Values of the filter fields over all claims; a new claim's values show within seconds."""
    return _facets(_of_session())


@st.cache_data(ttl=10, max_entries=20, show_spinner=False)
def _facets(session: str) -> dict[str, Facet]:
    return client().facets(FACET_FIELDS)


def reads_files() -> bool:
    """Whether a search may miss what was just uploaded."""
    return _reads_files(_of_session())


def unread() -> int:
    """Pages that no search finds until they are read anew; 0 where the server is not ready to tell."""
    return _unread(_of_session())


@st.cache_data(ttl=60, max_entries=20, show_spinner=False)
def _unread(session: str) -> int:
    # Caught here, so that a server that is not ready is not asked at every rerun either.
    try:
        return client().unread()
    except ApiProblem:
        return 0


@st.cache_data(ttl=5, max_entries=20, show_spinner=False)
def _reads_files(session: str) -> bool:
    return client().reads_files()


def search(
    *,
    text: str | None,
    page_id: str | None,
    picture: Picture | None,
    filter: Json,
    group_by: str,
    limit: int,
    exact_text: bool,
) -> SearchAnswer:
    """Remembered for a short while, so that opening a dialog does not search again. `forget_searches` ends that."""
    digest = sha256(picture.content).hexdigest() if picture else ""
    words = json.dumps(filter, sort_keys=True)
    return _search(_of_session(), text, page_id, digest, words, group_by, limit, exact_text, picture)


@st.cache_data(ttl=30, max_entries=200, show_spinner=False)
def _search(
    session: str,
    text: str | None,
    page_id: str | None,
    digest: str,
    filter_json: str,
    group_by: str,
    limit: int,
    exact_text: bool,
    _picture: Picture | None,
) -> SearchAnswer:
    return client().search(
        text=text,
        page_id=page_id,
        picture=_picture,
        filter=json.loads(filter_json),
        group_by=group_by,
        limit=limit,
        exact_text=exact_text,
    )


def similar(
    claim_id: str, *, page_ids: tuple[str, ...], exclude_same_policy: bool, diverse: bool, limit: int
) -> SearchAnswer:
    """Remembered as a search is."""
    return _similar(_of_session(), claim_id, page_ids, exclude_same_policy, DIVERSITY if diverse else 0.0, limit)


@st.cache_data(ttl=30, max_entries=50, show_spinner=False)
def _similar(
    session: str,
    claim_id: str,
    page_ids: tuple[str, ...],
    exclude_same_policy: bool,
    diversity: float,
    limit: int,
) -> SearchAnswer:
    return client().similar(
        claim_id, page_ids=page_ids, exclude_same_policy=exclude_same_policy, diversity=diversity, limit=limit
    )


def explain(page_id: str, *, text: str | None, picture: Picture | None, like: str | None) -> Explanation:
    digest = sha256(picture.content).hexdigest() if picture else ""
    return _explain(_of_session(), page_id, text, like, digest, picture)


@st.cache_data(ttl=300, max_entries=100, show_spinner=False)
def _explain(
    session: str, page_id: str, text: str | None, like: str | None, digest: str, _picture: Picture | None
) -> Explanation:
    return client().explain(page_id, text=text, like_page_id=like, picture=_picture)


def matches(page_id: str, other_id: str) -> Matches:
    return _matches(_of_session(), page_id, other_id)


@st.cache_data(ttl=300, max_entries=100, show_spinner=False)
def _matches(session: str, page_id: str, other_id: str) -> Matches:
    return client().matches(page_id, other_id)


def forget_searches() -> None:
    """After a change of claims or files: the next search asks the API."""
    _search.clear()
    _similar.clear()
    _facets.clear()
    _reads_files.clear()
    _unread.clear()
