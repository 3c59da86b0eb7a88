"""The dashboard's small parts: filters, costs, facts, progress, the typed client, and the settings that protect it."""

from __future__ import annotations

import base64
import io
import json
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from ui.client import ApiDown, ApiProblem, Client, Picture
from ui.components.cards import facts_html
from ui.components.claim_form import changes, refusal
from ui.components.costs import costs
from ui.components.facts import attribute, money
from ui.components.filters import build_filter, claim_filter
from ui.components.pictures import turned
from ui.components.upload import entry_html
from ui.records import Claim, Entry, Hit

UI = Path(__file__).parents[2] / "ui"


def _claim(**facts: Any) -> Claim:
    return Claim.read({"claim_id": "C-1", "line": "auto", "status": "open", **facts})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"line": [], "min": None, "from": None, "kind": None}, {}),
        ({"line": ["auto"]}, {"line": "auto"}),
        ({"damage": ["dent", "hail"]}, {"damage_types": {"in": ["dent", "hail"]}}),
        ({"kind": "photos"}, {"kind": "photo"}),
        ({"kind": "papers", "make": ["Honda"]}, {"kind": "page", "vehicle.make": "Honda"}),
        ({"min": 0.0, "max": 500.0}, {"loss_amount": {"gte": 0.0, "lte": 500.0}}),
        ({"from": date(2026, 1, 2)}, {"loss_date": {"gte": "2026-01-02"}}),
        (
            {"country": ["DE"], "status": ["paid", "open"]},
            {"location.country": "DE", "status": {"in": ["paid", "open"]}},
        ),
    ],
)
def test_filters_as_the_api_takes_them(values: dict[str, Any], expected: dict[str, Any]) -> None:
    assert build_filter(values) == expected


def test_a_list_of_claims_is_not_filtered_by_page_kind() -> None:
    assert claim_filter({"kind": "photo", "line": "auto"}) == {"line": "auto"}


def test_costs_never_mix_currencies_and_count_a_claim_once() -> None:
    claims = [
        _claim(claim_id="A", loss_amount=100.0, currency="EUR"),
        _claim(claim_id="A", loss_amount=100.0, currency="EUR"),
        _claim(claim_id="B", loss_amount=300.0, currency="EUR"),
        _claim(claim_id="C", loss_amount=999.0, currency="USD"),
        _claim(claim_id="D"),
    ]
    euros, dollars = costs(claims)
    assert (euros.currency, euros.count, euros.median, euros.lowest, euros.highest) == ("EUR", 2, 200.0, 100.0, 300.0)
    assert (dollars.currency, dollars.count) == ("USD", 1)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [(1234.5, "EUR", "€1,234"), (0.0, "USD", "$0"), (12.0, "SEK", "SEK 12"), (None, "EUR", "not known")],
)
def test_money_is_readable(amount: float | None, currency: str, expected: str) -> None:
    assert money(amount, currency) == expected


@pytest.mark.parametrize(("value", "expected"), [(True, "yes"), (False, "no"), (300.0, "300"), ("red", "red")])
def test_attributes_are_readable(value: str | float | bool, expected: str) -> None:
    assert attribute(value) == expected


def test_an_edit_sends_only_what_changed() -> None:
    claim = _claim(policy_id="P", damage_types=["dent"], location={"city": "Leeds", "region": None, "country": "GB"})
    same = {
        "claim_id": "C-1",
        "line": "auto",
        "status": "open",
        "policy_id": "P",
        "loss_amount": None,
        "damage_types": ["dent"],
        "location": {"city": "Leeds", "region": None, "country": "GB"},
        "vehicle": {"make": None, "model": None, "year": None},
        "description": "",
    }
    assert changes(claim, same) == {}
    assert changes(claim, {**same, "status": "paid", "policy_id": None}) == {"status": "paid", "policy_id": None}
    moved = {"city": "York", "region": None, "country": "GB"}
    assert changes(claim, {**same, "location": moved}) == {"location": moved}


@pytest.mark.parametrize(
    ("state", "code", "again"),
    [
        ("failed", "encrypted", False),
        ("failed", "too_many_pages", False),
        ("failed", "encoder_unavailable", True),
        ("failed", "store_unavailable", True),
        ("cancelled", "", True),
        ("succeeded", "", False),
    ],
)
def test_another_try_is_offered_where_the_same_file_may_be_read_next_time(state: str, code: str, again: bool) -> None:
    assert Entry("a.pdf", state, code, "", 0, None).worth_another_try is again


def test_progress_shows_pages_and_reason() -> None:
    running = entry_html(Entry("a.pdf", "running", "", "", pages_done=3, pages_total=12))
    assert "3 of 12 pages" in running
    assert 'aria-valuenow="25"' in running
    failed = entry_html(Entry("<b>.pdf", "failed", "encrypted", "The file has a password.", 0, None))
    assert "The file has a password." in failed
    assert "&lt;b&gt;.pdf" in failed


def test_an_answer_may_hold_more_than_the_dashboard_knows() -> None:
    hit = Hit.read(
        {
            "rank": 1,
            "score": 0.5,
            "new": 1,
            "page": {"page_id": "p-1", "claim_id": "C-1", "asset_id": "a", "number": 2, "kind": "page", "new": {}},
            "claim": {"claim_id": "C-1", "new": []},
        }
    )
    assert hit.page.label == "page 2"
    assert (hit.claim.status, hit.words, hit.more) == ("open", (), ())


def _client(answer: Callable[[httpx2.Request], httpx2.Response]) -> Client:
    return Client("http://api.test", api_key="k-1", transport=httpx2.MockTransport(answer))


def test_client_sends_the_key_and_quotes_ids() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"claim_id": "a/b ?"})

    client = _client(answer)
    assert client.claim("a/b ?").claim_id == "a/b ?"
    client.close()
    assert seen[0].url.raw_path == b"/v1/claims/a%2Fb%20%3F"
    assert seen[0].headers["authorization"] == "Bearer k-1"


def test_client_sends_a_photo_with_its_query() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        assert b'name="image"; filename="me.jpg"' in body
        assert b'"group_by": "page"' in body
        return httpx2.Response(200, json={"hits": [], "next_cursor": None, "encoder": "e/1", "took_ms": 1.5})

    client = _client(answer)
    found = client.search(picture=Picture("me.jpg", b"\xff\xd8", "image/jpeg"), group_by="page")
    client.close()
    assert (found.hits, found.encoder) == ((), "e/1")


def test_client_reads_an_explanation() -> None:
    body = {"overlay": base64.b64encode(b"png").decode(), "words": [{"word": "hail", "score": 0.8}]}
    client = _client(lambda request: httpx2.Response(200, json=body))
    found = client.explain("p-1", text="hail")
    client.close()
    assert (found.overlay, found.words) == (b"png", (("hail", 0.8),))


def test_a_problem_document_becomes_an_error_with_its_code() -> None:
    problem = {"title": "Bad filter", "status": 422, "code": "bad_filter", "detail": "No field x.", "field": "x"}
    client = _client(lambda request: httpx2.Response(422, json=problem))
    with pytest.raises(ApiProblem, match=r"No field x\.") as caught:
        client.search(text="a", filter={"x": 1})
    client.close()
    assert (caught.value.code, caught.value.status, caught.value.field) == ("bad_filter", 422, "x")


@pytest.mark.parametrize("body", ["<html>", json.dumps([1]), ""])
def test_an_error_that_is_no_problem_document_is_still_one_error(body: str) -> None:
    client = _client(lambda request: httpx2.Response(502, text=body))
    with pytest.raises(ApiProblem) as caught:
        client.claim("C-1")
    client.close()
    assert caught.value.code == "http_502"


def test_no_answer_is_api_down() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    client = _client(answer)
    with pytest.raises(ApiDown, match="does not answer"):
        client.claim("C-1")
    client.close()


def test_streamlit_keeps_its_protections() -> None:
    settings = tomllib.loads((UI / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["server"]["enableXsrfProtection"] is True
    assert settings["server"]["enableCORS"] is True
    assert settings["server"]["headless"] is True
    assert settings["server"].get("corsAllowedOrigins", []) == []
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["client"]["showErrorDetails"] == "none"


def test_nothing_is_loaded_from_elsewhere() -> None:
    """Every file of the dashboard: no address of another host but XML names and the API's default."""
    allowed = ("http://www.w3.org/2000/svg", "http://127.0.0.1:8000")
    for path in UI.rglob("*"):
        if path.suffix in (".py", ".css", ".svg", ".toml"):
            words = path.read_text(encoding="utf-8")
            for name in allowed:
                words = words.replace(name, "")
            assert "http://" not in words, path
            assert "https://" not in words, path
            assert "@import" not in words, path


def test_a_card_says_how_likely_the_damage_is_the_same_where_it_is_known() -> None:
    source = {
        "rank": 1,
        "score": 0.8,
        "page": {"page_id": "p-1", "kind": "photo"},
        "claim": {"claim_id": "C-1"},
        "probability": 0.73,
    }
    assert "Same kind of damage: 73% likely" in facts_html(Hit.read(source))
    assert "Same kind of damage" not in facts_html(Hit.read({**source, "probability": None}))


def test_a_card_says_that_the_page_holds_the_text_to_the_letter() -> None:
    source = {"rank": 1, "score": 0.8, "page": {"page_id": "p-1", "kind": "page"}, "claim": {"claim_id": "C-1"}}
    assert "exact text" in facts_html(Hit.read({**source, "exact_text": True}))
    assert "exact text" not in facts_html(Hit.read(source))


@pytest.mark.parametrize(
    ("field", "detail", "expected"),
    [
        ("claim_id", "claim_id: it takes no spaces.", "Claim number: it takes no spaces."),
        ("vehicle.year", "A year has four digits.", "Year: A year has four digits."),
        ("attributes", "There are too many.", "attributes: There are too many."),
        ("", "That does not work.", "That does not work."),
    ],
)
def test_a_refused_claim_is_told_in_the_words_of_the_form(field: str, detail: str, expected: str) -> None:
    assert refusal(ApiProblem(status=422, code="invalid_input", title="No", detail=detail, field=field)) == expected


def test_a_picture_is_turned_by_quarters_to_the_right() -> None:
    picture = Image.new("RGB", (30, 20), "white")
    picture.putpixel((0, 0), (255, 0, 0))
    picture.save(out := io.BytesIO(), "PNG")
    for turns, corner in enumerate([(0, 0), (19, 0), (29, 19), (0, 29)]):
        with Image.open(io.BytesIO(turned(out.getvalue(), turns))) as seen:
            assert seen.getpixel(corner) == (255, 0, 0)
