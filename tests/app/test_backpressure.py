"""More than the server can do is turned away with a word on when to come back, and readiness tells what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest

from app.gate import Gate
from models import Embedding
from models.encoder import QueryInput
from retrieval.errors import StoreUnavailable
from tests.app.conftest import Api, MakeApi, picture
from tests.fakes.encoder import FakeEncoder


class Held(FakeEncoder):
    """Questions wait until they are let go. most: that were under way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.most = self._under_way = 0

    async def encode_queries(self, queries: Sequence[QueryInput]) -> list[Embedding]:
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await self.go.wait()
        self._under_way -= 1
        return await super().encode_queries(queries)


async def _ask(api: Api) -> httpx2.Response:
    return await api.client.post("/v1/search", json={"text": "hail"})


async def test_searches_beyond_the_limit_wait_and_beyond_that_are_turned_away(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Held()
    monkeypatch.setattr("app.gate.LONGEST_WAIT_S", 600.0)
    api = await make_api(encoder=encoder, max_searches=2)
    await api.put_claim()
    asking = {asyncio.create_task(_ask(api)) for _ in range(5)}
    done, admitted = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    [refused] = [task.result() for task in done]
    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "busy", "1")
    assert (await api.client.get("/v1/claims")).status_code == 200, "other requests are served meanwhile"
    encoder.go.set()
    assert [reply.status_code for reply in await asyncio.gather(*admitted)] == [200] * 4
    assert encoder.most == 2
    assert (await _ask(api)).status_code == 200


async def test_whoever_leaves_the_line_makes_room() -> None:
    gate, leave = Gate(1, longest_wait_s=600.0), asyncio.Event()

    async def stay() -> None:
        async with gate.turn():
            await leave.wait()

    inside, waiting = asyncio.create_task(stay()), asyncio.create_task(stay())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable) as refused:
        async with gate.turn():
            pass
    assert refused.value.code == "busy"
    waiting.cancel()
    await asyncio.wait({waiting})
    leave.set()
    await inside
    async with gate.turn():
        pass


async def test_nobody_waits_in_line_for_ever() -> None:
    gate, leave = Gate(1, longest_wait_s=0.05), asyncio.Event()

    async def stay() -> None:
        async with gate.turn():
            await leave.wait()

    inside = asyncio.create_task(stay())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable) as refused:
        async with gate.turn():
            pass
    assert refused.value.code == "busy"
    leave.set()
    await inside
    async with gate.turn():
        pass


async def test_a_full_queue_takes_no_more_files_until_some_are_done(make_api: MakeApi) -> None:
    api = await make_api(max_queued=2)
    await api.put_claim()
    files = [("a.png", picture(["a"])), ("b.png", picture(["b"]))]
    assert (await api.upload("C-1", *files)).status_code == 202
    refused = await api.upload("C-1", ("c.png", picture(["c"])))
    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "queue_full", "30")
    assert (await api.services.store.jobs.depth()).queued == 2
    assert not list(api.spool.iterdir())
    await api.work()
    assert (await api.upload("C-1", ("c.png", picture(["c"])))).status_code == 202


async def _encoder_check(api: Api) -> tuple[int, dict[str, Any]]:
    reply = await api.client.get("/readyz")
    return reply.status_code, dict(reply.json()["encoder"])


async def test_an_encoder_that_fails_questions_is_not_ready_until_it_answers(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services._PROBE_EVERY_S", 0.0)
    encoder = FakeEncoder()
    api = await make_api(encoder=encoder)
    await api.services.engine()
    encoder.fail_next(2)
    assert (await _ask(api)).status_code == 503
    status, check = await _encoder_check(api)
    assert (status, check["ok"], check["state"]) == (503, False, "failing")
    assert check["detail"] == "The encoder was told to fail."
    status, check = await _encoder_check(api)
    assert (status, check["ok"], check["state"]) == (200, True, "ready")


async def test_a_refused_question_says_nothing_about_the_encoder(make_api: MakeApi) -> None:
    encoder = FakeEncoder()
    api = await make_api(encoder=encoder)
    await api.services.engine()
    encoder.fail_next(code="query_refused", retryable=False)
    assert (await _ask(api)).status_code == 422
    assert (await _encoder_check(api))[0] == 200


async def test_a_store_that_hangs_is_not_ready(make_api: MakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.readiness._STORE_LIMIT_S", 0.05)
    api = await make_api()
    await api.services.engine()
    hanging = asyncio.Event()
    api.services.store.ping = hanging.wait  # type: ignore[method-assign]
    reply = await api.client.get("/readyz")
    assert (reply.status_code, reply.json()["store"]["ok"]) == (503, False)
    assert reply.json()["store"]["detail"] == "The store does not answer in time."


async def test_what_can_wait_goes_on_when_nobody_searches() -> None:
    gate, leave = Gate(1, longest_wait_s=600.0), asyncio.Event()

    async def search() -> None:
        async with gate.turn():
            await leave.wait()

    await gate.quiet()
    asking = [asyncio.create_task(search()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(gate.quiet())
    await asyncio.sleep(0)
    assert not waiting.done()
    leave.set()
    await waiting
    assert all(task.done() for task in asking), "nor while one waits for its turn"
