"""`serve`, `worker` and `demo` as processes: HTTP in this one, workers and dashboard as children."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
from uuid_utils import uuid7

from app.loopback import is_loopback
from app.main import create_app
from app.services import Services
from app.settings import Settings
from app.supervisor import Supervisor
from app.wiring import build_services, encoder_threads
from retrieval.errors import ClaimsightError, InvalidInput
from retrieval.ingestion.worker import Worker

_SWEEP_EVERY_S = 3600.0
_HEADER_BYTES = 32 * 1024
_KEEP_ALIVE_S = 15
_GRACE_S = 10

_log = structlog.get_logger("claimsight.serve")

Beside = Callable[[Services, asyncio.Event], Awaitable[None]]


async def serve(settings: Settings, *, beside: Beside | None = None) -> None:
    """The API with its workers, until SIGTERM or SIGINT. beside: more work in this process, with the event that ends
    everything. Raises InvalidInput for an address that cannot be served, StoreUnavailable."""
    listening = listen(settings.host, settings.port)
    try:
        services = await build_services(settings)
        try:
            reach = await reach_of(settings, services)
        except BaseException:
            await services.close()
            raise
    except BaseException:
        listening.close()
        raise
    stop = services.stopping
    workers = Supervisor(
        "worker",
        (sys.executable, "-m", "app.cli", "worker"),
        count=settings.workers,
        environment=child_environment(settings),
    )
    services.supervisor = workers
    _log.info("serving", url=f"http://{settings.host}:{settings.port}", workers=settings.workers, reach=reach)
    server = _Server(_config(services), asyncio.get_running_loop(), stop)
    failures: list[BaseException] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(_until_stop(server, listening, stop))
        group.create_task(workers.run(stop))
        group.create_task(_sweep_now_and_then(services, stop))
        if beside is not None:
            group.create_task(_until_done(beside(services, stop), stop, failures))
    if failures:
        raise failures[0]
    if not server.started:
        raise ClaimsightError("The API did not start; the log says why.", code="not_started")


async def work(settings: Settings) -> None:
    """One worker, until SIGTERM or SIGINT. Raises StoreUnavailable, EncoderTrouble."""
    services = await build_services(settings)
    stop = services.stopping
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        loading = asyncio.ensure_future(services.encoder())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            loading.cancel()
            return
        stopping.cancel()
        worker = Worker(
            services.store,
            loading.result(),
            worker_id=f"{socket.gethostname()}-{os.getpid()}-{uuid7().hex[-6:]}",
            work_dir=settings.spool_folder(),
            limits=settings.limits(),
            lease_ttl=timedelta(seconds=settings.lease_ttl_s),
            watch=services.observer,
        )
        if settings.worker_metrics_port:
            services.metrics.serve(settings.host, settings.worker_metrics_port)
        _log.info("worker_started")
        await worker.run(stop)
        _log.info("worker_stopped")
    finally:
        await services.close()


async def reach_of(settings: Settings, services: Services) -> str:
    """Who can ask this server, in words. Raises InvalidInput insecure_host for an address that others reach, where no
    key is asked for; StoreUnavailable."""
    if await services.door.asks():
        return "whoever has a key or token"
    if is_loopback(settings.host):
        return "this machine only, without a key"
    raise InvalidInput(
        f"{settings.host} can be reached from other machines, and there is no key yet: make one with `claimsight keys "
        "create`, or set CLAIMSIGHT_API_KEY or CLAIMSIGHT_OIDC_ISSUER, or listen on 127.0.0.1.",
        code="insecure_host",
        field="CLAIMSIGHT_HOST",
    )


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a taken port is told at once. Raises InvalidInput bad_address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        reason = error.strerror or "the address is not known"
        raise InvalidInput(
            f"{host}, port {port} cannot be listened on ({reason}): choose another with --port.",
            code="bad_address",
            field="port",
        ) from None
    bound.set_inheritable(False)
    return bound


def child_environment(settings: Settings, **more: str) -> dict[str, str]:
    """For children: this process's variables, with what was settled here."""
    spool: Mapping[str, str] = {"CLAIMSIGHT_SPOOL_DIR": str(settings.spool_dir)} if settings.spool_dir else {}
    root = str(Path(__file__).parents[1])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "CLAIMSIGHT_STORE": settings.store.get_secret_value(),
        "CLAIMSIGHT_THREADS": str(encoder_threads(settings)),
        "CLAIMSIGHT_LOG_LEVEL": settings.log_level,
        "CLAIMSIGHT_WORKER_METRICS_PORT": "0",  # they count into the folder of the server
        **spool,
        **more,
    }


class _Server(uvicorn.Server):
    """Says when it begins to stop, so that endless answers and children end meanwhile."""

    def __init__(self, config: uvicorn.Config, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._loop = loop
        self._stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        super().handle_exit(sig, frame)


def quiet_signals() -> None:
    """Uvicorn raises the signal that ended it once more, for the handlers from before it; here they do nothing, so
    that a polite stop is exit status 0. Call it before the event loop starts."""

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """The stop is under way already."""

    signal.signal(signal.SIGTERM, ignore)
    signal.signal(signal.SIGINT, ignore)


def _config(services: Services) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(services),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )


async def _until_stop(server: _Server, listening: socket.socket, stop: asyncio.Event) -> None:
    async def leave() -> None:
        await stop.wait()
        server.should_exit = True

    leaving = asyncio.create_task(leave())
    try:
        await server.serve(sockets=[listening])
    finally:
        leaving.cancel()
        stop.set()


async def _until_done(work: Awaitable[None], stop: asyncio.Event, failures: list[BaseException]) -> None:
    """Ends the work when everything stops, and stops everything when the work fails."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        failures.append(error)
        stop.set()


async def _sweep_now_and_then(services: Services, stop: asyncio.Event) -> None:
    """Bytes that no record names any more, for example of an upload that was cut."""
    while not stop.is_set():
        try:
            removed = await services.store.sweep()
            _log.info("swept", removed=removed)
        except ClaimsightError as error:
            _log.warning("sweep_failed", code=error.code)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _SWEEP_EVERY_S)
