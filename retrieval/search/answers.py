"""What a hit shows besides its score: page, claim, file and the words that matched."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.encoder import Calibrated, Embedding, Encoder, encoder_id
from retrieval.documents import Asset, Claim, Hit, Losses, Matched, MatchedPair, Page
from retrieval.errors import NotFound
from retrieval.ports import Store
from retrieval.search.explain import matched_words
from retrieval.search.grouping import Group
from retrieval.search.probes import as_embedding


@dataclass(frozen=True, slots=True)
class Records:
    """What still exists of the pages that some answers show; by page_id: assets of the pages in pairs, why and chances
    of the best pages only."""

    pages: Mapping[str, Page]
    claims: Mapping[str, Claim]
    assets: Mapping[str, Asset]
    why: Mapping[str, tuple[Matched, ...]]
    chances: Mapping[str, float]

    def complete(self, groups: Sequence[Group]) -> frozenset[str]:
        """Ids of pages whose records are all here."""
        best = {found.page_id for found in groups}
        return frozenset(
            page_id
            for page_id, page in self.pages.items()
            if page.claim_id in self.claims and (page_id in self.assets or page_id not in best)
        )

    def hit(self, rank: int, found: Group, *, exact: bool) -> Hit:
        page = self.pages[found.page_id]
        return Hit(
            rank=rank,
            score=found.score,
            page=page,
            claim=self.claims[page.claim_id],
            asset=self.assets[page.page_id],
            why=self.why.get(page.page_id, ()),
            pages=tuple((self.pages[page_id], score) for page_id, score in found.pages[1:]),
            pairs=tuple(
                MatchedPair(
                    pair.probe,
                    self.pages[pair.page_id],
                    pair.score,
                    self.assets[pair.page_id].filename if pair.page_id in self.assets else None,
                )
                for pair in found.pairs
            ),
            probability=self.chances.get(page.page_id),
            exact_text=exact,
        )


def losses(hits: Iterable[Hit]) -> tuple[Losses, ...]:
    """What the claims of these hits cost, each counted once. Amounts in different currencies are never mixed."""
    amounts: dict[str, list[float]] = defaultdict(list)
    for claim in {hit.claim.claim_id: hit.claim for hit in hits}.values():
        if claim.loss_amount is not None and claim.currency is not None:
            amounts[claim.currency].append(claim.loss_amount)
    found = [
        Losses(currency, len(known), *np.quantile(known, (0.0, 0.25, 0.5, 0.75, 1.0)).round(2).tolist())
        for currency, known in amounts.items()
    ]
    return tuple(sorted(found, key=lambda loss: (-loss.count, loss.currency)))


async def fetch_records(
    store: Store, encoder: Encoder, tenant: str, groups: Sequence[Group], probes: Sequence[Embedding]
) -> Records:
    """Reads what the answers show, as far as it still exists. Raises EncoderTrouble."""
    pages = await store.pages.get_many(tenant, [page_id for found in groups for page_id, _ in found.pages])
    best = [pages[found.page_id] for found in groups if found.page_id in pages]
    paired = {pair.page_id for found in groups for pair in found.pairs} | {page.page_id for page in best}
    named = [page for page_id, page in pages.items() if page_id in paired]
    claims, why, chances, assets = await asyncio.gather(
        store.claims.get_many(tenant, sorted({page.claim_id for page in pages.values()})),
        _reasons(store, encoder, tenant, [page.page_id for page in best], probes),
        _chances(store, encoder, tenant, groups, pages, probes),
        asyncio.gather(*(_asset(store, tenant, page) for page in named)),
    )
    found = {page.page_id: asset for page, asset in zip(named, assets, strict=True) if asset is not None}
    return Records(pages=pages, claims=claims, assets=found, why=why, chances=chances)


async def _asset(store: Store, tenant: str, page: Page) -> Asset | None:
    try:
        [asset] = await store.assets.get(tenant, page.asset_id, claim_id=page.claim_id)
    except NotFound:
        return None
    return asset


async def _reasons(
    store: Store, encoder: Encoder, tenant: str, page_ids: Sequence[str], probes: Sequence[Embedding]
) -> dict[str, tuple[Matched, ...]]:
    if not probes[0].words or probes[0].tokens is None:
        return {}
    vectors = await store.pages.vectors(tenant, page_ids)
    return {
        page_id: await matched_words(encoder, probes[0], as_embedding(stored))
        for page_id, stored in vectors.items()
        if stored.encoder == encoder_id(encoder)
    }


async def _chances(
    store: Store,
    encoder: Encoder,
    tenant: str,
    groups: Sequence[Group],
    pages: Mapping[str, Page],
    probes: Sequence[Embedding],
) -> dict[str, float]:
    """Of the best photo of each answer, that it shows the same kind of damage as what it was found by."""
    if not isinstance(encoder, Calibrated) or probes[0].words:
        return {}
    asked = {
        found.page_id: probes[pair.probe]
        for found in groups
        for pair in found.pairs
        if pair.page_id == found.page_id and found.page_id in pages and pages[found.page_id].kind == "photo"
    }
    vectors = await store.pages.vectors(tenant, list(asked))
    chances = {
        page_id: await encoder.same_kind(asked[page_id], as_embedding(stored))
        for page_id, stored in vectors.items()
        if stored.encoder == encoder_id(encoder)
    }
    return {page_id: round(chance, 4) for page_id, chance in chances.items() if chance is not None}
