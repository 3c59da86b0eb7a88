"""Bearer tokens of an OpenID Connect issuer, checked against its published keys, which are fetched and remembered."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import structlog
from joserfc import jwk, jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError

from app.identity import Identity, IssuerUnavailable, NotAllowed, NotAuthenticated
from app.loopback import is_loopback
from retrieval.keys import Role

# Signatures that only the issuer can make; with HS256 whoever checks a token could also write one.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")

_FETCH_S = 5.0
_ANSWER_BYTES = 512 * 1024
_FRESH_S = 600.0  # then the keys are fetched again
_USABLE_S = 24 * 3600.0  # so long they serve when the issuer does not answer
_PAUSE_S = 30.0  # between two fetches that unknown key ids ask for
_LEEWAY_S = 30
_TOKEN_LENGTH = 16 * 1024
_SUBJECT_LENGTH = 128

_log = structlog.get_logger("claimsight.oidc")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens are taken, and where in them tenant and role stand.

    issuer: as the tokens name it. audience: one that they must name. jwks_url: of its keys; empty: as its own
    /.well-known/openid-configuration says. tenant_claim: empty: all are of `tenant`, the server's own. A claim is a
    name, or names with dots between them for objects in objects.
    """

    issuer: str
    audience: str
    tenant: str
    jwks_url: str = ""
    algorithms: Sequence[str] = ("RS256", "ES256")
    tenant_claim: str = ""
    role_claim: str = "roles"


class Tokens:
    """Checks tokens. now: aware UTC. clock: seconds, for the age of the keys."""

    def __init__(
        self,
        trust: Trust,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trust = trust
        self._clock = clock
        self._keys: jwk.KeySet | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def identify(self, token: str) -> Identity:
        """Raises NotAuthenticated (token_invalid, token_expired), NotAllowed when it names no role or no tenant,
        IssuerUnavailable when its keys cannot be fetched."""
        if len(token) > _TOKEN_LENGTH:
            raise _invalid()
        keys = await self._current_keys()
        try:
            claims = self._checked(token, keys)
        except InvalidKeyIdError:  # the issuer may have new ones
            claims = self._checked_again(token, await self._newer_keys(keys))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _refusal(error) from None
        return self._identity(claims)

    def _checked_again(self, token: str, keys: jwk.KeySet) -> Mapping[str, Any]:
        try:
            return self._checked(token, keys)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _refusal(error) from None

    def _checked(self, token: str, keys: jwk.KeySet) -> Mapping[str, Any]:
        """The claims, when signature, issuer, audience and times are right."""
        claims = jwt.decode(token, keys, algorithms=list(self._trust.algorithms)).claims
        jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._trust.issuer},
            aud={"essential": True, "value": self._trust.audience},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(claims)
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject.isprintable() or not 1 <= len(subject) <= _SUBJECT_LENGTH:
            raise _invalid()
        tenant: object = self._trust.tenant
        if self._trust.tenant_claim:
            tenant = _claim(claims, self._trust.tenant_claim)
        if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
            raise NotAllowed("The token names no tenant.", code="no_tenant")
        words = _words(_claim(claims, self._trust.role_claim))
        roles = [role for role in Role if role.value in words]
        if not roles:
            raise NotAllowed("The token names none of the roles viewer, adjuster and admin.", code="no_role")
        name = claims.get("name")
        return Identity(
            tenant=tenant,
            role=roles[-1],
            actor=f"oidc:{subject}",
            name=name[:200] if isinstance(name, str) else "",
            operator=tenant == self._trust.tenant,
            expires_at=datetime.fromtimestamp(int(claims["exp"]), UTC),
        )

    async def _current_keys(self) -> jwk.KeySet:
        if self._keys is None or self._clock() - self._fetched_at > _FRESH_S:
            async with self._fetching:
                if self._keys is None or self._clock() - self._fetched_at > _FRESH_S:
                    await self._renew()
        if self._keys is None:
            raise IssuerUnavailable("The keys of the token's issuer could not be fetched.")
        return self._keys

    async def _newer_keys(self, known: jwk.KeySet) -> jwk.KeySet:
        """At most one fetch for each pause, however many tokens name keys that are not there."""
        async with self._fetching:
            if self._keys is known and self._clock() - self._tried_at > _PAUSE_S:
                await self._renew()
        return self._keys or known

    async def _renew(self) -> None:
        """Keeps what it has for a while when the issuer does not answer."""
        if self._keys is not None and self._clock() - self._tried_at <= _PAUSE_S:
            return
        self._tried_at = self._clock()
        try:
            self._keys = await self._fetch()
            self._fetched_at = self._clock()
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            JoseError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
        ) as error:
            _log.warning("issuer_keys_not_fetched", error=type(error).__name__)
            if self._clock() - self._fetched_at > _USABLE_S:
                self._keys = None

    async def _fetch(self) -> jwk.KeySet:
        # A proxy of the environment leads outwards; it does not know this machine.
        outwards = not is_loopback(urlsplit(self._trust.issuer).hostname)
        async with httpx2.AsyncClient(timeout=_FETCH_S, trust_env=outwards) as client:
            async with asyncio.timeout(2 * _FETCH_S):
                url = self._trust.jwks_url or await self._discovered(client)
                listed = cast("list[dict[str, Any]]", (await _json_of(client, url))["keys"])
        public = [key for key in listed if key.get("kty") != "oct"]
        return jwk.KeySet.import_key_set({"keys": public})

    async def _discovered(self, client: httpx2.AsyncClient) -> str:
        about = await _json_of(client, f"{self._trust.issuer.rstrip('/')}/.well-known/openid-configuration")
        if about["issuer"] != self._trust.issuer:
            raise ValueError("the document is of another issuer")
        return require_safe(str(about["jwks_uri"]))


def require_safe(url: str) -> str:
    """The address itself. Raises ValueError unless it is https, or http on this machine: who can change the keys on
    their way can write tokens."""
    parts = urlsplit(url)
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
        return url
    raise ValueError("it begins with https:// (http:// on this machine only)")


async def _json_of(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    """Raises ValueError for an answer that is too long or no object."""
    content = bytearray()
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > _ANSWER_BYTES:
                raise ValueError("the answer is too long")
    found: object = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("the answer is no object")
    return cast("dict[str, Any]", found)


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """By its name as it is (which may be an address with dots), else along the dots. None where it is not there."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = cast("Mapping[str, object]", found).get(part) if isinstance(found, Mapping) else None
    return found


def _words(named: object) -> list[object]:
    if isinstance(named, str):
        return list(named.split())
    return cast("list[object]", named) if isinstance(named, list) else []


def _refusal(error: Exception) -> NotAuthenticated:
    if isinstance(error, ExpiredTokenError):
        return NotAuthenticated("The token has expired.", code="token_expired")
    return _invalid()


def _invalid() -> NotAuthenticated:
    return NotAuthenticated("The token is not one that this server takes.", code="token_invalid")
