"""How far an entry is: counted from what is stored, never set by hand."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.stores.mongo.link import Document, Link


async def count_pages(link: Link, entries: Sequence[Document]) -> dict[str, int]:
    """Pages done of each entry, by its _id: those of its file that are stored, and those that failed and are not.
    The entries must be of one tenant."""
    of_files = [entry for entry in entries if entry["asset_id"] is not None]
    if not of_files:
        return {entry["_id"]: 0 for entry in entries}
    tenant = of_files[0]["tenant_id"]
    wanted: Document = {
        "tenant_id": tenant,
        "asset_id": {"$in": list({entry["asset_id"] for entry in of_files})},
        "claim_id": {"$in": list({entry["claim_id"] for entry in of_files})},
    }
    file_of = {"claim": "$claim_id", "asset": "$asset_id"}
    groups = await link.pages.aggregate([{"$match": wanted}, {"$group": {"_id": file_of, "pages": {"$sum": 1}}}])
    stored = {(group["_id"]["claim"], group["_id"]["asset"]): group["pages"] async for group in groups}
    done: dict[str, int] = {}
    for entry in entries:
        failed = [number for number, _, _ in entry["failed_pages"]]
        count = stored.get((entry["claim_id"], entry["asset_id"]), 0)
        if failed and count:
            both: Document = {"tenant_id": tenant, "claim_id": entry["claim_id"], "asset_id": entry["asset_id"]}
            count -= await link.pages.count_documents({**both, "number": {"$in": failed}})
        done[entry["_id"]] = count + len(failed)
    return done
