"""A small API of the documented shapes over the demo claims: enough for the dashboard, without stores or models.

Search is by shared words and by colour. `python -m tests.ui.fake_api PORT` runs it alone.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.ui.fake_pictures import colours_of, pictures_of

DEMO = Path(__file__).parents[2] / "app" / "demo"
Json = dict[str, Any]


@dataclass
class FakeApi:
    """The state of one test: claims by number, pages by id, jobs by id, the requests that came, and who may ask.
    told: by asset_id, what a file says of its making. stale: pages of another encoder, None = not for everybody."""

    claims: dict[str, Json] = field(default_factory=dict)
    pages: dict[str, Json] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, Json] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    problem: Json | None = None
    people: dict[str, Json] = field(default_factory=dict)
    told: dict[str, Json] = field(default_factory=dict)
    stale: int | None = 0
    url: str = ""

    @classmethod
    def of_demo(cls, *, count: int | None = None) -> FakeApi:
        api = cls()
        for record in json.loads((DEMO / "claims.json").read_text(encoding="utf-8"))[:count]:
            names = record.pop("files")
            api.claims[record["claim_id"]] = {**record, "version": 1}
            for name in names:
                path = DEMO / "data" / record["claim_id"].lower() / name
                api.add_file(record["claim_id"], name, path.read_bytes())
        return api

    def add_file(self, claim_id: str, filename: str, content: bytes) -> list[str]:
        asset_id = sha256(content).hexdigest()
        ids: list[str] = []
        for number, picture in enumerate(pictures_of(filename, content), start=1):
            page_id = f"{sha256(f'{claim_id}{asset_id}'.encode()).hexdigest()[:32]}-{number}"
            self.pictures[page_id] = picture
            self.pages[page_id] = {
                "page_id": page_id,
                "claim_id": claim_id,
                "asset_id": asset_id,
                "filename": filename,
                "number": number,
                "kind": "photo" if filename.startswith("photo") else "page",
                "width": 900,
                "height": 1200,
            }
            ids.append(page_id)
        return ids

    def app(self) -> Starlette:
        routes = [
            Route("/v1/me", self._me),
            Route("/v1/search", self._search, methods=["POST"]),
            Route("/v1/explain", self._explain, methods=["POST"]),
            Route("/v1/facets", self._facets),
            Route("/v1/claims", self._claims, methods=["GET", "POST"]),
            Route("/v1/claims/{claim_id}", self._claim, methods=["GET", "PATCH", "DELETE"]),
            Route("/v1/claims/{claim_id}/similar", self._similar, methods=["POST"]),
            Route("/v1/claims/{claim_id}/reused", self._reused),
            Route("/v1/claims/{claim_id}/assets", self._assets, methods=["GET", "POST"]),
            Route("/v1/claims/{claim_id}/pages", self._pages_of),
            Route("/v1/pages/{page_id}", self._page),
            Route("/v1/pages/{page_id}/matches/{other}", self._matches),
            Route("/v1/pages/{page_id}/image", self._image),
            Route("/readyz", self._ready),
            Route("/v1/jobs", self._jobs_of),
            Route("/v1/jobs/{job_id}", self._job),
        ]
        return Starlette(routes=routes, middleware=[Middleware(_Door, api=self)])

    async def _me(self, request: Request) -> Response:
        local = {"tenant": "default", "role": "admin", "name": "this machine"}
        return JSONResponse(self.people.get(request.headers.get("authorization", ""), local))

    async def _search(self, request: Request) -> Response:
        query, picture = await _query(request)
        self.asked.append(("POST", "/v1/search", query))
        if self.problem:
            return JSONResponse(self.problem, status_code=self.problem["status"])
        scores = {page_id: self._score(page_id, query, picture) for page_id in self.pages}
        like = query.get("page_id")
        own = self.pages[like]["claim_id"] if like else None
        found = sorted(
            (
                page
                for page in self.pages.values()
                if page["claim_id"] != own and self._passes(page, query.get("filter") or {})
            ),
            key=lambda page: (-scores[page["page_id"]], page["page_id"]),
        )
        hits: list[Json] = []
        for page in found:
            if query.get("group_by") == "claim" and any(hit["claim"]["claim_id"] == page["claim_id"] for hit in hits):
                hit = next(hit for hit in hits if hit["claim"]["claim_id"] == page["claim_id"])
                hit["pages"].append({"page": page, "score": scores[page["page_id"]]})
                continue
            why = [{"word": word, "score": 0.5} for word in (query.get("text") or "").split()]
            hits.append(
                {
                    "rank": len(hits) + 1,
                    "score": scores[page["page_id"]],
                    "page": page,
                    "claim": self.claims[page["claim_id"]],
                    "why": {"words": why},
                    "pages": [],
                }
            )
        limit = query.get("limit", 10)
        more = "more" if len(hits) > limit else None
        return JSONResponse({"hits": hits[:limit], "next_cursor": more, "encoder": "fake/1", "took_ms": 3.0})

    async def _reused(self, request: Request) -> Response:
        own = [page for page in self.pages.values() if page["claim_id"] == request.path_params["claim_id"]]
        items = [
            {
                "page": page,
                "other_page": other,
                "other_claim": self.claims[other["claim_id"]],
                "likeness": 1.0,
                "mirrored": False,
                "same_file": True,
            }
            for page in own
            for other in self.pages.values()
            if page["asset_id"] == other["asset_id"] and page["claim_id"] != other["claim_id"]
        ]
        return JSONResponse({"items": items})

    async def _similar(self, request: Request) -> Response:
        claim_id = request.path_params["claim_id"]
        query = await request.json()
        self.asked.append(("POST", f"/v1/claims/{claim_id}/similar", query))
        own = [page for page in self.pages.values() if page["claim_id"] == claim_id]
        asked = query["page_ids"] or [page["page_id"] for page in own if page["kind"] == "photo"]
        hits: list[Json] = []
        for other in self.claims.values():
            theirs = [page for page in self.pages.values() if page["claim_id"] == other["claim_id"] != claim_id]
            scores = {
                (place, page["page_id"]): self._score(page["page_id"], {"page_id": asked[place]}, None)
                for place in range(len(asked))
                for page in theirs
            }
            if scores:
                (place, best), score = max(scores.items(), key=lambda item: item[1])
                pair = {"asked": place, "page": self.pages[best], "score": score}
                hits.append({"score": score, "page": self.pages[best], "claim": other, "pages": [], "pairs": [pair]})
        hits = sorted(hits, key=lambda hit: -hit["score"])[: query["limit"]]
        hits = [{**hit, "rank": rank} for rank, hit in enumerate(hits, 1)]
        amounts = [hit["claim"]["loss_amount"] for hit in hits] or [0.0]
        quartiles = np.quantile(amounts, [0, 0.25, 0.5, 0.75, 1]).tolist()
        losses = dict(zip(("least", "lower", "median", "upper", "most"), quartiles, strict=True))
        return JSONResponse(
            {"hits": hits, "asked": asked, "losses": [{"currency": "USD", "count": len(amounts), **losses}]}
        )

    def _score(self, page_id: str, query: Json, picture: bytes | None) -> float:
        if query.get("page_id"):
            picture = self.pictures[query["page_id"]]
        if picture is not None:
            return float(np.dot(colours_of(picture), colours_of(self.pictures[page_id])))
        page = self.pages[page_id]
        claim = self.claims[page["claim_id"]]
        words = set(re.findall(r"\w+", f"{claim['description']} {claim['damage_types']} {page['filename']}".lower()))
        asked = set(re.findall(r"\w+", query["text"].lower()))
        return round(0.2 + 0.6 * len(words & asked) / max(1, len(asked)) + (0.1 if page["kind"] == "photo" else 0), 3)

    def _passes(self, page: Json, filter: Json) -> bool:
        facts = {**_flat(self.claims[page["claim_id"]]), "kind": page["kind"]}
        for name, wanted in filter.items():
            value = facts.get(name)
            if not isinstance(wanted, dict):
                wanted = {"in": [wanted]}
            values = value if isinstance(value, list) else [value]
            if "in" in wanted and not set(values) & set(wanted["in"]):
                return False
            if "gte" in wanted and (value is None or value < wanted["gte"]):
                return False
            if "lte" in wanted and (value is None or value > wanted["lte"]):
                return False
        return True

    async def _explain(self, request: Request) -> Response:
        query, _ = await _query(request)
        self.asked.append(("POST", "/v1/explain", query))
        image = Image.open(io.BytesIO(self.pictures[query["page_id"]])).convert("RGB")
        image.paste((255, 138, 0), (10, 10, image.width // 2, 60))
        target = io.BytesIO()
        image.save(target, "PNG")
        words = [{"word": word, "score": 0.7} for word in (query.get("text") or "").split()]
        overlay = base64.b64encode(target.getvalue()).decode()
        return JSONResponse({"page_id": query["page_id"], "words": words, "overlay": overlay})

    async def _matches(self, request: Request) -> Response:
        page_id, other = request.path_params["page_id"], request.path_params["other"]
        self.asked.append(("GET", f"/v1/pages/{page_id}/matches", other))
        target = io.BytesIO()
        Image.new("RGB", (64, 32), "orange").save(target, "PNG")
        regions = [{"box": [0, 0, 9, 9], "other_box": [0, 0, 9, 9], "likeness": 0.8}] * 2
        overlay = base64.b64encode(target.getvalue()).decode()
        return JSONResponse({"page_id": page_id, "other_page_id": other, "regions": regions, "overlay": overlay})

    async def _facets(self, request: Request) -> Response:
        facets: list[Json] = []
        for name in request.query_params["fields"].split(","):
            values = [value for claim in self.claims.values() for value in _listed(_flat(claim).get(name))]
            counted = [{"value": value, "count": count} for value, count in Counter(values).most_common(50)]
            ends = {"minimum": min(values), "maximum": max(values)} if values else {}
            facets.append({"field": name, "values": counted, **ends})
        return JSONResponse({"facets": facets})

    async def _claims(self, request: Request) -> Response:
        if request.method == "POST":
            facts = await request.json()
            if facts["claim_id"] in self.claims:
                return _refusal(409, "claim_exists", "There is a claim with this number.")
            self.claims[facts["claim_id"]] = {**facts, "version": 1}
            return JSONResponse(self.claims[facts["claim_id"]], status_code=201)
        filter = json.loads(request.query_params.get("filter", "{}"))
        kept = [c for c in self.claims.values() if self._passes({"claim_id": c["claim_id"], "kind": ""}, filter)]
        sort = request.query_params.get("sort", "-created_at")
        kept.sort(key=lambda claim: str(claim.get(sort.lstrip("-"), "")), reverse=sort.startswith("-"))
        limit = int(request.query_params.get("limit", 50))
        return JSONResponse({"items": kept[:limit], "next_cursor": "more" if len(kept) > limit else None})

    async def _claim(self, request: Request) -> Response:
        claim_id = request.path_params["claim_id"]
        if claim_id not in self.claims:
            return _refusal(404, "claim_not_found", f"There is no claim {claim_id!r}.")
        if request.method == "DELETE":
            del self.claims[claim_id]
            self.pages = {key: page for key, page in self.pages.items() if page["claim_id"] != claim_id}
            return JSONResponse({"claims": 1})
        if request.method == "PATCH":
            changes = await request.json()
            self.asked.append(("PATCH", claim_id, changes))
            self.claims[claim_id].update(changes)
        return JSONResponse(self.claims[claim_id])

    async def _assets(self, request: Request) -> Response:
        claim_id = request.path_params["claim_id"]
        if request.method == "GET":
            names = {page["asset_id"]: page for page in self.pages.values() if page["claim_id"] == claim_id}
            items = [
                {
                    "asset_id": asset_id,
                    "filename": page["filename"],
                    "size_bytes": 12000,
                    "page_count": 1,
                    "warnings": [],
                    **self.told.get(asset_id, {}),
                }
                for asset_id, page in names.items()
            ]
            return JSONResponse({"items": items, "next_cursor": None})
        async with request.form() as form:
            files = [
                (file.filename or "", await file.read()) for file in form.getlist("files") if not isinstance(file, str)
            ]
        entries = [await asyncio.to_thread(self._entry, claim_id, name, content) for name, content in files]
        job_id = f"job-{len(self.jobs) + 1}"
        self.jobs[job_id] = {"job_id": job_id, "claim_id": claim_id, "state": "succeeded", "entries": entries}
        return JSONResponse(self.jobs[job_id], status_code=202)

    def _entry(self, claim_id: str, filename: str, content: bytes) -> Json:
        entry: Json = {"filename": filename, "asset_id": None, "pages_done": 0, "pages_total": None}
        try:
            count = len(self.add_file(claim_id, filename, content))
        except OSError:
            return {**entry, "state": "failed", "code": "not_an_image", "detail": "The file cannot be read."}
        return {**entry, "state": "succeeded", "pages_done": count, "pages_total": count}

    async def _pages_of(self, request: Request) -> Response:
        pages = [page for page in self.pages.values() if page["claim_id"] == request.path_params["claim_id"]]
        first, limit = int(request.query_params.get("cursor", 0)), int(request.query_params["limit"])
        end = first + limit
        return JSONResponse({"items": pages[first:end], "next_cursor": str(end) if end < len(pages) else None})

    async def _page(self, request: Request) -> Response:
        page = self.pages.get(request.path_params["page_id"])
        return JSONResponse(page) if page else _refusal(404, "page_not_found", "There is no such page.")

    async def _image(self, request: Request) -> Response:
        return Response(self.pictures[request.path_params["page_id"]], media_type="image/jpeg")

    async def _ready(self, request: Request) -> Response:
        return JSONResponse({"ready": True, "encoder": {"stale": self.stale}})

    async def _jobs_of(self, request: Request) -> Response:
        wanted = {name: request.query_params.get(name) for name in ("claim_id", "state")}
        jobs = [
            job
            for job in reversed(self.jobs.values())
            if all(value in (None, job[name]) for name, value in wanted.items())
        ]
        return JSONResponse({"items": jobs[: int(request.query_params["limit"])], "next_cursor": None})

    async def _job(self, request: Request) -> Response:
        return JSONResponse(self.jobs[request.path_params["job_id"]])


class _Door:
    """With `people`, by Authorization header, only they may ask; a code in place of a person is the refusal."""

    def __init__(self, app: ASGIApp, api: FakeApi) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._api.people:
            person = self._api.people.get(Headers(scope=scope).get("authorization", ""), {"code": "unauthorised"})
            if "code" in person:
                await _refusal(401, person["code"], "No.")(scope, receive, send)
                return
        await self._app(scope, receive, send)


@contextmanager
def serving(api: FakeApi, *, port: int = 0) -> Iterator[FakeApi]:
    """The API on a free port of its own thread."""
    server = uvicorn.Server(uvicorn.Config(api.app(), host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive(), "the fake API did not start"
    api.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        server.should_exit = True
        thread.join(10)


async def _query(request: Request) -> tuple[Json, bytes | None]:
    if request.headers["content-type"].startswith("application/json"):
        return await request.json(), None
    async with request.form() as form:
        image = form["image"]
        assert not isinstance(image, str)
        return json.loads(str(form["query"])), await image.read()


def _refusal(status: int, code: str, detail: str) -> JSONResponse:
    return JSONResponse({"status": status, "code": code, "title": code, "detail": detail}, status_code=status)


def _flat(claim: Json) -> Json:
    flat = dict(claim)
    for outer in ("location", "vehicle", "attributes"):
        flat |= {f"{outer}.{name}": value for name, value in (claim.get(outer) or {}).items()}
    return flat


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    with serving(FakeApi.of_demo(), port=int(sys.argv[1])) as running:
        sys.stdout.write(f"{running.url}\n")
        threading.Event().wait()
