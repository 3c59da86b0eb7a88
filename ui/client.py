"""The API as the dashboard calls it: typed, synchronous, every fault as one of two errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from ui.records import Asset, Claim, Explanation, Facet, Job, Json, Matches, Me, Page, Reuse, SearchAnswer

READ_TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 600.0
MOST_LISTED = 200
"""Items of one answer; what is more comes with the next cursor."""


class ApiDown(Exception):
    """Nothing answered at the API's address, or not in time."""


class ApiProblem(Exception):
    """The API refused: a problem document (RFC 9457) with its stable code."""

    def __init__(
        self, *, status: int, code: str, title: str, detail: str, field: str = "", request_id: str = ""
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.field = field
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to search with, as the user gave it."""

    filename: str
    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Listing:
    claims: tuple[Claim, ...]
    next_cursor: str | None


def pool(url: str, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """Connections to an API, without a key of their own."""
    return httpx2.Client(base_url=url, timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=5.0), transport=transport)


class Client:
    """One API, asked with one key or token. Methods raise ApiDown and ApiProblem. http: a pool to share, which this
    client then closes too."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        transport: httpx2.BaseTransport | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = http or pool(self.url, transport)

    def close(self) -> None:
        self._http.close()

    def me(self) -> Me:
        """Who the key is, as the API sees it."""
        return Me.read(self._json("GET", "/v1/me"))

    # Search

    def search(
        self,
        *,
        text: str | None = None,
        page_id: str | None = None,
        picture: Picture | None = None,
        filter: Json | None = None,
        group_by: str = "claim",
        limit: int = 12,
        cursor: str | None = None,
        exclude_claim_ids: Sequence[str] = (),
        exact_text: bool = True,
    ) -> SearchAnswer:
        """Ask with exactly one of text, page_id and picture."""
        query: dict[str, Any] = {"filter": dict(filter or {}), "group_by": group_by, "limit": limit}
        if text is not None:
            query["text"] = text
        if page_id is not None:
            query["page_id"] = page_id
        if cursor is not None:
            query["cursor"] = cursor
        if exclude_claim_ids:
            query["exclude_claim_ids"] = list(exclude_claim_ids)
        if not exact_text:
            query["exact_text"] = False
        if picture is None:
            return SearchAnswer.read(self._json("POST", "/v1/search", json=query))
        return SearchAnswer.read(
            self._json("POST", "/v1/search", data={"query": json.dumps(query)}, files=[_image_part(picture)])
        )

    def similar(
        self,
        claim_id: str,
        *,
        page_ids: Sequence[str] = (),
        exclude_same_policy: bool = False,
        diversity: float = 0.0,
        limit: int = 6,
    ) -> SearchAnswer:
        """Claims like this one, compared by these of its pages; by all where none is named."""
        query = {
            "page_ids": list(page_ids),
            "exclude_same_policy": exclude_same_policy,
            "diversity": diversity,
            "limit": limit,
        }
        return SearchAnswer.read(self._json("POST", _path("claims", claim_id, "similar"), json=query))

    def reused(self, claim_id: str) -> tuple[Reuse, ...]:
        """Photos of the claim that are in other claims too."""
        return tuple(Reuse.read(item) for item in self._json("GET", _path("claims", claim_id, "reused"))["items"])

    def explain(
        self,
        page_id: str,
        *,
        text: str | None = None,
        like_page_id: str | None = None,
        picture: Picture | None = None,
    ) -> Explanation:
        """Which parts of a page answer the query: words, a picture or another page."""
        query: dict[str, Any] = {"page_id": page_id}
        if text is not None:
            query["text"] = text
        if like_page_id is not None:
            query["like_page_id"] = like_page_id
        if picture is None:
            answer = self._json("POST", "/v1/explain", json=query)
        else:
            answer = self._json("POST", "/v1/explain", data={"query": json.dumps(query)}, files=[_image_part(picture)])
        words = tuple((str(word["word"]), float(word["score"])) for word in answer.get("words") or ())
        return Explanation(overlay=base64.b64decode(answer["overlay"]), words=words)

    def matches(self, page_id: str, other_id: str) -> Matches:
        """Which parts of two photos look alike."""
        return Matches.read(self._json("GET", _path("pages", page_id, "matches", other_id)))

    def facets(self, fields: Sequence[str], *, filter: Json | None = None) -> dict[str, Facet]:
        params: dict[str, Any] = {"fields": ",".join(fields)}
        if filter:
            params["filter"] = json.dumps(filter)
        answer = self._json("GET", "/v1/facets", params=params)
        return {facet["field"]: Facet.read(facet) for facet in answer.get("facets") or ()}

    def schema(self) -> Json:
        return self._json("GET", "/v1/schema")

    # Claims

    def claims(
        self, *, filter: Json | None = None, sort: str = "-created_at", cursor: str | None = None, limit: int = 50
    ) -> Listing:
        params: dict[str, Any] = {"sort": sort, "limit": limit}
        if filter:
            params["filter"] = json.dumps(filter)
        if cursor:
            params["cursor"] = cursor
        answer = self._json("GET", "/v1/claims", params=params)
        return Listing(tuple(Claim.read(claim) for claim in answer["items"]), answer.get("next_cursor"))

    def claim(self, claim_id: str) -> Claim:
        return Claim.read(self._json("GET", _path("claims", claim_id)))

    def create_claim(self, facts: Json) -> Claim:
        return Claim.read(self._json("POST", "/v1/claims", json=facts))

    def change_claim(self, claim_id: str, changes: Json, *, version: int) -> Claim:
        """Refused with version_conflict when the claim is not at that version any more."""
        headers = {"If-Match": f'"{version}"'}
        return Claim.read(self._json("PATCH", _path("claims", claim_id), json=changes, headers=headers))

    def delete_claim(self, claim_id: str) -> None:
        self._send("DELETE", _path("claims", claim_id))

    # Files and pages

    def assets(self, claim_id: str) -> tuple[Asset, ...]:
        return tuple(Asset.read(item) for item in self._json("GET", _path("claims", claim_id, "assets"))["items"])

    def pages(self, claim_id: str) -> tuple[Page, ...]:
        """All of the claim, file by file."""
        path, params = _path("claims", claim_id, "pages"), {"limit": MOST_LISTED}
        pages: list[Page] = []
        while True:
            answer = self._json("GET", path, params=params)
            pages += [Page.read(item) for item in answer["items"]]
            if answer.get("next_cursor") is None:
                return tuple(pages)
            params["cursor"] = answer["next_cursor"]

    def page(self, page_id: str) -> Page:
        return Page.read(self._json("GET", _path("pages", page_id)))

    def page_image(self, page_id: str, *, width: int) -> bytes:
        return self._send("GET", _path("pages", page_id, "image"), params={"width": width}).content

    def delete_asset(self, asset_id: str, *, claim_id: str) -> None:
        self._send("DELETE", _path("assets", asset_id), params={"claim_id": claim_id})

    # Jobs

    def upload(self, claim_id: str, files: Sequence[Picture]) -> Job:
        parts = [("files", (file.filename, file.content, file.media_type)) for file in files]
        return Job.read(self._json("POST", _path("claims", claim_id, "assets"), files=parts, timeout=UPLOAD_TIMEOUT_S))

    def job(self, job_id: str) -> Job:
        return Job.read(self._json("GET", _path("jobs", job_id)))

    def unfinished_job(self, claim_id: str) -> Job | None:
        """The claim's latest upload, whoever sent it, while it is on its way."""
        answer = self._json("GET", "/v1/jobs", params={"claim_id": claim_id, "limit": 1})
        jobs = [Job.read(item) for item in answer["items"]]
        return jobs[0] if jobs and not jobs[0].finished else None

    def reads_files(self) -> bool:
        """Whether some upload is on its way just now."""
        return bool(self._json("GET", "/v1/jobs", params={"state": "running", "limit": 1})["items"])

    def unread(self) -> int:
        """Pages that no search finds, because another encoder made their vectors; 0 for those who may not know."""
        return self._json("GET", "/readyz")["encoder"]["stale"] or 0

    def retry_job(self, job_id: str) -> Job:
        return Job.read(self._json("POST", _path("jobs", job_id, "retry")))

    def cancel_job(self, job_id: str) -> Job:
        return Job.read(self._json("POST", _path("jobs", job_id, "cancel")))

    def _json(self, method: str, path: str, **options: Any) -> Json:
        return self._send(method, path, **options).json()

    def _send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> httpx2.Response:
        with _reached(self.url):
            answer = self._http.request(method, path, headers={**self._headers, **(headers or {})}, **options)
        if answer.is_success:
            return answer
        raise _problem(answer)


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _image_part(picture: Picture) -> tuple[str, tuple[str, bytes, str]]:
    return ("image", (picture.filename, picture.content, picture.media_type))


@contextmanager
def _reached(url: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as fault:
        raise ApiDown(f"The API at {url} does not answer.") from fault


def _problem(answer: httpx2.Response) -> ApiProblem:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if not isinstance(body, Mapping):
        body = {}
    return ApiProblem(
        status=answer.status_code,
        code=str(body.get("code") or f"http_{answer.status_code}"),
        title=str(body.get("title") or "The API refused the request."),
        detail=str(body.get("detail") or ""),
        field=str(body.get("field") or ""),
        request_id=str(body.get("request_id") or answer.headers.get("x-request-id") or ""),
    )
