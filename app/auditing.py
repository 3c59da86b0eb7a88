"""What the audit says of requests: which route leaves which record, and what is kept of a question."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from retrieval.audit import claims_text
from retrieval.documents import AuditEvent, FactValue
from retrieval.errors import StoreUnavailable
from retrieval.queries import Query

CLI_ACTOR = "cli"

_KEY_BYTES = 32
_MARK_LENGTH = 32  # hex digits: 128 bits


@dataclass(frozen=True, slots=True)
class Decision:
    """actions: the records that an answered request of a route may leave, one of them each time. why_none: where it
    leaves none."""

    actions: tuple[str, ...] = ()
    why_none: str = ""


def _leaves(*actions: str) -> Decision:
    return Decision(actions)


_NO_DATA = Decision(why_none="shows nothing of a claim")
_STATE = Decision(why_none="counts and states only")

DECISIONS: Mapping[tuple[str, str], Decision] = {
    ("GET", "/v1/me"): _NO_DATA,
    ("GET", "/v1/claims"): _leaves("claims.list"),
    ("POST", "/v1/claims"): _leaves("claim.create"),
    ("GET", "/v1/claims/{claim_id}"): _leaves("claim.view"),
    ("PUT", "/v1/claims/{claim_id}"): _leaves("claim.create", "claim.replace"),
    ("PATCH", "/v1/claims/{claim_id}"): _leaves("claim.change"),
    ("DELETE", "/v1/claims/{claim_id}"): _leaves("claim.delete"),
    ("PUT", "/v1/claims/{claim_id}/hold"): _leaves("claim.hold"),
    ("DELETE", "/v1/claims/{claim_id}/hold"): _leaves("claim.release"),
    ("POST", "/v1/claims/{claim_id}/similar"): _leaves("search.claim"),
    ("GET", "/v1/claims/{claim_id}/reused"): _leaves("photos.reused"),
    ("GET", "/v1/claims/{claim_id}/pages"): _leaves("pages.list"),
    ("POST", "/v1/claims/{claim_id}/assets"): _leaves("assets.upload"),
    ("GET", "/v1/claims/{claim_id}/assets"): _leaves("assets.list"),
    ("GET", "/v1/assets/{asset_id}"): _leaves("asset.view"),
    ("GET", "/v1/assets/{asset_id}/content"): _leaves("asset.download"),
    ("DELETE", "/v1/assets/{asset_id}"): _leaves("asset.delete"),
    ("GET", "/v1/pages/{page_id}"): _leaves("page.view"),
    ("GET", "/v1/pages/{page_id}/image"): _leaves("page.picture"),
    ("GET", "/v1/pages/{page_id}/similar"): _leaves("search.page"),
    ("GET", "/v1/pages/{page_id}/matches/{other_page_id}"): _leaves("page.matches"),
    ("POST", "/v1/search"): _leaves("search.words", "search.picture", "search.page"),
    ("POST", "/v1/explain"): _leaves("page.explain"),
    ("GET", "/v1/facets"): _leaves("facets.view"),
    ("GET", "/v1/schema"): _NO_DATA,
    ("GET", "/v1/jobs"): _leaves("jobs.list"),
    ("GET", "/v1/jobs/{job_id}"): _leaves("job.view"),
    ("GET", "/v1/jobs/{job_id}/events"): _leaves("job.follow"),
    ("POST", "/v1/jobs/{job_id}/cancel"): _leaves("job.cancel"),
    ("POST", "/v1/jobs/{job_id}/retry"): _leaves("job.retry"),
    ("GET", "/healthz"): _NO_DATA,
    ("GET", "/readyz"): _STATE,
    ("GET", "/metrics"): _STATE,
    ("GET", "/docs"): _NO_DATA,
    ("GET", "/openapi.json"): _NO_DATA,
}
"""Every route has its decision here; a test compares this with the routes there are and with what they do."""


def audit_event(
    actor: str,
    action: str,
    target: str,
    *,
    request_id: str | None = None,
    claims: Iterable[str] = (),
    details: Mapping[str, FactValue],
) -> AuditEvent:
    """Now. claims: numbers of the claims that it concerns, beside the target."""
    named = claims_text(claims)
    said = {**details, "claims": named} if named != "[]" else dict(details)
    return AuditEvent(datetime.now(UTC), actor, action, target, request_id, said)


@dataclass(frozen=True, slots=True)
class QueryMarks:
    """What the audit keeps of a question. key: of the hashes; None where words and filters are kept as they are."""

    key: bytes | None = field(repr=False)

    def of_words(self, text: str) -> str:
        """The same for the same words, however they are spaced and capitalised."""
        return self._mark("words", " ".join(text.split()).casefold(), text)

    def of_pictures(self, digests: Sequence[str]) -> str:
        """digests: sha256 of each picture as sent."""
        listed = json.dumps(list(digests))
        return self._mark("pictures", listed, listed)

    def of_filter(self, source: object) -> dict[str, FactValue]:
        """source: a filter that is valid, as an object or as JSON text; nothing for none."""
        given: object = json.loads(source) if isinstance(source, str) and source.strip() else source
        if not given:
            return {}
        text = json.dumps(given, sort_keys=True, ensure_ascii=False)
        return {"filter": self._mark("filter", text, text)}

    def search(
        self, question: Query, digests: Sequence[str], filter_source: object
    ) -> tuple[str, str, dict[str, FactValue]]:
        """Action, target and details of the record of a search."""
        details: dict[str, FactValue] = {"group_by": question.group_by, **self.of_filter(filter_source)}
        if question.offset:
            details["offset"] = question.offset
        if question.page_id is not None:
            return "search.page", question.page_id, details
        if question.claim_id is not None:
            return "search.claim", question.claim_id, details
        if question.text is not None:
            return "search.words", "", details | {"query": self.of_words(question.text)}
        return "search.picture", "", details | {"query": self.of_pictures(digests)}

    def _mark(self, kind: str, said: str, kept: str) -> str:
        if self.key is None:
            return kept
        return hmac.new(self.key, f"{kind}\0{said}".encode("utf-8", "replace"), sha256).hexdigest()[:_MARK_LENGTH]


def query_marks(key_path: Path, *, kept: bool) -> QueryMarks:
    """kept: words and filters as they are. Else the key is read, or made when there is none: blocks.

    Raises StoreUnavailable audit_key_unreadable.
    """
    if kept:
        return QueryMarks(None)
    try:
        if not key_path.exists():
            _make_key(key_path)
        key = bytes.fromhex(key_path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise StoreUnavailable(
            "The key of the audit's hashes cannot be read or made: look at CLAIMSIGHT_AUDIT_KEY_FILE, or at audit.key "
            "in the data folder.",
            code="audit_key_unreadable",
        )
    return QueryMarks(key)


def _make_key(path: Path) -> None:
    """Whole or not there, also when several processes start at once: the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as writer:
            writer.write(secrets.token_hex(_KEY_BYTES) + "\n")
            writer.flush()
            os.fsync(writer.fileno())
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)
