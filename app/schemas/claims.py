"""Claims as requests bring them and answers show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from app.problems import invalid_input
from app.schemas.common import Line, RecordId, Reply, Strict, check_line, check_text
from retrieval.documents import Claim, FactValue, Location, Vehicle
from retrieval.errors import InvalidInput

LineOfBusiness = Literal["auto", "property", "travel", "health", "liability", "other"]
Status = Literal["open", "closed", "denied", "paid"]

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOST_AMOUNT = 1e15
_MOST_ATTRIBUTES = 50


def _iso_date(value: object) -> object:
    if isinstance(value, str):
        if not _ISO_DATE.fullmatch(value):
            raise ValueError('it takes a date like "2026-03-31"')
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("there is no such day") from None
    return value


def _damage(value: str) -> str:
    word = " ".join(check_line(value).split()).lower()
    if not word:
        raise ValueError("it takes a word")
    return word


def _without_repeats(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


IsoDate = Annotated[date, BeforeValidator(_iso_date), WithJsonSchema({"type": "string", "format": "date"})]
DamageType = Annotated[str, Field(max_length=64), AfterValidator(_damage)]
AttributeName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
AttributeText = Annotated[str, Field(max_length=500), AfterValidator(check_line)]
AttributeNumber = Annotated[float, Field(allow_inf_nan=False)]

_EXAMPLE: dict[str, Any] = {
    "line": "auto",
    "status": "open",
    "policy_id": "POL-2024-1881",
    "loss_date": "2026-03-31",
    "reported_date": "2026-04-02",
    "loss_amount": 1840.5,
    "currency": "EUR",
    "damage_types": ["windshield", "hail"],
    "location": {"city": "Graz", "region": "Styria", "country": "AT"},
    "vehicle": {"make": "Toyota", "model": "Corolla", "year": 2021},
    "description": "Hail broke the windshield while parked.",
    "attributes": {"fleet": True, "adjuster": "m.huber"},
}


class LocationFacts(Strict):
    city: Line | None = None
    region: Line | None = None
    country: Line | None = None


class VehicleFacts(Strict):
    make: Line | None = None
    model: Line | None = None
    year: Annotated[int, Field(ge=1880, le=2200)] | None = None


class ClaimFacts(Strict):
    """The facts of a claim, without its number. What is left out is unknown or the default."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    line: LineOfBusiness = "other"
    status: Status = "open"
    policy_id: Annotated[Line, Field(max_length=128)] | None = None
    loss_date: IsoDate | None = None
    reported_date: IsoDate | None = None
    loss_amount: Annotated[float, Field(ge=0, le=_MOST_AMOUNT, allow_inf_nan=False)] | None = Field(
        None, description="In `currency`; not negative."
    )
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = Field(None, description="ISO 4217, as in EUR.")
    damage_types: Annotated[list[DamageType], Field(max_length=50), AfterValidator(_without_repeats)] = Field(
        default_factory=list[DamageType], description="Words; kept in lower case."
    )
    location: LocationFacts = Field(default_factory=LocationFacts)
    vehicle: VehicleFacts = Field(default_factory=VehicleFacts)
    description: Annotated[str, Field(max_length=10_000), AfterValidator(check_text)] = ""
    attributes: Annotated[
        dict[AttributeName, bool | AttributeNumber | AttributeText], Field(max_length=_MOST_ATTRIBUTES)
    ] = Field(
        default_factory=dict[str, FactValue],
        description="Your own facts, to filter by: names of a-z, 0-9 and _; text, numbers, true or false.",
    )

    def as_claim(self, claim_id: str) -> Claim:
        return Claim(
            claim_id=claim_id,
            line=self.line,
            status=self.status,
            policy_id=self.policy_id,
            loss_date=self.loss_date,
            reported_date=self.reported_date,
            loss_amount=self.loss_amount,
            currency=self.currency,
            damage_types=tuple(self.damage_types),
            location=Location(**self.location.model_dump()),
            vehicle=Vehicle(**self.vehicle.model_dump()),
            description=self.description,
            attributes=dict(self.attributes),
        )


class PutClaim(ClaimFacts):
    """claim_id: may be left out; when given it is the one of the address."""

    claim_id: RecordId | None = None


class NewClaim(ClaimFacts):
    model_config = ConfigDict(json_schema_extra={"examples": [{"claim_id": "CLM551344", **_EXAMPLE}]})

    claim_id: RecordId


class ClaimReply(Reply):
    """A stored claim. version: plus 1 with each change; also sent as ETag."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "claim_id": "CLM551344",
                    **_EXAMPLE,
                    "created_at": "2026-04-02T09:00:00Z",
                    "updated_at": "2026-04-02T09:00:00Z",
                    "version": 1,
                    "held": False,
                }
            ]
        }
    )

    claim_id: str
    line: str
    status: str
    policy_id: str | None
    loss_date: date | None
    reported_date: date | None
    loss_amount: float | None
    currency: str | None
    damage_types: list[str]
    location: LocationFacts
    vehicle: VehicleFacts
    description: str
    attributes: dict[str, FactValue | int]
    created_at: datetime | None
    updated_at: datetime | None
    version: int
    held: bool = Field(description="Under legal hold: nothing of it can be deleted.")

    @classmethod
    def of(cls, claim: Claim) -> ClaimReply:
        return cls.model_construct(
            claim_id=claim.claim_id,
            line=claim.line,
            status=claim.status,
            policy_id=claim.policy_id,
            loss_date=claim.loss_date,
            reported_date=claim.reported_date,
            loss_amount=claim.loss_amount,
            currency=claim.currency,
            damage_types=list(claim.damage_types),
            location=LocationFacts.model_construct(
                city=claim.location.city, region=claim.location.region, country=claim.location.country
            ),
            vehicle=VehicleFacts.model_construct(
                make=claim.vehicle.make, model=claim.vehicle.model, year=claim.vehicle.year
            ),
            description=claim.description,
            attributes=dict(claim.attributes),
            created_at=claim.created_at,
            updated_at=claim.updated_at,
            version=claim.version,
            held=claim.held,
        )


def patched(claim: Claim, patch: Mapping[str, object]) -> Claim:
    """The claim after a JSON merge patch (RFC 7396). Raises InvalidInput bad_claim naming the field."""
    if patch.get("claim_id", claim.claim_id) != claim.claim_id:
        raise InvalidInput("claim_id: the number of a claim cannot change.", code="bad_claim", field="claim_id")
    facts = ClaimReply.of(claim).model_dump(
        mode="json", exclude={"claim_id", "created_at", "updated_at", "version", "held"}, warnings=False
    )
    merged = _merge(facts, {name: value for name, value in patch.items() if name != "claim_id"})
    # Null takes a fact away, and then its default stands.
    kept = {name: value for name, value in merged.items() if value is not None}
    try:
        return ClaimFacts.model_validate(kept).as_claim(claim.claim_id)
    except ValidationError as error:
        raise invalid_input(error, code="bad_claim") from None


def _merge(target: object, patch: Mapping[str, object]) -> dict[str, object]:
    merged = dict(cast("Mapping[str, object]", target)) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            merged[name] = _merge(merged.get(name), cast("Mapping[str, object]", value))
        else:
            merged[name] = value
    return merged
