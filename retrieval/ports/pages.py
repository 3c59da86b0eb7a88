"""Pages: pictures, vectors, and the search among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from retrieval.documents import Lease, NewPage, Page, PageVectors, ScoredPage
from retrieval.filters import Filter
from retrieval.ports.shared import Listing


class PageIndex(Protocol):
    async def put(self, lease: Lease, pages: Sequence[NewPage]) -> None:
        """Stores pictures, then pages with vectors and the claim's facts in one transaction that checks the lease's
        token; a page that exists is replaced. The entry's pages_done follows. Raises LeaseLost, NotFound when the
        claim or asset is gone, EncoderMismatch when vectors do not fit the index (dims), InvalidInput for vectors
        that are not finite or not of length 1. The attempt at hand counts as the first again: what a worker stored is
        progress, however often workers die."""
        ...

    async def adopt(self, tenant: str, pages: Sequence[NewPage]) -> None:
        """As `put`, without a lease; all of one file. A page that exists keeps its created_at. Raises NotFound when
        claim or asset is not there, EncoderMismatch and InvalidInput as `put` does."""
        ...

    async def done(self, tenant: str, claim_id: str, asset_id: str, *, encoder: str) -> frozenset[int]:
        """Numbers of the pages of that file already stored with that encoder."""
        ...

    async def get(self, tenant: str, page_id: str) -> Page:
        """Raises NotFound page_not_found."""
        ...

    async def get_many(self, tenant: str, page_ids: Sequence[str]) -> dict[str, Page]:
        """Those that exist, by id."""
        ...

    async def list(
        self, tenant: str, *, claim_id: str, asset_id: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Listing[Page]:
        """Pages of a claim by asset (oldest first), then number."""
        ...

    async def picture(self, tenant: str, page_id: str) -> bytes:
        """The stored WebP. Raises NotFound."""
        ...

    async def nearest(
        self, tenant: str, vector: PageVectors, filter: Filter, *, limit: int, exact: bool = False
    ) -> list[ScoredPage]:
        """The pages of that encoder nearest by summary that pass the filter (applied before the cut), best first,
        score = cosine in -1..1, ties by page_id. Raises IndexNotReady."""
        ...

    async def matching(self, tenant: str, filter: Filter, *, encoder: str, limit: int) -> list[tuple[str, int]]:
        """(page_id, vector revision) of at most `limit` pages that pass, by page_id; a revision changes whenever the
        page's vectors do."""
        ...

    async def containing(
        self, tenant: str, strings: Sequence[str], filter: Filter, *, encoder: str, limit: int
    ) -> frozenset[str]:
        """Ids of pages of that encoder that pass the filter and whose own text holds all of the strings, as
        retrieval.exact.holds says; strings: normalised, each with a letter or digit. At most `limit` (which ones is not
        said); the filter is applied before that cut. No more than MOST_READ texts are read: of strings all of whose
        words more pages have that pass the filter, pages may be missing."""
        ...

    async def texts(self, tenant: str, page_ids: Sequence[str]) -> dict[str, str]:
        """The own text of those that have one, by id."""
        ...

    @property
    def keeps_text(self) -> bool:
        """False where files are encrypted: then no page's text is kept, for it could not be looked up encrypted."""
        ...

    async def vectors(self, tenant: str, page_ids: Sequence[str]) -> dict[str, PageVectors]:
        """Stored vectors of those that exist, by id."""
        ...

    async def passing(self, tenant: str, page_ids: Sequence[str], filter: Filter, *, encoder: str) -> frozenset[str]:
        """Those ids that exist now, pass the filter now, and belong to that encoder; asked of the primary store,
        never of a lagging index."""
        ...

    async def stale(self, *, encoder: str, limit: int) -> list[tuple[str, Page]]:
        """(tenant, page) of pages that another encoder or version made, of all tenants, by page_id (for reindexing)."""
        ...

    async def replace_vectors(
        self, tenant: str, page_id: str, vectors: PageVectors, *, usage: Mapping[str, int]
    ) -> None:
        """Gives a stored page the vectors of another encoder. Raises NotFound and what `put` raises."""
        ...

    async def counts(self, tenant: str | None = None) -> dict[str, int]:
        """Pages by encoder, of one tenant or of all."""
        ...

    async def searchable(self, tenant: str, page_ids: Sequence[str]) -> bool:
        """Whether a search would find all of them now (a lagging vector index may not yet)."""
        ...
