"""Documents of MongoDB to the nouns of retrieval.documents, and back.

Facts that are missing are left out, never stored as null: `$vectorSearch` tells null and missing apart, the filter
grammar does not. Every _id starts with the tenant, so that an id is unique within its tenant and a look-up by _id
cannot leave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime
from hashlib import blake2b
from urllib.parse import quote

import numpy as np
from bson.binary import Binary, BinaryVectorDtype
from numpy.typing import NDArray

from retrieval.capture import Capture
from retrieval.documents import (
    Asset,
    AuditEvent,
    AuditRecord,
    Claim,
    FactValue,
    Location,
    Page,
    PageVectors,
    Vehicle,
)
from retrieval.stores.codec import VectorBytes, vectors_from_bytes, vectors_to_bytes
from retrieval.stores.mongo.link import Document, ordered_id, stamp


def record_id(*parts: str) -> str:
    """Tenant and ids as one text: "acme/C-1001". Escaped, so that no two lists of parts give the same."""
    return "/".join(quote(part, safe=" ", errors="surrogatepass") for part in parts)


def facts_of(claim: Claim) -> Document:
    """What a filter can ask of a claim, except its id; kept on the claim and copied to each of its pages."""
    facts: Document = {
        "line": claim.line,
        "status": claim.status,
        "policy_id": claim.policy_id,
        "loss_date": _iso(claim.loss_date),
        "reported_date": _iso(claim.reported_date),
        "loss_amount": None if claim.loss_amount is None else float(claim.loss_amount),
        "currency": claim.currency,
        "damage_types": list(claim.damage_types) or None,
        "location": _present(
            {"city": claim.location.city, "region": claim.location.region, "country": claim.location.country}
        ),
        "vehicle": _present({"make": claim.vehicle.make, "model": claim.vehicle.model, "year": claim.vehicle.year}),
        "attributes": dict(claim.attributes) or None,
    }
    return _present(facts) or {}


def attribute_tokens(attributes: Mapping[str, FactValue]) -> list[str]:
    """Attributes as words that a declared filter path can hold, whatever their names: "fleet" and "fleet=b:true"."""
    return [word for name, value in attributes.items() for word in (name, attribute_token(name, value))]


def attribute_token(name: str, value: FactValue) -> str:
    if isinstance(value, bool):
        return f"{name}=b:{'true' if value else 'false'}"
    if isinstance(value, str):
        return f"{name}=s:{value}"
    return f"{name}=n:{float(value) + 0.0!r}"  # + 0.0 makes -0.0 and 0.0 one word, as they are one number


def claim_document(tenant: str, claim: Claim) -> Document:
    return {
        "_id": record_id(tenant, claim.claim_id),
        "tenant_id": tenant,
        "claim_id": claim.claim_id,
        "facts": facts_of(claim),
        "description": claim.description,
        "created_at": _stamp(claim.created_at),
        "updated_at": _stamp(claim.updated_at),
        "version": claim.version,
        "held": claim.held,
    }


def claim_of(document: Document) -> Claim:
    facts: Document = document["facts"]
    return Claim(
        claim_id=document["claim_id"],
        line=facts["line"],
        status=facts["status"],
        policy_id=facts.get("policy_id"),
        loss_date=_date(facts.get("loss_date")),
        reported_date=_date(facts.get("reported_date")),
        loss_amount=facts.get("loss_amount"),
        currency=facts.get("currency"),
        damage_types=tuple(facts.get("damage_types", ())),
        location=Location(**facts.get("location", {})),
        vehicle=Vehicle(**facts.get("vehicle", {})),
        description=document["description"],
        attributes=facts.get("attributes", {}),
        created_at=_moment(document["created_at"]),
        updated_at=_moment(document["updated_at"]),
        version=document["version"],
        held=document.get("held", False),
    )


def asset_document(tenant: str, asset: Asset) -> Document:
    return {
        "_id": record_id(tenant, asset.claim_id, asset.asset_id),
        "tenant_id": tenant,
        "claim_id": asset.claim_id,
        "asset_id": asset.asset_id,
        "filename": asset.filename,
        "size_bytes": asset.size_bytes,
        "media_type": asset.media_type,
        "page_count": asset.page_count,
        "warnings": [list(warning) for warning in asset.warnings],
        "capture": None if asset.capture is None else asset.capture.as_record(),
        "created_at": _stamp(asset.created_at),
        "order": f"{_stamp(asset.created_at)} {ordered_id()}",
    }


def asset_of(document: Document) -> Asset:
    return Asset(
        asset_id=document["asset_id"],
        claim_id=document["claim_id"],
        filename=document["filename"],
        size_bytes=document["size_bytes"],
        media_type=document["media_type"],
        page_count=document["page_count"],
        warnings=tuple((code, sentence) for code, sentence in document["warnings"]),
        created_at=_moment(document["created_at"]),
        capture=Capture.from_record(capture) if (capture := document.get("capture")) else None,
    )


def page_document(tenant: str, page: Page, vectors: PageVectors, *, claim: Document, asset: Document) -> Document:
    """claim, asset: the stored records the page belongs to."""
    revision = revision_of(vectors)
    return {
        "_id": record_id(tenant, page.page_id),
        "tenant_id": tenant,
        "page_id": page.page_id,
        "claim_id": page.claim_id,
        "asset_id": page.asset_id,
        "number": page.number,
        "kind": page.kind,
        "width": page.width,
        "height": page.height,
        "encoder": vectors.encoder,
        "usage": dict(page.usage),
        "created_at": _stamp(page.created_at),
        "asset_order": asset["order"],
        "facts": claim["facts"],
        "attribute_tokens": attribute_tokens(claim["facts"].get("attributes", {})),
        "revision": revision,
        "indexed_as": indexed_as(page.page_id, revision),
        "dims": len(vectors.summary),
        summary_path(len(vectors.summary)): float32_binary(vectors.summary),
    }


def page_of(document: Document) -> Page:
    return Page(
        page_id=document["page_id"],
        claim_id=document["claim_id"],
        asset_id=document["asset_id"],
        number=document["number"],
        kind=document["kind"],
        width=document["width"],
        height=document["height"],
        encoder=document["encoder"],
        usage=document["usage"],
        created_at=_moment(document["created_at"]),
    )


def summary_path(dims: int) -> str:
    """Vectors of each length have a field and an index of their own, so that encoders can live side by side."""
    return f"summary_{dims}"


def indexed_as(page_id: str, revision: int) -> str:
    """A word that says which vectors of a page the vector index holds."""
    return f"{page_id}@{revision:x}"


def float32_binary(vector: NDArray[np.float32]) -> Binary:
    return Binary.from_vector(np.ascontiguousarray(vector, dtype=np.float32), BinaryVectorDtype.FLOAT32)


def float32_of(binary: bytes) -> NDArray[np.float32]:
    return np.frombuffer(binary, "<f4", offset=2)  # two bytes name the kind of vector


def vectors_document(tenant: str, page_id: str, vectors: PageVectors) -> Document:
    stored = vectors_to_bytes(vectors)
    return {
        "_id": record_id(tenant, page_id),
        "tenant_id": tenant,
        "page_id": page_id,
        "encoder": vectors.encoder,
        **{field.name: getattr(stored, field.name) for field in fields(stored)},
    }


def vectors_of(document: Document) -> PageVectors:
    known = {field.name for field in fields(VectorBytes)} & document.keys()
    stored = VectorBytes(**{name: document[name] for name in known})
    return vectors_from_bytes(stored, encoder=document["encoder"])


def revision_of(vectors: PageVectors) -> int:
    """63 bits of the vectors' hash: changes with them, and stays when a page is ingested again with the same."""
    digest = blake2b(vectors.encoder.encode(), digest_size=8)
    for part in (vectors.summary, vectors.tokens, vectors.scales, vectors.cells):
        digest.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
    return int.from_bytes(digest.digest(), "big") >> 1


def audit_document(tenant: str, record: AuditRecord) -> Document:
    """Its _id is its number, padded so that it sorts: of two writers of one number the second fails."""
    return {
        **waiting_document(tenant, record.event),
        "_id": record_id(tenant, f"{record.number:016d}"),
        "number": record.number,
        "previous": record.previous,
        "hash": record.hash,
    }


def waiting_document(tenant: str, event: AuditEvent) -> Document:
    """A record that has no place in the chain yet."""
    return {
        "_id": ordered_id(),
        "tenant_id": tenant,
        "at": stamp(event.at),
        "actor": event.actor,
        "action": event.action,
        "target": event.target,
        "request_id": event.request_id,
        "details": dict(event.details),
    }


def record_of(document: Document) -> AuditRecord:
    return AuditRecord(document["number"], event_of(document), document["previous"], document["hash"])


def event_of(document: Document) -> AuditEvent:
    return AuditEvent(
        at=datetime.fromisoformat(document["at"]),
        actor=document["actor"],
        action=document["action"],
        target=document["target"],
        request_id=document["request_id"],
        details=document["details"],
    )


def _present(fields: Document) -> Document | None:
    kept = {name: value for name, value in fields.items() if value is not None}
    return kept or None


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
