"""Who may do what: one table, which no route can be missing from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.access import ADMINISTER, NEEDS, OPEN, OPERATE, READ, WRITE, AccessTable, operations_of
from app.identity import Identity, NotAllowed
from retrieval.keys import Role
from tests.app.conftest import Api

GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
WORDS = {"no key": OPEN, "viewer": READ, "adjuster": WRITE, "admin": ADMINISTER, "admin, operator": OPERATE}


async def test_a_route_without_an_entry_stops_the_start(api: Api) -> None:
    @api.app.get("/v1/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="GET /v1/forgotten"):
        AccessTable(NEEDS).require_complete(api.app)


def test_an_entry_without_a_route_stops_the_start() -> None:
    with pytest.raises(RuntimeError, match="GET /v1/gone"):
        AccessTable({"GET /v1/gone": READ}).require_complete(FastAPI(openapi_url=None, docs_url=None, redoc_url=None))


def test_a_route_that_no_table_can_hold_stops_the_start() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/files", FastAPI())
    with pytest.raises(RuntimeError, match="/files"):
        operations_of(app)


def test_of_several_templates_the_strictest_counts() -> None:
    table = AccessTable({"GET /v1/x/{name}": READ, "GET /v1/x/secret": ADMINISTER})
    assert table.need_of("GET", "/v1/x/secret") is ADMINISTER
    assert table.need_of("GET", "/v1/x/other") is READ
    assert table.need_of("POST", "/v1/x/other") is None
    assert table.need_of("GET", "/v1/x/other/more") is None


@pytest.mark.parametrize(
    ("need", "may"),
    [(READ, ["viewer", "adjuster", "admin"]), (WRITE, ["adjuster", "admin"]), (ADMINISTER, ["admin"])],
)
def test_a_role_may_do_what_the_ones_before_it_may(need: object, may: list[str]) -> None:
    assert isinstance(need, type(READ))
    for role in Role:
        who = Identity("acme", role, "key:1")
        if role in may:
            need.check(who)
        else:
            with pytest.raises(NotAllowed, match=f"yours is {role}"):
                need.check(who)


def test_what_tells_about_all_tenants_is_for_the_server_s_own() -> None:
    OPERATE.check(Identity("home", Role.admin, "key:1", operator=True))
    with pytest.raises(NotAllowed) as refused:
        OPERATE.check(Identity("acme", Role.admin, "key:2"))
    assert refused.value.code == "operator_required"


def test_deletions_holds_and_figures_take_an_admin() -> None:
    for operation, need in NEEDS.items():
        if operation.startswith("DELETE ") or operation.endswith(("/hold", "/metrics")):
            assert need.role is Role.admin, operation
        elif operation.startswith(("PUT ", "PATCH ")):
            assert need.role is Role.adjuster, operation
    assert {operation for operation, need in NEEDS.items() if need is OPEN} == {"GET /healthz", "GET /readyz"}


def test_the_guide_says_what_each_call_needs() -> None:
    rows = re.findall(r"^\| `([A-Z]+ /\S+)` \| ([^|]+) \|", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    written = {operation: WORDS[needs] for operation, needs in rows}
    unlisted = {"GET /docs", "GET /openapi.json", "HEAD /openapi.json"}
    assert written == {operation: need for operation, need in NEEDS.items() if operation not in unlisted}
