"""`claimsight demo`: demo claims, API, workers and dashboard, with nothing else to do."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx2
from pydantic import SecretStr

from app.commands import console
from app.demo import seed
from app.services import Services
from app.serving import child_environment, listen, serve
from app.settings import HOME, Settings
from app.supervisor import Supervisor
from retrieval.documents import FINISHED_ENTRY
from retrieval.errors import ClaimsightError, InvalidInput

DATA = HOME / "demo"
API_PORT, DASHBOARD_PORT = 8000, 8501
_PORTS_TRIED = 20
_POLL_S = 0.3


def demo_settings(settings: Settings, *, data: Path) -> Settings:
    """A data folder of its own: demo claims never mix with yours. Routine events would hide the progress."""
    return settings.model_copy(
        update={
            "log_level": "error" if settings.log_level == "info" else settings.log_level,
            "store": SecretStr(f"sqlite:{data}"),
            "spool_dir": None,
            "host": "127.0.0.1",
            "api_key": None,
            "oidc_issuer": "",
        }
    )


async def demo(settings: Settings, *, dashboard_port: int | None, port: int | None) -> int:
    """Until Ctrl-C. A port that was not asked for gives way when it is taken."""
    settings = settings.model_copy(update={"port": port or _free_port(API_PORT)})
    shown_port = dashboard_port or _free_port(DASHBOARD_PORT)
    if dashboard_port is not None:
        listen("127.0.0.1", dashboard_port).close()

    async def beside(services: Services, stop: asyncio.Event) -> None:
        api = f"http://127.0.0.1:{settings.port}"
        dashboard = f"http://127.0.0.1:{shown_port}"
        shown = Supervisor(
            "dashboard",
            (sys.executable, "-m", "ui", "--host", "127.0.0.1", "--port", str(shown_port)),
            count=1,
            environment=_dashboard_environment(settings, api),
            silent=True,
        )
        showing = asyncio.create_task(shown.run(stop))
        try:
            await _fill(services, dashboard)
            await _until_answers(f"{api}/readyz")
            await _until_answers(f"{dashboard}/_stcore/health")
            console.say("")
            console.say(f"Dashboard  {dashboard}")
            console.say(f"API        {api}  (reference: {api}/docs)")
            console.note("Ctrl-C ends both. The data stay in " + str(settings.data_folder()) + ".")
            await showing
        finally:
            stop.set()
            console.note("Ending ...")
            await asyncio.shield(showing)

    console.note("Starting; the first time takes a few minutes, for every page is read by the encoder.")
    await serve(settings, beside=beside)
    return 0


async def _fill(services: Services, dashboard: str) -> None:
    """Enters what is not there yet and waits until it is read, which one may watch on the dashboard."""
    await services.engine()
    with console.bars() as bars:
        report = await seed(
            services.store,
            services.intake,
            services.tenant,
            progress=lambda done, total: bars.show("claims", done, total),
        )
        if report.files:
            await _until_answers(f"{dashboard}/_stcore/health")
            console.note(f"You may look already: {dashboard}. Files are found as soon as they are read.")
        failed = await _until_indexed(services, report.job_ids, bars)
    if failed:
        console.note(f"{failed} demo files could not be indexed; `claimsight doctor` may say why.")


async def _until_indexed(services: Services, job_ids: tuple[str, ...], bars: console.Bars) -> int:
    """How many files failed."""
    open_jobs = list(job_ids)
    total: dict[str, int] = {}
    done: dict[str, int] = {}
    failed = 0
    while open_jobs:
        for job_id in list(open_jobs):
            job = await services.store.jobs.get(services.tenant, job_id)
            total[job_id] = len(job.entries)
            done[job_id] = sum(entry.state in FINISHED_ENTRY for entry in job.entries)
            if done[job_id] == total[job_id]:
                open_jobs.remove(job_id)
                failed += sum(entry.state.value == "failed" for entry in job.entries)
        bars.show("files", sum(done.values()), sum(total.values()))
        if open_jobs:
            await asyncio.sleep(_POLL_S)
    return failed


async def _until_answers(url: str) -> None:
    async with httpx2.AsyncClient(timeout=5.0, trust_env=False) as client:
        while True:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx2.TransportError:
                pass  # Not yet.
            await asyncio.sleep(_POLL_S)


def _dashboard_environment(settings: Settings, api: str) -> dict[str, str]:
    environment = child_environment(settings, CLAIMSIGHT_API_URL=api)
    environment.pop("CLAIMSIGHT_API_KEY", None)
    return environment


def _free_port(first: int) -> int:
    for port in range(first, first + _PORTS_TRIED):
        try:
            listen("127.0.0.1", port).close()
        except InvalidInput:
            continue
        return port
    raise ClaimsightError(
        f"All ports from {first} are taken: choose one with --port or --dashboard-port.", code="no_port"
    )
