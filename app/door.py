"""Lets requests in: from the headers of a request to who asks."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers

from app.identity import LOCAL, Identity, NotAuthenticated
from app.loopback import is_loopback
from app.oidc import Tokens
from retrieval.errors import ClaimsightError, InvalidInput, NotFound
from retrieval.keys import ApiKey, Role, ShownKey, read_key
from retrieval.ports import KeyStore

_SEND_A_KEY = "Send a key as `Authorization: Bearer KEY`."
_NOTED_EVERY = timedelta(minutes=1)

_log = structlog.get_logger("claimsight.door")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Door:
    """tenant: of the server itself. api_key: the key of the settings, which is an admin of that tenant. tokens: None
    where no issuer is configured. now: aware UTC.

    Each key is looked up in the store with each request, so that one that was revoked is known as such at once.
    """

    def __init__(
        self,
        keys: KeyStore,
        *,
        tenant: str,
        api_key: str | None = None,
        tokens: Tokens | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._keys = keys
        self._tenant = tenant
        self._api_key = api_key
        self._tokens = tokens
        self._now = now
        self._asks = api_key is not None or tokens is not None
        self._noted_at: dict[str, datetime] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def asks(self) -> bool:
        """Whether requests must show a key or token: not before there is a first key, an issuer, or a key in the
        settings. Raises StoreUnavailable."""
        if not self._asks:
            self._asks = await self._keys.exist()
        return self._asks

    async def identify(self, headers: Headers) -> Identity:
        """Raises NotAuthenticated, what Tokens.identify raises, StoreUnavailable; InvalidInput host_not_allowed and
        cross_origin where no keys are asked for."""
        if not await self.asks():
            # Only this machine may ask, and no web page that it shows: neither under another name that
            # resolves to it (DNS rebinding) nor by a form on a foreign page.
            _check_local(headers)
            return Identity(self._tenant, Role.admin, LOCAL, name="this machine", operator=True)
        given = _bearer(headers)
        if self._api_key is not None and hmac.compare_digest(given.encode(), self._api_key.encode()):
            return Identity(self._tenant, Role.admin, "key:settings", name="CLAIMSIGHT_API_KEY", operator=True)
        if (shown := read_key(given)) is not None:
            return self._holder_of(await self._opened(shown))
        if self._tokens is not None and given.count(".") == 2:
            return await self._tokens.identify(given)
        raise NotAuthenticated(_SEND_A_KEY)

    async def close(self) -> None:
        """Ends what is still being noted."""
        for task in self._noting:
            task.cancel()
        if self._noting:
            await asyncio.wait(self._noting)

    async def _opened(self, shown: ShownKey) -> ApiKey:
        try:
            key = await self._keys.get(shown.key_id)
        except NotFound:
            raise NotAuthenticated(_SEND_A_KEY) from None
        if not shown.opens(key):
            raise NotAuthenticated(_SEND_A_KEY)
        if (state := key.state(self._now())) != "active":
            raise NotAuthenticated(f"The key is {state}.", code=f"key_{state}")
        return key

    def _holder_of(self, key: ApiKey) -> Identity:
        self._note_use(key)
        return Identity(
            key.tenant,
            key.role,
            f"key:{key.key_id}",
            name=key.name,
            operator=key.tenant == self._tenant,
            expires_at=key.expires_at,
        )

    def _note_use(self, key: ApiKey) -> None:
        """Beside the request, which must not wait for a write, and seldom."""
        now = self._now()
        last = max(filter(None, (key.last_used_at, self._noted_at.get(key.key_id))), default=None)
        if last is not None and now - last < _NOTED_EVERY:
            return
        self._noted_at[key.key_id] = now
        task = asyncio.create_task(self._note(key.key_id), name="note-key-use")
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _note(self, key_id: str) -> None:
        try:
            await self._keys.used(key_id)
        except ClaimsightError as error:
            _log.warning("key_use_not_noted", code=error.code)


def _bearer(headers: Headers) -> str:
    """The key or token. Raises NotAuthenticated."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise NotAuthenticated(_SEND_A_KEY, given=False)
    return given.strip()


def _check_local(headers: Headers) -> None:
    host = headers.get("host", "")
    if not is_loopback(_hostname(f"//{host}")):
        raise InvalidInput("Without keys this server answers to localhost only.", code="host_not_allowed")
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        raise InvalidInput("Requests from pages of another origin are not taken.", code="cross_origin")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
