"""One claim: its facts, its pages, its files, more files in, similar claims out."""

from __future__ import annotations

from html import escape

import streamlit as st

from ui import backend, entry
from ui.client import ApiProblem
from ui.components.capture import capture_html, show_contradictions
from ui.components.claim_form import edit_claim
from ui.components.facts import attribute, chips, counted, day, definition_list, money, status_badge
from ui.components.filters import like_link
from ui.components.login import show_to_whoever_is_in
from ui.components.messages import empty_state, problem_sentence, show_problem
from ui.components.pictures import open_large, show_page
from ui.components.reused import show_reused
from ui.components.similar import show_similar
from ui.components.upload import show_reading, show_upload
from ui.records import Asset, Claim, Page

GALLERY = 24


def main() -> None:
    claim_id = st.query_params.get("claim")
    if not claim_id:
        empty_state("folder_open", "No claim chosen", "Open a claim from the list of claims or from a search.")
        st.page_link("views/claims.py", label="To the claims", icon=":material/folder_open:")
        return
    try:
        claim = backend.client().claim(claim_id)
    except ApiProblem as problem:
        show_problem(problem)
        st.page_link("views/claims.py", label="To the claims", icon=":material/folder_open:")
        return
    pages = list(backend.client().pages(claim_id))
    assets = backend.client().assets(claim_id)
    _head(claim)
    _facts(claim)
    overview, similar, files = st.tabs(["Overview", "Similar claims", "Files"], key="tab", bind="query-params")
    if overview.open:
        with overview:
            if not show_reading(claim.claim_id) or pages:
                _pages(claim, pages)
            if any(page.kind == "photo" for page in pages):
                show_reused(claim)
            show_contradictions(assets)
    if similar.open:
        with similar:
            show_similar(claim, pages)
    if files.open:
        with files:
            _files(claim, assets)


def _head(claim: Claim) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="claim-head"
    ):
        st.html(
            f'<div class="cs-title"><h1>{escape(claim.claim_id)}</h1>{status_badge(claim.status)}'
            f'<span class="cs-line">{escape(claim.line)}</span></div>'
        )
        with st.container(horizontal=True, width="content", gap="xsmall"):
            if entry.may("adjuster") and st.button("Edit", icon=":material/edit:", key="edit"):
                edit_claim(claim)
            if entry.may("admin") and st.button("Delete", icon=":material/delete:", key="delete"):
                _confirm_delete(claim)


def _facts(claim: Claim) -> None:
    rows = [
        ("Policy", claim.policy_id),
        ("Date of loss", day(claim.loss_date)),
        ("Reported", day(claim.reported_date)),
        ("Vehicle", claim.vehicle),
        ("Place", claim.place),
        *((name.replace("_", " ").capitalize(), attribute(value)) for name, value in claim.attributes.items()),
    ]
    known = any(value for _, value in rows) or claim.description
    told = f"{definition_list(rows)}<p>{escape(claim.description)}</p>" if known else "Nothing else is known of it yet."
    st.html(
        f'<section class="cs-claim"><div class="cs-claim-money"><span>Loss amount</span>'
        f"<b>{escape(money(claim.amount, claim.currency, cents=True))}</b>"
        f'<div class="cs-chips">{chips(claim.damage)}</div></div>'
        f"<div>{told}</div></section>"
    )


def _pages(claim: Claim, pages: list[Page]) -> None:
    if not pages:
        empty_state("note_stack", "No pages yet", "Add photos and papers of this claim under Files.")
        return
    key = f"gallery-{claim.claim_id}"
    shown = int(st.session_state.setdefault(key, GALLERY))
    with st.grid(min_column_width=230, gap=16, key="gallery"):
        for place, page in enumerate(pages[:shown]):
            with st.container(border=True, key=f"page-{place}", gap="xsmall"):
                with st.container(key=f"picture-{place}-{page.kind}"):
                    show_page(page, claim)
                st.html(f'<div class="cs-file">{escape(page.label)}</div>')
                with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key=f"actions-{place}"):
                    if st.button("View", key=f"view-{page.page_id}", type="tertiary"):
                        open_large(pages, place, claim)
                    st.page_link(
                        "views/search.py",
                        label="More like this",
                        query_params=like_link(page.page_id),
                    )
    if shown < len(pages):
        with st.container(horizontal_alignment="center"):
            words = f"Show more ({shown} of {counted(len(pages), 'page')})"
            st.button(words, key="more-pages", icon=":material/expand_more:", on_click=_show_more, args=(key,))


def _show_more(key: str) -> None:
    st.session_state[key] += GALLERY


def _files(claim: Claim, assets: tuple[Asset, ...]) -> None:
    if entry.may("adjuster"):
        show_upload(claim.claim_id)
    if not assets:
        return
    with st.container(key="file-list", gap=None):
        for asset in assets:
            _file(claim, asset)


def _file(claim: Claim, asset: Asset) -> None:
    short = asset.asset_id[:12]
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key=f"row-{short}"
    ):
        count = counted(asset.page_count, "page") if asset.page_count else "no searchable page"
        warnings = "".join(f'<p class="cs-reason">{escape(words)}</p>' for words in asset.warnings)
        st.html(
            f'<div class="cs-asset"><b>{escape(asset.filename)}</b>'
            f"<span>{count} · {_size(asset.size_bytes)}</span>{capture_html(asset)}{warnings}</div>"
        )
        if entry.may("admin") and st.button(
            "Delete file", key=f"delete-{short}", type="tertiary", icon=":material/delete:"
        ):
            _confirm_delete_file(claim, asset)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{max(1, round(size_bytes / 1000))} kB"


@st.dialog("Delete this claim?")
def _confirm_delete(claim: Claim) -> None:
    st.markdown(f"Claim **{claim.claim_id}**, its files, pages and vectors are removed for good.")
    if st.button("Delete claim", type="primary", icon=":material/delete:", key="confirm-delete"):
        try:
            backend.client().delete_claim(claim.claim_id)
        except ApiProblem as problem:
            st.error(problem_sentence(problem))
            return
        backend.forget_searches()
        st.switch_page("views/claims.py")


@st.dialog("Delete this file?")
def _confirm_delete_file(claim: Claim, asset: Asset) -> None:
    st.markdown("The file, its pages and their vectors are removed from this claim for good.")
    st.text(asset.filename)
    if st.button("Delete file", type="primary", icon=":material/delete:", key="confirm-delete-file"):
        try:
            backend.client().delete_asset(asset.asset_id, claim_id=claim.claim_id)
        except ApiProblem as problem:
            st.error(problem_sentence(problem))
            return
        backend.forget_searches()
        st.rerun()


show_to_whoever_is_in(main)
