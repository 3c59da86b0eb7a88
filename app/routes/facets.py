"""What filters can name, and the values there are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.routes.context import ContextDep, FilterText, filter_of, problems
from app.schemas.search import FacetReply, FacetsReply, FieldReply, SchemaReply
from retrieval.errors import InvalidInput
from retrieval.filters import CLAIM_FIELDS, SEARCH_FIELDS, field_spec

router = APIRouter(prefix="/v1", tags=["search"])

DEFAULT_FIELDS = "line,status,damage_types,currency,location.country,vehicle.make,loss_amount,loss_date"
_MOST_FIELDS = 30


@router.get("/facets", summary="Values and counts of claim facts", responses=problems())
async def get_facets(
    context: ContextDep,
    filter_text: FilterText = None,
    fields: Annotated[
        str, Query(max_length=2000, description="Names of claim fields, with commas between.")
    ] = DEFAULT_FIELDS,
) -> FacetsReply:
    """Among the claims that pass the filter: the most frequent values of each field, and the range of numbers and
    dates."""
    names = list(dict.fromkeys(name.strip() for name in fields.split(",") if name.strip()))
    if not 1 <= len(names) <= _MOST_FIELDS:
        raise InvalidInput(f"fields names 1 to {_MOST_FIELDS} claim fields.", code="bad_filter", field="fields")
    for name in names:
        field_spec(name, CLAIM_FIELDS)
    found = await context.store.claims.facets(context.tenant, filter_of(filter_text, CLAIM_FIELDS), names)
    asked = context.services.marks.of_filter(filter_text)
    await context.seen("facets.view", "", claims=(), fields=",".join(names), **asked)
    return FacetsReply(facets=[FacetReply.of(facet) for facet in found])


@router.get("/schema", summary="The fields that filters may name", responses=problems())
async def get_schema() -> SchemaReply:
    """`attributes.NAME` may be named as well, for any name of a-z, 0-9 and _."""
    return SchemaReply(
        claim_fields=[FieldReply.of(spec) for spec in CLAIM_FIELDS.values()],
        search_fields=[FieldReply.of(spec) for spec in SEARCH_FIELDS.values()],
        combinators=["and", "or", "not"],
    )
