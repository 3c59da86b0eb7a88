"""Files into a claim, and each file's way until a search finds it."""

from __future__ import annotations

from html import escape

import streamlit as st

from ui import backend
from ui.client import ApiProblem, Picture
from ui.components.facts import counted
from ui.components.messages import problem_sentence
from ui.records import Entry, Job

TYPES = ["pdf", "jpg", "jpeg", "png", "webp", "heic", "heif", "tif", "tiff", "gif"]
POLL_S = 0.7
WATCH_S = 2.0
_STATES = {
    "queued": ("schedule", "waiting"),
    "running": ("autorenew", "reading"),
    "succeeded": ("check_circle", "searchable"),
    "duplicate": ("content_copy", "already in this claim"),
    "failed": ("error", "failed"),
    "cancelled": ("cancel", "cancelled"),
}


def show_upload(claim_id: str) -> None:
    """The drop field, and the progress of this session's last upload into the claim."""
    turn = f"upload-turn-{claim_id}"
    st.session_state.setdefault(turn, 0)
    files = st.file_uploader(
        "Add files: PDF, photos, scans",
        type=TYPES,
        accept_multiple_files=True,
        key=f"upload-{claim_id}-{st.session_state[turn]}",
    )
    if files and st.button(
        f"Upload {counted(len(files), 'file')}",
        key="send-files",
        type="primary",
        icon=":material/upload:",
    ):
        pictures = [Picture(file.name, file.getvalue(), file.type or "application/octet-stream") for file in files]
        try:
            with st.spinner("Uploading ..."):
                job = backend.client().upload(claim_id, pictures)
        except ApiProblem as problem:
            st.error(problem_sentence(problem), icon=":material/error:")
            return
        st.session_state[_job_key(claim_id)] = job.job_id
        st.session_state[turn] += 1
        st.rerun()
    if _job_key(claim_id) in st.session_state:
        _follow(claim_id)
    else:
        show_reading(claim_id)


def show_reading(claim_id: str) -> bool:
    """How far an upload of anybody is; the whole page is drawn again when it has come. Whether there is one."""
    job = backend.client().unfinished_job(claim_id)
    if job is None:
        return False

    @st.fragment(run_every=WATCH_S)
    def watch() -> None:
        now = backend.client().job(job.job_id)
        if now.finished:
            backend.forget_searches()
            st.rerun()
        st.info(f"{_job_words(now)}: {_done_words(now)}. New pages appear by themselves.", icon=":material/autorenew:")

    watch()
    return True


def _job_key(claim_id: str) -> str:
    return f"job-{claim_id}"


def _follow(claim_id: str) -> None:
    """Polls while the job runs; when it ends, the whole page is drawn again once, with the new pages."""
    job_id = st.session_state[_job_key(claim_id)]
    shown = f"finished-{job_id}"
    running = not st.session_state.get(shown, False)

    @st.fragment(run_every=POLL_S if running else None)
    def follow() -> None:
        job = backend.client().job(job_id)
        show_job(job)
        if job.finished and running:
            st.session_state[shown] = True
            backend.forget_searches()
            st.rerun()

    follow()


def show_job(job: Job) -> None:
    """One line a file: where it is, how many pages are done, why it failed."""
    with st.container(border=True, key="job", gap="xsmall"):
        head = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
        head.markdown(f"**{_job_words(job)}** · {_done_words(job)}")
        if not job.finished:
            head.button("Cancel", key="cancel-job", type="tertiary", on_click=_cancel, args=(job.job_id,))
        elif any(entry.worth_another_try for entry in job.entries):
            head.button("Try again", key="retry-job", type="tertiary", on_click=_retry, args=(job.job_id,))
        for entry in job.entries:
            st.html(entry_html(entry))


def entry_html(entry: Entry) -> str:
    _, words = _STATES.get(entry.state, ("help", entry.state))
    pages = ""
    if entry.pages_total:
        pages = f"{entry.pages_done} of {counted(entry.pages_total, 'page')}"
    share = 100 if entry.state in ("succeeded", "duplicate") else 0
    if not entry.finished and entry.pages_total:
        share = round(100 * entry.pages_done / entry.pages_total)
    reason = (
        f'<p class="cs-reason">{escape(entry.detail)} <small>({escape(entry.code)})</small></p>' if entry.detail else ""
    )
    state = escape(entry.state)
    return (
        f'<div class="cs-entry cs-entry-{state}"><div class="cs-row"><span>{escape(entry.filename)}</span>'
        f'<span class="cs-entry-state">{escape(words)}{" · " + pages if pages else ""}</span></div>'
        f'<div class="cs-bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share}" '
        f'aria-label="{escape(entry.filename)}"><i style="width:{share}%"></i></div>{reason}</div>'
    )


def _job_words(job: Job) -> str:
    return {
        "queued": "Waiting for a worker",
        "running": "Reading the files",
        "succeeded": "Finished",
        "failed": "No file could be read",
        "cancelled": "Cancelled",
    }.get(job.state, job.state)


def _done_words(job: Job) -> str:
    done = sum(entry.finished for entry in job.entries)
    failed = sum(entry.state == "failed" for entry in job.entries)
    return f"{done} of {counted(len(job.entries), 'file')} done" + (f", {failed} failed" if failed else "")


def _cancel(job_id: str) -> None:
    backend.client().cancel_job(job_id)


def _retry(job_id: str) -> None:
    backend.client().retry_job(job_id)
    st.session_state.pop(f"finished-{job_id}", None)
