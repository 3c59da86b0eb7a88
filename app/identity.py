"""Who asks: the object that every admitted request carries, and the errors of those that are not admitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.types import Scope

from retrieval.errors import ClaimsightError
from retrieval.keys import Role

LOCAL = "local"  # the actor where no keys are asked for

_SCOPE_KEY = "claimsight.who"


@dataclass(frozen=True, slots=True)
class Identity:
    """tenant: whose data the request reads and changes. actor: for audit and logs, without a secret: "local" (this
    machine, where no keys are asked for), "key:ID", "key:settings" (CLAIMSIGHT_API_KEY) or "oidc:SUBJECT". name: of
    the key or person, for people. operator: of the server's own tenant, so that figures over all tenants may be shown.
    expires_at: aware UTC; None where it does not end.
    """

    tenant: str
    role: Role
    actor: str
    name: str = ""
    operator: bool = False
    expires_at: datetime | None = None


def set_who(scope: Scope, who: Identity) -> None:
    scope[_SCOPE_KEY] = who


def who_of(scope: Scope) -> Identity | None:
    """None before the request was admitted, and on routes that are open to all."""
    who: Identity | None = scope.get(_SCOPE_KEY)
    return who


class NotAuthenticated(ClaimsightError):
    """The request shows no key or token, or one that is not good. given: whether it showed any."""

    code = "unauthorised"

    def __init__(self, detail: str, *, code: str | None = None, given: bool = True) -> None:
        super().__init__(detail, code=code)
        self.challenge = 'Bearer error="invalid_token"' if given else "Bearer"


class NotAllowed(ClaimsightError):
    """Known, but without the role that this takes."""

    code = "role_required"
    challenge = 'Bearer error="insufficient_scope"'


class TooManyRequests(ClaimsightError):
    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class IssuerUnavailable(ClaimsightError):
    """Tokens cannot be checked now."""

    code = "issuer_unavailable"
