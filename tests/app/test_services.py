"""The encoder loads beside the requests; readiness says what is missing."""

from __future__ import annotations

import asyncio
from typing import Any

from app.services import WorkersAlive
from models import Encoder
from models.encoder import EncoderError
from retrieval.errors import StoreUnavailable
from tests.app.conftest import Api, MakeApi, picture
from tests.fakes.encoder import FakeEncoder


async def _ready(api: Api) -> tuple[int, dict[str, Any]]:
    reply = await api.client.get("/readyz")
    return reply.status_code, dict(reply.json())


async def test_everything_is_ready(api: Api) -> None:
    await api.services.engine()
    status, body = await _ready(api)
    assert (status, body["ready"]) == (200, True)
    assert body["encoder"]["name"] == "fake/1"
    assert body["index"]["state"] == "ready"


async def test_while_the_encoder_loads_claims_are_served_and_searches_wait(make_api: MakeApi) -> None:
    loading, fake = asyncio.Event(), FakeEncoder()

    async def load() -> Encoder:
        await loading.wait()
        return fake

    api = await make_api(encoder=fake, load_encoder=load)
    status, body = await _ready(api)
    assert (status, body["encoder"]["state"]) == (503, "loading")
    assert (await api.client.get("/healthz")).status_code == 200
    await api.put_claim()
    asking = asyncio.create_task(api.client.post("/v1/search", json={"text": "hail"}))
    leaving = asyncio.create_task(api.client.post("/v1/search", json={"text": "hail"}))
    await api.client.get("/v1/claims")
    leaving.cancel()
    await asyncio.wait({leaving})
    assert not asking.done()
    loading.set()
    assert (await asking).status_code == 200, "one client that goes away does not end the load for the others"
    assert (await _ready(api))[0] == 200


async def test_an_encoder_that_does_not_load_is_told_and_tried_again(make_api: MakeApi) -> None:
    fault: Exception | None = EncoderError("encoder_misconfigured", "No key is set.", retryable=False)

    async def load() -> Encoder:
        if fault is not None:
            raise fault
        return FakeEncoder()

    api = await make_api(load_encoder=load)
    reply = await api.client.post("/v1/search", json={"text": "hail"})
    assert (reply.status_code, reply.json()["code"]) == (503, "encoder_misconfigured")
    assert (await _ready(api))[1]["encoder"]["detail"] == "No key is set."
    fault = RuntimeError("secret path")
    reply = await api.client.post("/v1/search", json={"text": "hail"})
    assert (reply.status_code, reply.json()["code"]) == (503, "encoder_unavailable")
    assert "secret" not in reply.text
    fault = None
    assert (await api.client.post("/v1/search", json={"text": "hail"})).status_code == 200


async def test_a_store_that_is_down_is_not_ready_but_alive(make_api: MakeApi) -> None:
    api = await make_api()
    await api.services.engine()

    async def down() -> None:
        raise StoreUnavailable("The database does not answer.")

    api.services.store.ping = down  # type: ignore[method-assign]
    status, body = await _ready(api)
    assert (status, body["store"]) == (
        503,
        {"ok": False, "engine": "sqlite", "detail": "The database does not answer."},
    )
    assert (await api.client.get("/healthz")).status_code == 200


async def test_pages_of_another_encoder_are_counted_as_stale(make_api: MakeApi) -> None:
    old = await make_api()
    await old.put_claim()
    await old.upload("C-1", ("a.png", picture(["hail"])))
    await old.work()
    new = await make_api(encoder=FakeEncoder(version="2"))
    await new.services.engine()
    status, body = await _ready(new)
    assert (status, body["encoder"]["stored"], body["encoder"]["stale"]) == (200, {"fake/1": 1}, 1)


async def test_a_server_without_living_workers_is_not_ready(make_api: MakeApi) -> None:
    api = await make_api()
    await api.services.engine()

    class Watch:
        alive = 0

        def workers(self) -> WorkersAlive:
            return WorkersAlive(alive=self.alive, wanted=2)

    watch = Watch()
    api.services.supervisor = watch
    assert (await _ready(api))[0] == 503
    watch.alive = 1
    status, body = await _ready(api)
    assert (status, body["workers"]) == (200, {"ok": True, "alive": 1, "wanted": 2})
    assert 'claimsight_workers{state="wanted"} 2.0' in (await api.client.get("/metrics")).text


async def test_the_queue_shows_what_waits(api: Api) -> None:
    await api.put_claim()
    await api.upload("C-1", ("a.png", picture(["hail"])))
    _, body = await _ready(api)
    assert body["queue"]["queued"] == 1
    assert 'claimsight_queue_entries{state="queued"} 1.0' in (await api.client.get("/metrics")).text


async def test_a_start_reads_what_searches_want_and_is_ready_before(make_api: MakeApi) -> None:
    first = await make_api()
    page = await first.add_page(["hail"])
    second = await make_api()
    pages, reading, go_on = second.services.store.pages, asyncio.Event(), asyncio.Event()
    vectors = pages.vectors

    async def away(tenant: str, page_ids: list[str]) -> object:
        reading.set()
        await go_on.wait()
        raise StoreUnavailable("away")

    async def counted(tenant: str, page_ids: list[str]) -> object:
        read.extend(page_ids)
        return await vectors(tenant, page_ids)

    read: list[str] = []
    pages.vectors = away  # type: ignore[method-assign, assignment]
    await reading.wait()
    assert (await _ready(second))[0] == 200
    go_on.set()
    pages.vectors = counted  # type: ignore[method-assign, assignment]
    while not read:
        # What failed is tried again when readiness is asked for.
        assert (await _ready(second))[0] == 200
    assert read == [page["page"]["page_id"]]
