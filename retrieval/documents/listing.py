"""How claims are listed: their order, and the values that the filterable fields have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from retrieval.documents.claims import FactValue


@dataclass(frozen=True, slots=True)
class Sort:
    """Order of a claim list; ties break by claim_id ascending."""

    field: Literal["created_at", "updated_at", "loss_date", "loss_amount", "claim_id"] = "created_at"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: FactValue
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """Values of one filterable field among the claims that pass a filter. values: most frequent first, at most 50;
    minimum, maximum: for numbers and dates (ISO text)."""

    field: str
    values: tuple[FacetValue, ...] = ()
    minimum: FactValue | None = None
    maximum: FactValue | None = None
