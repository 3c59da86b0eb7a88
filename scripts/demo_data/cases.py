"""The shape of a case. The cases are in glass, bodywork, property and persons; every person and firm is invented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from PIL import Image

Items = tuple[tuple[str, float, float], ...]
_SIGNS = {"EUR": "EUR ", "USD": "$", "GBP": "£", "CAD": "C$"}
_COUNTRIES = {
    "GB": ("GBP", 0.20),
    "US": ("USD", 0.08),
    "DE": ("EUR", 0.19),
    "FR": ("EUR", 0.20),
    "NL": ("EUR", 0.21),
    "ES": ("EUR", 0.21),
    "CA": ("CAD", 0.13),
}


def money(amount: float, currency: str, *, sign: bool = True) -> str:
    return f"{_SIGNS[currency] if sign else ''}{amount:,.2f}"


@dataclass(frozen=True)
class Case:
    """One claim and what its papers say. papers: "kind:form" with kind a layout and form pdf, scan, phone, fax or
    png. photos: ids of openly licensed photos, or names of drawn scenes. items: (words, quantity, price before tax)."""

    number: int
    line: str
    status: str
    holder: str
    loss_date: str
    reported_date: str
    city: str
    region: str
    country: str
    damage: tuple[str, ...]
    items: Items
    firm: str
    story: str
    papers: tuple[str, ...]
    photos: tuple[str, ...] = ()
    outcome: str = ""
    vehicle: tuple[str, str, int] | None = None
    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    taxed: bool = True
    pictures: tuple[Image.Image, ...] = ()

    @property
    def claim_id(self) -> str:
        return f"C-{self.loss_date[:4]}-{4100 + self.number * 37:05d}"

    @property
    def policy_id(self) -> str:
        return f"{self.line[:2].upper()}-{88000 + self.number * 113}"

    @property
    def currency(self) -> str:
        return _COUNTRIES[self.country][0]

    @property
    def tax_rate(self) -> float:
        return _COUNTRIES[self.country][1] if self.taxed else 0.0

    @property
    def net_amount(self) -> float:
        return round(sum(quantity * price for _, quantity, price in self.items), 2)

    @property
    def tax_amount(self) -> float:
        return round(self.net_amount * self.tax_rate, 2)

    @property
    def amount(self) -> float:
        return round(self.net_amount + self.tax_amount, 2)


def case(
    number: int,
    line: str,
    status: str,
    holder: str,
    loss: str,
    place: tuple[str, str, str],
    damage: Sequence[str],
    *,
    items: Sequence[tuple[str, float, float]],
    firm: str,
    story: str,
    papers: str,
    photos: str = "",
    outcome: str = "",
    vehicle: tuple[str, str, int] | None = None,
    taxed: bool = True,
    **attributes: str | float | bool,
) -> Case:
    """A case, reported a few days after its loss."""
    reported = date.fromisoformat(loss) + timedelta(days=1 + number % 4)
    return Case(
        number=number,
        line=line,
        status=status,
        holder=holder,
        loss_date=loss,
        reported_date=reported.isoformat(),
        city=place[0],
        region=place[1],
        country=place[2],
        damage=tuple(damage),
        items=tuple(items),
        firm=firm,
        story=story,
        papers=tuple(papers.split()),
        photos=tuple(photos.split()),
        outcome=outcome,
        vehicle=vehicle,
        taxed=taxed,
        attributes=attributes,
    )
