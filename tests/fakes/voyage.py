"""The Voyage multimodal endpoint, faked on 127.0.0.1: real HTTP, the documented limits, failures to order.

Vectors follow the pictures and words as FakeEncoder reads them, so a crop stays near its picture and drawn words near
their name. It also runs as a process: `python -m tests.fakes.voyage --port 8900` (any key is taken).

    with FakeVoyage() as fake:
        encoder = VoyageEncoder(api_key=fake.key, base_url=fake.url)
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import numpy as np
from PIL import Image

from tests.fakes.encoder import DIMS, FakeEncoder

Malformed = Literal["half", "not_json", "wrong_count", "shuffled", "same_index", "nan", "zero", "wrong_dimension"]

_FIELDS = {
    "inputs",
    "model",
    "input_type",
    "truncation",
    "output_dtype",
    "output_dimension",
    "encoding_format",
}
_PROJECTIONS = {
    dims: np.random.default_rng(dims).standard_normal((DIMS, dims)).astype(np.float32)
    for dims in (256, 512, 1024, 2048)
}


@dataclass(frozen=True)
class Planned:
    """What the next request gets instead of an honest answer. stall: no answer until the fake closes."""

    status: int = 200
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    malformed: Malformed | None = None
    stall: bool = False
    drop: bool = False


@dataclass(frozen=True)
class Received:
    """A request as it came. pictures: one an input, None for words. size_bytes: of the body."""

    body: Mapping[str, Any]
    pictures: tuple[Image.Image | None, ...]
    size_bytes: int


class Refusal(Exception):
    def __init__(self, detail: str, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"detail": detail} | ({"error_code": code} if code else {})


class FakeVoyage:
    """refuse: pictures for which it is true are refused as the service refuses odd shapes. name_refused: whether the
    refusal names the input. max_tokens, max_input_tokens: limits of a request and of one input. any_key: take any.
    """

    def __init__(
        self,
        *,
        key: str = "pa-test-key-0123456789",
        refuse: Callable[[Image.Image], bool] | None = None,
        name_refused: bool = True,
        max_tokens: int = 320_000,
        max_input_tokens: int = 32_000,
        any_key: bool = False,
        port: int = 0,
    ) -> None:
        self.key = key
        self.refuse = refuse
        self.name_refused = name_refused
        self.max_tokens = max_tokens
        self.max_input_tokens = max_input_tokens
        self.any_key = any_key
        self.received: list[Received] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.changed = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()
        self._closing = threading.Event()
        self._planned: list[Planned] = []
        self._server = _Server(("127.0.0.1", port), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def answer_next(
        self, status: int, detail: str = "no", *, times: int = 1, headers: Mapping[str, str] | None = None
    ) -> None:
        """The next requests get this status with {"detail": detail}."""
        self._planned += [Planned(status=status, body={"detail": detail}, headers=headers or {})] * times

    def break_next(self, malformed: Malformed, *, times: int = 1) -> None:
        """The next requests get status 200 with a reply that is wrong in this way."""
        self._planned += [Planned(malformed=malformed)] * times

    def stall_next(self, *, times: int = 1) -> None:
        self._planned += [Planned(stall=True)] * times

    def drop_next(self, *, times: int = 1) -> None:
        """The next connections are closed without an answer."""
        self._planned += [Planned(drop=True)] * times

    def wait_in_flight(self, count: int, *, timeout_s: float = 20.0) -> bool:
        """Blocks until `count` requests are being answered at once; close `gate` first, to hold them."""
        with self.changed:
            return self.changed.wait_for(lambda: self.in_flight >= count, timeout_s)

    def __enter__(self) -> FakeVoyage:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def serve_forever(self) -> None:
        """In this thread, until interrupted."""
        self._server.serve_forever()

    def _next_plan(self) -> Planned:
        return self._planned.pop(0) if self._planned else Planned()

    def _answer(self, raw: bytes, authorization: str) -> tuple[Planned, dict[str, Any]]:
        body = json.loads(raw)
        self.received.append(Received(body, tuple(_pictures(body)), len(raw)))
        plan = self._next_plan()
        if plan.body is not None:
            return plan, dict(plan.body)
        if plan.stall:
            self._closing.wait()
        try:
            reply = self._embed(body, authorization)
        except Refusal as refusal:
            return Planned(status=refusal.status), refusal.body
        return plan, _spoil(reply, plan.malformed)

    def _embed(self, body: Mapping[str, Any], authorization: str) -> dict[str, Any]:
        if not self.any_key and authorization != f"Bearer {self.key}":
            raise Refusal("Provided API key is invalid.", status=401)
        unknown = set(body) - _FIELDS
        if unknown:
            raise Refusal(f"Argument {sorted(unknown)[0]!r} is not supported by our API.")
        if body["model"] != "voyage-multimodal-3.5":
            raise Refusal(f"Model {body['model']} is not supported.")
        if body["input_type"] not in ("query", "document", None):
            raise Refusal("input_type must be query, document or null.")
        dims = body["output_dimension"] or 1024
        if dims not in _PROJECTIONS:
            raise Refusal(f"Value {dims} for output_dimension is not supported.")
        inputs = body["inputs"]
        if not 1 <= len(inputs) <= 1000:
            raise Refusal("The number of inputs must be from 1 to 1000.")
        failed = f"Request to model '{body['model']}' failed."
        tokens = [self._check(place, entry["content"], failed) for place, entry in enumerate(inputs)]
        if sum(tokens) > self.max_tokens:
            raise Refusal(
                f"{failed} The max allowed tokens per submitted batch is {self.max_tokens}. Your batch has "
                f"{sum(tokens)} tokens after truncation. Please lower the number of tokens in the batch.",
                code="TOO_MANY_TOKENS_IN_BATCH",
            )
        for place, count in enumerate(tokens):
            if count > self.max_input_tokens and not body["truncation"]:
                raise Refusal(
                    f"{failed} The example at index {place} in your batch has too many tokens and does not fit into "
                    f"the model's context window of {self.max_input_tokens} tokens. Please lower the number of tokens "
                    "in the listed example(s) or use truncation."
                )
        data = [
            {"object": "embedding", "embedding": _encode(_vector(entry["content"], dims)), "index": place}
            for place, entry in enumerate(inputs)
        ]
        usage = {"text_tokens": 0, "image_pixels": 0, "video_pixels": 0, "total_tokens": sum(tokens)}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}

    def _check(self, place: int, content: list[dict[str, str]], failed: str) -> int:
        tokens = 0
        for index, part in enumerate(content):
            if part["type"] == "text":
                tokens += len(part["text"]) // 5 + 1
                continue
            if not part["image_base64"].startswith(("data:image/jpeg;base64,", "data:image/png;base64,")):
                raise Refusal(f"{failed} Unsupported media at input {place}, index {index}.")
            if len(part["image_base64"]) > 20_000_000 * 4 // 3:
                raise Refusal(f"{failed} The image is larger than 20 MB [base64 image at input {place}].")
            image = _decode(part["image_base64"])
            pixels = image.width * image.height
            if pixels > 16_000_000 or (self.refuse is not None and self.refuse(image)):
                where = f" [base64 image at input {place}, index {index}]" if self.name_refused else ""
                raise Refusal(f"{failed} The image resolution is not within the permitted range:{where}")
            tokens += min(max(pixels, 50_000), 2_000_000) // 560
        return tokens


def _vector(content: list[dict[str, str]], dims: int) -> np.ndarray:
    reader = FakeEncoder()
    parts = [
        reader._query(part["text"] if part["type"] == "text" else _decode(part["image_base64"])).summary
        for part in content
    ]
    vector = np.mean(parts, axis=0) @ _PROJECTIONS[dims]
    return (vector / np.linalg.norm(vector)).astype("<f4")


def _encode(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _decode(data_url: str) -> Image.Image:
    with Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2]))) as opened:
        return opened.convert("RGB")


def _pictures(body: Mapping[str, Any]) -> list[Image.Image | None]:
    parts = [entry["content"][0] for entry in body["inputs"]]
    return [_decode(part["image_base64"]) if part["type"] == "image_base64" else None for part in parts]


def _spoil(reply: dict[str, Any], malformed: Malformed | None) -> dict[str, Any]:
    data = reply["data"]
    vector = np.frombuffer(base64.b64decode(data[0]["embedding"]), "<f4").copy()
    if malformed == "wrong_count":
        data.pop()
    elif malformed == "shuffled":
        data.reverse()
    elif malformed == "same_index":
        data[-1]["index"] = 0
    elif malformed == "nan":
        vector[0] = np.nan
        data[0]["embedding"] = _encode(vector)
    elif malformed == "zero":
        data[0]["embedding"] = _encode(vector * 0)
    elif malformed == "wrong_dimension":
        data[0]["embedding"] = _encode(vector[: len(vector) // 2])
    return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away (after its timeout) is no news."""


def _handler_of(fake: FakeVoyage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/v1/multimodalembeddings":
                self._send(Planned(status=404), b'{"detail": "Not Found"}')
                return
            self._count(1)
            try:
                fake.gate.wait()
                plan, reply = fake._answer(raw, self.headers.get("Authorization", ""))
            finally:
                self._count(-1)
            if plan.drop:
                self.close_connection = True
                return
            self._send(plan, b"<html>not json" if plan.malformed == "not_json" else json.dumps(reply).encode())

        def _count(self, step: int) -> None:
            with fake.changed:
                fake.in_flight += step
                fake.most_in_flight = max(fake.most_in_flight, fake.in_flight)
                fake.changed.notify_all()

        def _send(self, plan: Planned, body: bytes) -> None:
            self.send_response(plan.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in plan.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if plan.malformed == "half":
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent: the log is `received`."""

    return Handler


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8900)
    FakeVoyage(any_key=True, port=parser.parse_args().port).serve_forever()
