"""Records of an older Claimsight, brought forward; and records of a newer one, refused.

The version stands in `meta`. Each step may be run again at any time and by several processes at once.
"""

from __future__ import annotations

from retrieval.errors import StoreUnavailable
from retrieval.stores.mongo.audit import MongoAudit
from retrieval.stores.mongo.link import Document, Link

VERSION = 5

_SCHEMA: Document = {"_id": "schema"}
_RECORDS_A_STEP = 500


async def require_known_version(link: Link) -> int:
    """The version of the records, 1 where none is noted. Raises StoreUnavailable store_newer."""
    noted = await link.meta.find_one(_SCHEMA)
    version = int(noted["version"]) if noted else 1
    if version > VERSION:
        raise StoreUnavailable(
            f"A newer Claimsight wrote to this database (records of version {version}, this one knows {VERSION}): "
            "use that version or a newer one.",
            code="store_newer",
        )
    return version


async def migrate(link: Link, audit: MongoAudit) -> None:
    """Raises StoreUnavailable store_newer.

    From 2 to 3 nothing is rewritten: token vectors of four and five bits a number came, which older code would misread.
    From 3 to 4 neither: keys came, and older code would serve without asking for them.
    From 4 to 5 neither: texts of pages came, and older code would leave them behind when it deletes.
    """
    version = await require_known_version(link)
    if version < 2:
        await _chain_audit(link, audit)
    if version < VERSION:
        await link.meta.update_one(_SCHEMA, {"$max": {"version": VERSION}}, upsert=True)


async def _chain_audit(link: Link, audit: MongoAudit) -> None:
    """Version 1 to 2: the audit becomes a chain for each tenant, in the order it was written."""
    unnumbered = link.audit.find({"number": {"$exists": False}}).sort("_id", 1)
    while found := await unnumbered.clone().limit(_RECORDS_A_STEP).to_list():
        for old in found:
            await audit.number_old(old["tenant_id"], old, link.audit)
