"""A claim, and the values that a list of claims can be narrowed by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ui.records.answer import Json


@dataclass(frozen=True, slots=True)
class Claim:
    """amount: in `currency`. place, vehicle: their parts joined for reading, "" when unknown. facts: as answered."""

    claim_id: str
    line: str
    status: str
    policy_id: str
    loss_date: date | None
    reported_date: date | None
    amount: float | None
    currency: str
    damage: tuple[str, ...]
    place: str
    vehicle: str
    description: str
    attributes: Mapping[str, str | float | bool]
    version: int
    facts: Json = field(repr=False)

    @classmethod
    def read(cls, source: Json) -> Claim:
        location, vehicle = source.get("location") or {}, source.get("vehicle") or {}
        return cls(
            claim_id=source["claim_id"],
            line=source.get("line") or "other",
            status=source.get("status") or "open",
            policy_id=source.get("policy_id") or "",
            loss_date=_date(source.get("loss_date")),
            reported_date=_date(source.get("reported_date")),
            amount=source.get("loss_amount"),
            currency=source.get("currency") or "",
            damage=tuple(source.get("damage_types") or ()),
            place=_joined(location, ("city", "region", "country"), ", "),
            vehicle=_joined(vehicle, ("make", "model", "year"), " "),
            description=source.get("description") or "",
            attributes=source.get("attributes") or {},
            version=int(source.get("version") or 0),
            facts=source,
        )


@dataclass(frozen=True, slots=True)
class Facet:
    field: str
    values: tuple[tuple[Any, int], ...]
    minimum: Any = None
    maximum: Any = None

    @classmethod
    def read(cls, source: Json) -> Facet:
        return cls(
            field=source["field"],
            values=tuple((value["value"], int(value["count"])) for value in source.get("values") or ()),
            minimum=source.get("minimum"),
            maximum=source.get("maximum"),
        )


def _joined(source: Json, names: Sequence[str], glue: str) -> str:
    parts = [str(source[name]) for name in names if source.get(name) not in (None, "")]
    return glue.join(dict.fromkeys(parts))


def _date(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None
