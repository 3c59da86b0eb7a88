"""The Voyage encoder: batches within the service's limits, and one bad page that harms no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from PIL import Image

from models.cosine import cosine_scores
from models.encoder import (
    Embedding,
    EncoderError,
    EncodingFailure,
    FloatArray,
    PackedPages,
    QueryInput,
    SimilarityMap,
)
from models.voyage.pictures import SentPicture, prepare_picture
from models.voyage.service import MODEL, Content, InputRefused, Pause, VoyageService

ALLOWED_DIMS = (256, 512, 1024, 2048)
BATCH_PAGES = 16
BATCH_TOKENS = 300_000
# The client copies and quotes a whole body on the event loop: 4 MB take it some 20 ms.
BATCH_BYTES = 4_000_000
CONCURRENT_REQUESTS = 4
_QUERY_ATTEMPTS, _QUERY_WAIT_S = 3, 5.0
_QUERY_LIMIT_S = 20.0  # all attempts together: somebody waits for the answer
_PAGE_ATTEMPTS, _PAGE_WAIT_S = 5, 30.0

_T = TypeVar("_T")


class VoyageEncoder:
    """voyage-multimodal-3.5: implements models.encoder.Encoder with one vector a page and no tokens.

    api_key: of Voyage, or an Atlas model key (al-...). base_url: with /v1; empty for the one that fits the key.
    dims: 256, 512, 1024 or 2048. timeout_s: of one request. pause: how to wait between attempts.

    Raises EncoderError encoder_misconfigured when the key is missing or dims is another number.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = "",
        dims: int = 1024,
        timeout_s: float = 60.0,
        pause: Pause = asyncio.sleep,
    ) -> None:
        if not api_key.strip():
            raise EncoderError(
                "encoder_misconfigured", "The voyage encoder needs an API key, and none is set.", retryable=False
            )
        if dims not in ALLOWED_DIMS:
            raise EncoderError(
                "encoder_misconfigured",
                f"{MODEL} gives 256, 512, 1024 or 2048 numbers a vector, not {dims}.",
                retryable=False,
            )
        self._dims = dims
        self._service = VoyageService(
            api_key=api_key.strip(), base_url=base_url, dims=dims, timeout_s=timeout_s, pause=pause
        )
        self._requests = asyncio.Semaphore(CONCURRENT_REQUESTS)

    @property
    def name(self) -> str:
        return "voyage"

    @property
    def version(self) -> str:
        return f"{MODEL}-{self._dims}"

    @property
    def dims(self) -> int:
        return self._dims

    @property
    def batch_size(self) -> int:
        return BATCH_PAGES

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        """A page that the service refuses twice becomes an EncodingFailure (image_refused, image_too_large)."""
        batches = [images[start : start + BATCH_PAGES] for start in range(0, len(images), BATCH_PAGES)]
        tasks = [asyncio.create_task(self._encode_batch(batch)) for batch in batches]
        try:
            results = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return [result for batch in results for result in batch]

    async def encode_queries(self, queries: Sequence[QueryInput]) -> list[Embedding]:
        if not queries:
            return []
        async with self._requests:
            try:
                return await self._embed_queries(queries, cautious=False)
            except InputRefused as refused:
                if all(isinstance(query, str) for query in queries):
                    raise _query_refused(refused) from None
            try:
                return await self._embed_queries(queries, cautious=True)
            except InputRefused as refused:
                raise _query_refused(refused) from None

    async def score(self, query: Embedding, pages: PackedPages) -> FloatArray:
        return await asyncio.to_thread(cosine_scores, query, pages)

    async def explain(self, query: Embedding, page: Embedding) -> SimilarityMap:
        raise EncoderError.no_tokens(self.name)

    async def aclose(self) -> None:
        await self._service.aclose()

    async def _embed_queries(self, queries: Sequence[QueryInput], *, cautious: bool) -> list[Embedding]:
        contents: list[Content] = []
        usages: list[dict[str, int]] = []
        for query in queries:
            if isinstance(query, str):
                contents.append([{"type": "text", "text": query}])
                usages.append({})
            else:
                sent = await asyncio.to_thread(prepare_picture, query, cautious=cautious)
                contents.append(_content(sent))
                usages.append(_usage(sent))
        try:
            async with asyncio.timeout(_QUERY_LIMIT_S):
                vectors = await self._service.embed(
                    contents,
                    input_type="query",
                    truncation=True,
                    attempts=_QUERY_ATTEMPTS,
                    longest_wait_s=_QUERY_WAIT_S,
                )
        except TimeoutError:
            detail = f"The Voyage service did not answer within {_QUERY_LIMIT_S:g} s."
            raise EncoderError("encoder_unavailable", detail, retryable=True) from None
        return [self._embedding(vector, usage) for vector, usage in zip(vectors, usages, strict=True)]

    async def _encode_batch(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        """Holds one request's place while it works, so that few batches of pictures are in memory at once."""
        async with self._requests:
            sent = await asyncio.to_thread(lambda: [prepare_picture(image) for image in images])
            results: list[Embedding | EncodingFailure] = []
            for first, end in _requests_of(sent):
                results += await self._encode_request(images[first:end], sent[first:end])
            return results

    async def _encode_request(
        self, images: Sequence[Image.Image], sent: Sequence[SentPicture]
    ) -> list[Embedding | EncodingFailure]:
        """One request; when it is refused, the refused picture is found and the others are sent without it."""
        try:
            return await self._embed_pictures(sent)
        except InputRefused as refused:
            if len(images) == 1:
                return [await self._second_try(images[0], refused)]
            bad = refused.index
            if bad is not None and bad < len(images):
                others = await self._encode_request(_all_but(images, bad), _all_but(sent, bad))
                return [*others[:bad], await self._second_try(images[bad], refused), *others[bad:]]
            middle = len(images) // 2
            left = await self._encode_request(images[:middle], sent[:middle])
            return left + await self._encode_request(images[middle:], sent[middle:])

    async def _second_try(self, image: Image.Image, refused: InputRefused) -> Embedding | EncodingFailure:
        """Padded and resized once more; a picture refused again stays refused."""
        if refused.reason == "refused":
            cautious = await asyncio.to_thread(prepare_picture, image, cautious=True)
            try:
                [result] = await self._embed_pictures([cautious])
            except InputRefused as again:
                refused = again
            else:
                return result
        code = "image_refused" if refused.reason == "refused" else "image_too_large"
        return EncodingFailure(code, f"Voyage refused the picture: {refused.detail}")

    async def _embed_pictures(self, sent: Sequence[SentPicture]) -> list[Embedding | EncodingFailure]:
        vectors = await self._service.embed(
            [_content(picture) for picture in sent],
            input_type="document",
            # Cut in the middle, an image is dropped without a word; a page that is too long must fail instead.
            truncation=False,
            attempts=_PAGE_ATTEMPTS,
            longest_wait_s=_PAGE_WAIT_S,
        )
        return [self._embedding(vector, _usage(picture)) for vector, picture in zip(vectors, sent, strict=True)]

    def _embedding(self, vector: FloatArray, usage: dict[str, int]) -> Embedding:
        return Embedding(summary=vector, encoder=f"{self.name}/{self.version}", usage=usage)


def _content(sent: SentPicture) -> Content:
    return [{"type": "image_base64", "image_base64": sent.data_url}]


def _usage(sent: SentPicture) -> dict[str, int]:
    return {"image_pixels": sent.pixels, "tokens": sent.tokens}


def _query_refused(refused: InputRefused) -> EncoderError:
    return EncoderError("query_refused", f"Voyage refused the query: {refused.detail}", retryable=False)


def _all_but(items: Sequence[_T], place: int) -> list[_T]:
    return [*items[:place], *items[place + 1 :]]


def _requests_of(sent: Sequence[SentPicture]) -> list[tuple[int, int]]:
    """Half-open ranges that stay within the tokens and bytes of one request."""
    ranges: list[tuple[int, int]] = []
    first = tokens = size_bytes = 0
    for place, picture in enumerate(sent):
        full = tokens + picture.tokens > BATCH_TOKENS or size_bytes + picture.size_bytes > BATCH_BYTES
        if place > first and full:
            ranges.append((first, place))
            first, tokens, size_bytes = place, 0, 0
        tokens += picture.tokens
        size_bytes += picture.size_bytes
    return [*ranges, (first, len(sent))] if sent else ranges
