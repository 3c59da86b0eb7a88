"""Moves everything of one store into another, of either engine, and compares the two at the end.

Work goes claim by claim; what is there already and equal is passed over, so a copy that was stopped at any point goes
on where it was when it is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from retrieval.audit import check_audit
from retrieval.comparing import Difference, all_pages, claims_of, compare, digest_of, jobs_of
from retrieval.documents import FINISHED_JOB, Asset, Claim, Job, JobState, NewPage, Page, waiting_again
from retrieval.errors import Conflict, NotFound
from retrieval.ports import Store

_PAGES_A_STEP = 16

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many of it, and of how many."""


@dataclass(frozen=True, slots=True)
class Copied:
    """How much the target holds, as counted by the comparison. audit_records: of all tenants."""

    tenants: int
    claims: int
    assets: int
    pages: int
    jobs: int
    audit_records: int
    differences: tuple[Difference, ...]


async def copy_store(source: Store, target: Store, *, progress: Progress, index_wait_s: float = 600.0) -> Copied:
    """Copies all tenants: claims with holds, files, pages with pictures and vectors, jobs, audit; and all keys.

    Nothing should write to either of them meanwhile; what changed in the source is told as a difference, and another
    call brings it over. index_wait_s: how long to wait for the target's vector index. Raises Conflict target_not_empty
    when the target has claims that the source has not, audit_conflict when it has an audit of its own, and what the
    stores raise.
    """
    return await _Copy(source, target, progress).run(index_wait_s)


@dataclass(slots=True)
class _Copy:
    source: Store
    target: Store
    progress: Progress
    dims: dict[int, int] = field(default_factory=dict[int, int])

    async def run(self, index_wait_s: float) -> Copied:
        tenants = await self.source.tenants()
        await self._require_room()
        total = sum([await self.source.claims.count(tenant) for tenant in tenants])
        await self._make_index()
        done = 0
        for tenant in tenants:
            async for claim in claims_of(self.source, tenant):
                await self._claim(tenant, claim.claim_id)
                done += 1
                self.progress("claims", done, max(total, done))
        for tenant in tenants:
            await self._waiting_jobs(tenant)
            await self._audit(tenant)
        there = set(await self.target.keys.list())
        for key in await self.source.keys.list():
            if key not in there:
                await self.target.keys.adopt(key)
        if self.dims:
            # The length that most pages have comes last, for the target's searches go by the last one.
            for dims in sorted(self.dims, key=self.dims.__getitem__):
                await self.target.ensure_index(dims=dims, wait_s=index_wait_s)
        return await self._compared(tenants, total)

    async def _require_room(self) -> None:
        for tenant in await self.target.tenants():
            async for claim in claims_of(self.target, tenant):
                if not await self.source.claims.get_many(tenant, [claim.claim_id]):
                    raise Conflict(
                        "The target holds claims that the source has not: name an empty one.", code="target_not_empty"
                    )

    async def _make_index(self) -> None:
        """Before the first record, so that no collection is made by the way."""
        for tenant in await self.source.tenants():
            async for claim in claims_of(self.source, tenant):
                async for page in all_pages(self.source, tenant, claim.claim_id):
                    found = await self.source.pages.vectors(tenant, [page.page_id])
                    if page.page_id in found:
                        await self._know_dims(found[page.page_id].summary.size)
                        return

    async def _know_dims(self, dims: int) -> None:
        if dims not in self.dims:
            self.dims[dims] = 0
            await self.target.ensure_index(dims=dims)
        self.dims[dims] += 1

    async def _claim(self, tenant: str, claim_id: str) -> None:
        try:
            claim = await self.source.claims.get(tenant, claim_id)
        except NotFound:  # deleted since the list was read: the comparison will tell
            return
        if (await self.target.claims.get_many(tenant, [claim_id])).get(claim_id) != claim:
            await self.target.claims.adopt(tenant, claim)
        await self._assets(tenant, claim)
        for job in await jobs_of(self.source, tenant, claim_id):
            if job.state in FINISHED_JOB:
                await self._job(tenant, job)

    async def _assets(self, tenant: str, claim: Claim) -> None:
        assets = await self.source.assets.list(tenant, claim.claim_id)
        for former in await self.target.assets.list(tenant, claim.claim_id):
            if not await self._goes_on(tenant, former, assets):
                await self._drop(tenant, claim, former.asset_id)
        there = {asset.asset_id: asset for asset in await self.target.assets.list(tenant, claim.claim_id)}
        for asset in assets:
            if there.get(asset.asset_id) != asset:
                async with self.source.assets.local_copy(tenant, asset.asset_id) as path:
                    await self.target.assets.adopt(tenant, asset, path)
            pages = [page async for page in all_pages(self.source, tenant, claim.claim_id, asset.asset_id)]
            for start in range(0, len(pages), _PAGES_A_STEP):
                await self._some_pages(tenant, pages[start : start + _PAGES_A_STEP])

    async def _goes_on(self, tenant: str, former: Asset, assets: Sequence[Asset]) -> bool:
        """Whether what the target has of a file can be kept: not when it is gone from the source, and not when pages
        of it are, or were made anew there."""
        if former.asset_id not in {asset.asset_id for asset in assets}:
            return False
        of_file = (tenant, former.claim_id, former.asset_id)
        here = {page.page_id: page.created_at async for page in all_pages(self.source, *of_file)}
        there = {page.page_id: page.created_at async for page in all_pages(self.target, *of_file)}
        return there.items() <= here.items()

    async def _drop(self, tenant: str, claim: Claim, asset_id: str) -> None:
        """A hold is in force in the source, where the file went; here it must not keep the copy from following."""
        await self.target.claims.adopt(tenant, replace(claim, held=False))
        await self.target.assets.delete(tenant, asset_id, claim_id=claim.claim_id)
        await self.target.claims.adopt(tenant, claim)

    async def _some_pages(self, tenant: str, pages: Sequence[Page]) -> None:
        ids = [page.page_id for page in pages]
        vectors = await self.source.pages.vectors(tenant, ids)
        for page_id in vectors:
            await self._know_dims(vectors[page_id].summary.size)
        there = await self.target.pages.get_many(tenant, ids)
        known = await self.target.pages.vectors(tenant, list(there))
        texts = await self.source.pages.texts(tenant, ids)
        kept = await self.target.pages.texts(tenant, ids) if self.target.pages.keeps_text else texts
        new: list[NewPage] = []
        for page in pages:
            mine = vectors[page.page_id]
            same = there.get(page.page_id) == page and page.page_id in known
            text = texts.get(page.page_id, "")
            same = same and kept.get(page.page_id, "") == text
            if not same or digest_of(known[page.page_id]) != digest_of(mine):
                new.append(NewPage(page, mine, await self.source.pages.picture(tenant, page.page_id), text))
        await self.target.pages.adopt(tenant, new)

    async def _waiting_jobs(self, tenant: str) -> None:
        """After all claims and in the order they came, for that is the order in which workers take them."""
        found: list[Job] = []
        for state in (JobState.queued, JobState.running):
            cursor = None
            while True:
                part = await self.source.jobs.list(tenant, state=state, cursor=cursor)
                found += part.items
                if (cursor := part.next_cursor) is None:
                    break
        for job in sorted(found, key=lambda job: (job.created_at, job.job_id)):
            await self._job(tenant, job)

    async def _job(self, tenant: str, job: Job) -> None:
        try:
            there = await self.target.jobs.get(tenant, job.job_id)
        except NotFound:
            there = None
        if there != waiting_again(job):
            await self.target.jobs.adopt(tenant, job)

    async def _audit(self, tenant: str) -> None:
        after = 0
        while records := await self.source.audit.records(tenant, after=after):
            await self.target.audit.adopt(tenant, records)
            after = records[-1].number

    async def _compared(self, tenants: Sequence[str], total: int) -> Copied:
        differences: list[Difference] = []
        counts = {"claims": 0, "assets": 0, "pages": 0, "jobs": 0}
        records = done = 0
        for tenant in tenants:
            async for claim in claims_of(self.source, tenant):
                differences += await compare(self.source, self.target, tenant, claim.claim_id, counts)
                done += 1
                self.progress("compared", done, max(total, done))
            head = await self.source.audit.head(tenant)
            check = await check_audit(self.target.audit, tenant, noted=head if head.number else None)
            differences += [Difference("audit", tenant, fault.detail) for fault in check.faults]
            records += check.records
            if await self.target.claims.count(tenant) != await self.source.claims.count(tenant):
                differences.append(Difference("claims", tenant, "There are more or fewer in the target."))
        there = set(await self.target.keys.list())
        differences += [
            Difference("key", key.key_id, "It is not the same in the target.")
            for key in await self.source.keys.list()
            if key not in there
        ]
        return Copied(len(tenants), **counts, audit_records=records, differences=tuple(differences))
