"""Filters on claim facts, kept in the address: a link with them shows the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui.records import Facet, Json

LINES = ("auto", "property", "travel", "health", "liability", "other")
STATUSES = ("open", "paid", "closed", "denied")
KINDS = ("photos", "papers")
KEYS = ("line", "status", "damage", "make", "country", "kind", "from", "to", "min", "max")
_LISTS = {
    "line": "line",
    "status": "status",
    "damage": "damage_types",
    "make": "vehicle.make",
    "country": "location.country",
}


def build_filter(values: Mapping[str, Any]) -> dict[str, Any]:
    """The widgets' values (by KEYS) as the API's filter; what is empty does not restrict."""
    filter: dict[str, Any] = {}
    for key, field in _LISTS.items():
        if chosen := list(values.get(key) or ()):
            filter[field] = chosen[0] if len(chosen) == 1 else {"in": chosen}
    if kind := values.get("kind"):
        filter["kind"] = {"photos": "photo", "papers": "page"}[kind]
    amount = {"gte": values.get("min"), "lte": values.get("max")}
    if amount := {name: value for name, value in amount.items() if value is not None}:
        filter["loss_amount"] = amount
    days = {"gte": values.get("from"), "lte": values.get("to")}
    if days := {name: value.isoformat() for name, value in days.items() if value is not None}:
        filter["loss_date"] = days
    return filter


def claim_filter(filter: Json) -> dict[str, Any]:
    """The part of a filter that concerns claims, for lists of claims."""
    return {field: value for field, value in filter.items() if field != "kind"}


def like_link(page_id: str) -> dict[str, list[str]]:
    """The address of "more like this", the filters in force kept."""
    kept = {key: values for key in KEYS if (values := st.query_params.get_all(key))}
    return {**kept, "like": [page_id]}


def clear() -> None:
    """Back to no filter; a callback, so that it runs before the widgets do."""
    for key in KEYS:
        st.session_state[key] = [] if key in _LISTS else None


def sidebar(facets: Mapping[str, Facet], *, with_kind: bool = True) -> dict[str, Any]:
    """Draws the filters and returns the API's filter."""
    with st.sidebar:
        head = st.container(
            horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="filters-head"
        )
        head.markdown("### Filters")
        values: dict[str, Any] = {}
        values["line"] = st.pills(
            "Line of business",
            LINES,
            selection_mode="multi",
            key="line",
            bind="query-params",
        )
        values["status"] = st.pills("Status", STATUSES, selection_mode="multi", key="status", bind="query-params")
        if with_kind:
            values["kind"] = st.segmented_control("Look at", KINDS, key="kind", bind="query-params", width="stretch")
        for key, label in (("damage", "Damage"), ("make", "Vehicle make"), ("country", "Country")):
            values[key] = st.multiselect(
                label, _options(facets, key), key=key, bind="query-params", placeholder="Any", filter_mode="contains"
            )
        values["min"], values["max"] = _amounts(facets.get("loss_amount"))
        values["from"], values["to"] = _dates()
        filter = build_filter(values)
        if filter:
            head.button("Clear", key="clear-filters", type="tertiary", on_click=clear, icon=":material/close:")
    return filter


def _options(facets: Mapping[str, Facet], key: str) -> list[str]:
    facet = facets.get(_LISTS[key])
    known = [str(value) for value, _ in facet.values] if facet else []
    # A value from a link stays selectable although no claim has it now.
    for value in st.query_params.get_all(key):
        if value and value not in known:
            known.append(value)
    return sorted(known, key=str.casefold)


def _amounts(facet: Facet | None) -> tuple[float | None, float | None]:
    st.html('<div class="cs-label">Loss amount</div>')
    left, right = st.columns(2, gap="small")
    hint = f"up to {float(facet.maximum):,.0f}" if facet and facet.maximum is not None else "any"
    options: dict[str, Any] = {
        "min_value": 0.0,
        "value": None,
        "step": 100.0,
        "format": "%.0f",
        "bind": "query-params",
        "label_visibility": "collapsed",
    }
    low = left.number_input("Loss amount from", key="min", placeholder="from", **options)
    high = right.number_input("Loss amount to", key="max", placeholder=hint, **options)
    return low, high


def _dates() -> tuple[Any, Any]:
    options: dict[str, Any] = {"value": None, "format": "YYYY-MM-DD", "bind": "query-params"}
    first = st.date_input("Date of loss, from", key="from", **options)
    return first, st.date_input("Date of loss, until", key="to", **options)
