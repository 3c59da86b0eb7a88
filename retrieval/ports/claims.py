"""Claims: facts, versions, legal hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from retrieval.documents import Claim, DeletionReport, Facet, Sort
from retrieval.filters import Filter
from retrieval.ports.shared import Listing, Note


class ClaimStore(Protocol):
    async def put(
        self, tenant: str, claim: Claim, *, create_only: bool = False, note: Note[tuple[Claim, bool]] | None = None
    ) -> tuple[Claim, bool]:
        """Create or replace (times, version and hold are the store's); returns what is stored and whether it is new.
        The copies of its facts on its pages change in the same transaction. Raises Conflict claim_exists when
        create_only and it exists."""
        ...

    async def get(self, tenant: str, claim_id: str) -> Claim:
        """Raises NotFound claim_not_found."""
        ...

    async def get_many(self, tenant: str, claim_ids: Sequence[str]) -> dict[str, Claim]:
        """Those that exist, by id."""
        ...

    async def update(
        self,
        tenant: str,
        claim_id: str,
        change: Callable[[Claim], Claim],
        *,
        expected_version: int | None = None,
        note: Note[Claim] | None = None,
    ) -> Claim:
        """Read, change, write as one step (`change` may be called again after a write conflict). Raises NotFound,
        Conflict version_conflict when the stored version is not the expected one."""
        ...

    async def delete(
        self,
        tenant: str,
        claim_id: str,
        *,
        expected_version: int | None = None,
        note: Note[DeletionReport] | None = None,
    ) -> DeletionReport:
        """Removes the claim, its assets' records, pages, pictures, vectors, jobs, and bytes no other claim holds.
        Raises NotFound, Conflict claim_held, Conflict version_conflict as `update` does."""
        ...

    async def set_hold(self, tenant: str, claim_id: str, held: bool, *, note: Note[Claim] | None = None) -> Claim:
        """Puts the claim under legal hold or releases it: its version goes up, its updated_at stays. Nothing happens
        and nothing is noted when it is so already. Raises NotFound."""
        ...

    async def adopt(self, tenant: str, claim: Claim) -> None:
        """Create or replace, with its own times, version and hold; its pages follow."""
        ...

    async def list(
        self, tenant: str, filter: Filter, *, sort: Sort, cursor: str | None = None, limit: int = 50
    ) -> Listing[Claim]:
        """Claims whose own facts pass the filter (claim fields only). Raises InvalidInput bad_cursor."""
        ...

    async def facets(self, tenant: str, filter: Filter, fields: Sequence[str]) -> tuple[Facet, ...]:
        """For each named field, values and counts among claims that pass, in the order asked."""
        ...

    async def count(self, tenant: str) -> int: ...
