"""Create or edit a claim. The API checks; what it refuses is shown at the form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import streamlit as st

from ui import backend
from ui.client import ApiProblem
from ui.components.filters import LINES, STATUSES
from ui.components.messages import problem_sentence
from ui.records import Claim, Json

CURRENCIES = ("EUR", "USD", "GBP", "CAD", "CHF", "AUD")
_MADE = "made-claim"
_LABELS = {
    "claim_id": "Claim number",
    "policy_id": "Policy number",
    "loss_date": "Date of loss",
    "reported_date": "Reported on",
    "loss_amount": "Loss amount",
    "damage_types": "Damage",
    "location.city": "City",
    "location.region": "Region",
    "location.country": "Country",
    "vehicle.make": "Vehicle make",
    "vehicle.model": "Model",
    "vehicle.year": "Year",
    "description": "What happened",
}
"""The form's names of the API's fields."""


@st.dialog("New claim", width="large")
def new_claim() -> None:
    values = _fields(None)
    if values is None:
        return
    if not values["claim_id"]:
        st.error("Give the claim a number.")
        return
    try:
        claim = backend.client().create_claim(values)
    except ApiProblem as problem:
        st.error(refusal(problem), icon=":material/error:")
        return
    backend.forget_searches()
    st.session_state[_MADE] = claim.claim_id
    st.rerun()


def open_made_claim() -> None:
    """Goes to the claim that was made just now. Called before the page draws anything: from inside the dialog the
    filters of the old page would leave their empty sidebar to the new one."""
    if claim_id := st.session_state.pop(_MADE, None):
        st.switch_page("views/claim.py", query_params={"claim": claim_id})


@st.dialog("Edit claim", width="large")
def edit_claim(claim: Claim) -> None:
    values = _fields(claim)
    if values is None:
        return
    try:
        backend.client().change_claim(claim.claim_id, changes(claim, values), version=claim.version)
    except ApiProblem as problem:
        st.error(refusal(problem), icon=":material/error:")
        return
    backend.forget_searches()
    st.rerun()


def changes(claim: Claim, values: Mapping[str, Any]) -> dict[str, Any]:
    """Only what differs from the claim; an emptied field is sent as null."""
    return {
        name: value for name, value in values.items() if name != "claim_id" and not _same(value, claim.facts.get(name))
    }


def _same(value: Any, stored: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_same(part, (stored or {}).get(name)) for name, part in value.items())
    return value == stored or (value in (None, "", []) and stored in (None, "", []))


def refusal(problem: ApiProblem) -> str:
    """In the words of the form: the API names a field as its JSON does."""
    sentence = problem_sentence(problem).removeprefix(f"{problem.field}: ")
    return f"{_LABELS.get(problem.field, problem.field)}: {sentence}" if problem.field else sentence


def _fields(claim: Claim | None) -> dict[str, Any] | None:
    """The form; its values as the API takes them once it is sent, None before."""
    facts = claim.facts if claim else {}
    with st.form("claim-form", border=False):
        values = {**_what(claim, facts), **_loss(claim, facts), **_where(facts), **_vehicle(facts)}
        description = st.text_area("What happened", value=facts.get("description") or "", max_chars=4000, height=110)
        sent = st.form_submit_button("Save claim", type="primary", icon=":material/check:")
    return {**values, "description": description.strip()} if sent else None


def _what(claim: Claim | None, facts: Json) -> dict[str, Any]:
    one, two, three = st.columns(3)
    if claim:
        claim_id = one.text_input("Claim number", value=claim.claim_id, disabled=True)
    else:
        claim_id = one.text_input("Claim number", max_chars=100, key="new-id").strip()
    line, status = facts.get("line", "auto"), facts.get("status", "open")
    return {
        "claim_id": claim_id,
        "line": two.selectbox("Line of business", LINES, index=LINES.index(line), format_func=str.capitalize),
        "status": three.selectbox("Status", STATUSES, index=STATUSES.index(status), format_func=str.capitalize),
    }


def _loss(claim: Claim | None, facts: Json) -> dict[str, Any]:
    one, two, three = st.columns(3)
    policy = one.text_input("Policy number", value=facts.get("policy_id") or "")
    loss = two.date_input("Date of loss", value=claim.loss_date if claim else None, format="YYYY-MM-DD")
    reported = three.date_input("Reported on", value=claim.reported_date if claim else None, format="YYYY-MM-DD")
    one, two, three = st.columns(3)
    amount = one.number_input("Loss amount", min_value=0.0, value=facts.get("loss_amount"), step=50.0, format="%.2f")
    known = facts.get("currency") or "EUR"
    currency = two.selectbox("Currency", list(dict.fromkeys((known, *CURRENCIES))), index=0)
    damage = three.multiselect(
        "Damage",
        _damage_words(claim),
        default=list(claim.damage) if claim else [],
        accept_new_options=True,
        placeholder="windscreen, dent ...",
    )
    return {
        "policy_id": policy.strip() or None,
        "loss_date": _iso(loss),
        "reported_date": _iso(reported),
        "loss_amount": amount,
        "currency": currency if amount is not None else None,
        "damage_types": [word.strip().lower() for word in damage if word.strip()],
    }


def _where(facts: Json) -> dict[str, Any]:
    place = facts.get("location") or {}
    one, two, three = st.columns(3)
    city = one.text_input("City", value=place.get("city") or "")
    region = two.text_input("Region", value=place.get("region") or "")
    country = three.text_input("Country", value=place.get("country") or "", max_chars=60)
    return {
        "location": {
            "city": city.strip() or None,
            "region": region.strip() or None,
            "country": country.strip() or None,
        }
    }


def _vehicle(facts: Json) -> dict[str, Any]:
    vehicle = facts.get("vehicle") or {}
    one, two, three = st.columns(3)
    make = one.text_input("Vehicle make", value=vehicle.get("make") or "")
    model = two.text_input("Model", value=vehicle.get("model") or "")
    year = three.number_input("Year", min_value=1900, max_value=2100, value=vehicle.get("year"), step=1)
    return {"vehicle": {"make": make.strip() or None, "model": model.strip() or None, "year": year}}


def _damage_words(claim: Claim | None) -> list[str]:
    facet = backend.facets().get("damage_types")
    known = [str(value) for value, _ in facet.values] if facet else []
    return sorted({*known, *(claim.damage if claim else ())})


def _iso(moment: date | None) -> str | None:
    return moment.isoformat() if moment else None
