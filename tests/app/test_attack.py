"""Requests generated from the OpenAPI document: whatever fits it or breaks it, the API answers as the document says.

`make attack` sends thousands; here a few for each operation, over a socket of this machine.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import cast

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import positive_data_acceptance

from app.main import create_app
from app.services import Services
from retrieval.stores import open_store
from tests.app import attack_hooks  # noqa: F401  # registers what is left out
from tests.app.conftest import services_over

# Two identical runs send the same requests; `make attack` looks further.
few = settings(
    max_examples=6,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


# The document says the same whatever the services are.
SCHEMA = schemathesis.openapi.from_dict(create_app(cast("Services", None)).openapi())
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations()]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a thread serves the API over an empty store."""
    folder = tmp_path_factory.mktemp("attack")
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    ready = threading.Event()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        store = await open_store(f"sqlite:{folder / 'data'}")
        services = services_over(store, folder / "spool")
        config = uvicorn.Config(create_app(services), log_config=None, access_log=False, ws="none")
        servers.append(uvicorn.Server(config))
        ready.set()
        await servers[0].serve(sockets=[bound])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(60)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    servers[0].should_exit = True
    thread.join(30)
    bound.close()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_operation_answers_as_documented(operation: APIOperation, address: str) -> None:
    fitting, breaking = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @few
    @given(case=fitting | breaking)
    def send(case: Case) -> None:
        # The document cannot say all that a value must be: a filter in an address is JSON in a string, a cursor comes
        # from an earlier answer, a picture must be one. So what fits the document may still be refused.
        case.call_and_validate(base_url=address, excluded_checks=[positive_data_acceptance], timeout=60)

    send()
