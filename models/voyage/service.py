"""Requests to the Voyage service: one connection pool, bounded retries, checked replies, plain errors."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from models.encoder import EncoderError, FloatArray

MODEL = "voyage-multimodal-3.5"
Content = list[dict[str, str]]
Pause = Callable[[float], Awaitable[None]]

_ACCOUNT_STATE = re.compile(r"payment method|billing page|reduced rate limit", re.IGNORECASE)
_BATCH_TOO_LARGE = re.compile(r"TOO_MANY_TOKENS_IN_BATCH|max allowed tokens per submitted batch", re.IGNORECASE)
_INPUT_TOO_LONG = re.compile(r"example at index (\d+)\b.*too many tokens", re.IGNORECASE | re.DOTALL)
_INPUT_AT = re.compile(r"\b(?:input|example at index) (\d+)\b", re.IGNORECASE)
_MODEL_REFUSED = re.compile(
    r"model \S+ (?:is|was) (?:not|no longer|retired|deprecated)|output_dimension|unknown model|"
    r"is not a supported model",
    re.IGNORECASE,
)
_MAX_DETAIL = 200


class InputRefused(Exception):
    """The service refused a request because of what is in it; the same request will not work later.

    index: the input it named, if it did. reason: "batch_too_large", "input_too_long" or "refused".
    """

    def __init__(self, reason: str, detail: str, *, index: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.index = index


class VoyageService:
    """POSTs inputs through the voyageai client and gives back vectors.

    attempts: of one request in all. longest_wait_s: a wait that the service asks for and that is longer is left to
    the caller, as a retryable EncoderError with retry_after_s.
    """

    def __init__(self, *, api_key: str, base_url: str, dims: int, timeout_s: float, pause: Pause) -> None:
        # voyageai takes half a second to import and pulls in much; only who uses the service pays for it.
        import voyageai
        import voyageai.error
        from voyageai.api_resources import MultimodalEmbedding
        from voyageai.util import get_default_base_url

        # At debug level the client logs request bodies, which are pages, and what the service says, word for word.
        logging.getLogger("voyage").setLevel(logging.WARNING)
        self._session_of_call = voyageai.aiosession
        self._resource = MultimodalEmbedding
        self._kinds = voyageai.error
        self._api_key = api_key
        self._base_url = (base_url or get_default_base_url(api_key)).rstrip("/")
        self._dims = dims
        self._timeout_s = timeout_s
        self._pause = pause
        self._session: Any = None
        self._session_loop: asyncio.AbstractEventLoop | None = None

    async def embed(
        self,
        contents: Sequence[Content],
        *,
        input_type: str,
        truncation: bool,
        attempts: int,
        longest_wait_s: float,
    ) -> FloatArray:
        """Contents to unit vectors, float32 (n, dims), in order. Raises InputRefused, EncoderError."""
        for attempt in range(1, attempts + 1):
            try:
                return await self._embed_once(contents, input_type=input_type, truncation=truncation)
            except EncoderError as error:
                wait_s = error.retry_after_s
                if wait_s is None:
                    wait_s = random.uniform(0.5, 1.0) * min(16.0, 2.0 ** (attempt - 1))
                if not error.retryable or attempt == attempts or wait_s > longest_wait_s:
                    raise
            await self._pause(wait_s)
        raise ValueError("attempts must be at least 1")

    async def aclose(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _embed_once(self, contents: Sequence[Content], *, input_type: str, truncation: bool) -> FloatArray:
        session = await self._open_session()
        token = self._session_of_call.set(session)
        try:
            # The resource below AsyncClient.multimodal_embed: the client drops the index of each vector in the
            # reply, and takes them in the order received.
            reply = await self._resource.acreate(
                api_key=self._api_key,
                base_url=self._base_url,
                request_timeout=self._timeout_s,
                inputs=[{"content": content} for content in contents],
                model=MODEL,
                input_type=input_type,
                truncation=truncation,
                output_dtype=None,
                output_dimension=self._dims,
            )
        except Exception as error:  # noqa: BLE001  whatever the client raises (some are bare AttributeErrors) is translated
            raise self._translate(error) from None
        finally:
            self._session_of_call.reset(token)
        return _vectors_of(reply, count=len(contents), dims=self._dims)

    async def _open_session(self) -> Any:
        """One session for all requests of a loop, so that a search does not pay for a new TLS handshake."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._session_loop is not loop:
            import aiohttp

            self._session, self._session_loop = aiohttp.ClientSession(), loop
        return self._session

    def _translate(self, error: Exception) -> EncoderError | InputRefused:
        kinds = self._kinds
        status = getattr(error, "http_status", None)
        detail = self._detail(error)
        if isinstance(error, kinds.RateLimitError):
            return _rate_limited(detail, _retry_after_s(error))
        if isinstance(error, kinds.Timeout):
            return _unavailable(f"The Voyage service did not answer within {self._timeout_s:g} s.")
        if isinstance(error, kinds.APIConnectionError):
            return _unavailable("The Voyage service cannot be reached.")
        if status in (401, 403):
            return EncoderError(
                "encoder_unauthorised", "The Voyage service refused the API key: check it.", retryable=False
            )
        if status == 413:
            return InputRefused("batch_too_large", "The request is too large for the Voyage service.")
        if status == 400 and not _MODEL_REFUSED.search(detail):
            return _input_refused(detail)
        if status is not None and 400 <= status < 500:
            return EncoderError(
                "encoder_misconfigured", f"The Voyage service refused the request ({status}): {detail}", retryable=False
            )
        return _unavailable(f"The Voyage service failed ({status or type(error).__name__}).")

    def _detail(self, error: Exception) -> str:
        """The service's own sentence, without the key, request bodies or headers."""
        body = getattr(error, "json_body", None)
        text = str(body.get("detail", "")) if isinstance(body, dict) else ""
        code = str(body.get("error_code", "")) if isinstance(body, dict) else ""
        sentence = f"{text} {code}".strip().replace(self._api_key, "***")
        return sentence if len(sentence) <= _MAX_DETAIL else f"{sentence[:_MAX_DETAIL]}..."


def _rate_limited(detail: str, retry_after_s: float | None) -> EncoderError:
    if _ACCOUNT_STATE.search(detail):
        return EncoderError(
            "encoder_rate_limited",
            f"The Voyage account is held to a few requests a minute until it is settled: {detail}",
            retryable=False,
        )
    return EncoderError(
        "encoder_rate_limited",
        "The Voyage service asks to slow down.",
        retryable=True,
        retry_after_s=retry_after_s,
    )


def _unavailable(detail: str) -> EncoderError:
    return EncoderError("encoder_unavailable", detail, retryable=True)


def _input_refused(detail: str) -> InputRefused:
    if _BATCH_TOO_LARGE.search(detail):
        return InputRefused("batch_too_large", detail)
    if too_long := _INPUT_TOO_LONG.search(detail):
        return InputRefused("input_too_long", detail, index=int(too_long.group(1)))
    named = _INPUT_AT.search(detail)
    return InputRefused("refused", detail, index=int(named.group(1)) if named else None)


def _retry_after_s(error: Exception) -> float | None:
    headers = getattr(error, "headers", None) or {}
    value = next((headers[name] for name in headers if name.lower() == "retry-after"), None)
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        # The HTTP date form: the service does not use it, and our own back-off does as well.
        return None


def _vectors_of(reply: Any, *, count: int, dims: int) -> FloatArray:
    """Sorted by the index each vector carries, and of length 1 in float32. Raises EncoderError."""
    try:
        items = sorted(reply["data"], key=lambda item: item["index"])
        if [item["index"] for item in items] != list(range(count)):
            raise ValueError("indexes")
        vectors = np.array([item["embedding"] for item in items], np.float32)
    except (KeyError, TypeError, ValueError):
        raise _malformed(f"not one vector for each of the {count} inputs") from None
    if vectors.shape != (count, dims):
        raise _malformed(f"vectors of shape {vectors.shape} instead of {(count, dims)}")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(vectors).all() or (lengths < 1e-6).any():
        raise _malformed("vectors that are not finite or have no length")
    return (vectors / lengths).astype(np.float32)


def _malformed(what: str) -> EncoderError:
    return _unavailable(f"The reply of the Voyage service is malformed: {what}.")
