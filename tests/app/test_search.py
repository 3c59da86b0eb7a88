"""Search and explain over HTTP: words, pictures, pages, filters, cursors."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scripts.demo_data.paper import Words
from scripts.demo_data.pdf import write_pdf
from tests.app.conftest import Api, picture

WORDS = ["hail", "fire", "flood", "theft", "dent", "glass", "storm"]


async def _fill(api: Api) -> None:
    for number, word in enumerate(WORDS):
        await api.put_claim(f"C-{number}", line="auto" if number % 2 else "property", loss_amount=100.0 * number)
        await api.upload(f"C-{number}", (f"{word}.png", picture([word, "claim"])))
    await api.work()


async def _search(api: Api, **query: Any) -> dict[str, Any]:
    reply = await api.client.post("/v1/search", json=query)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


async def _search_picture(api: Api, *pictures: bytes, **query: Any) -> dict[str, Any]:
    reply = await api.client.post(
        "/v1/search",
        files=[("image", (f"{number}.jpg", content)) for number, content in enumerate(pictures)],
        data={"query": json.dumps(query)},
    )
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def _claims(found: dict[str, Any]) -> list[str]:
    return [hit["claim"]["claim_id"] for hit in found["hits"]]


async def test_words_find_the_page_and_say_why(api: Api) -> None:
    await _fill(api)
    found = await _search(api, text="flood", limit=3)
    assert found["encoder"] == "fake/1"
    assert found["total"] == len(WORDS)
    assert found["took_ms"] > 0
    assert set(found["stages_ms"]) == {"encode", "candidates", "rerank", "fetch"}
    best = found["hits"][0]
    assert (best["rank"], best["claim"]["claim_id"], best["page"]["filename"]) == (1, "C-2", "flood.png")
    assert best["why"]["words"][0]["word"] == "flood"
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3]


async def test_a_picture_finds_its_like_and_one_is_enough(api: Api) -> None:
    await _fill(api)
    assert _claims(await _search_picture(api, picture(["theft", "claim"], "JPEG"), limit=1)) == ["C-3"]
    pair = await _search_picture(api, picture(["theft", "claim"]), picture(["hail", "claim"]), limit=2)
    assert sorted(_claims(pair)) == ["C-0", "C-3"]
    reply = await api.client.post("/v1/search", files={"image": ("a.png", picture(["fire", "claim"]))})
    assert reply.json()["hits"][0]["claim"]["claim_id"] == "C-1"


async def test_many_picture_queries_at_once_do_not_mix(api: Api) -> None:
    await _fill(api)
    asked = [index % len(WORDS) for index in range(20)]
    found = await asyncio.gather(*(_search_picture(api, picture([WORDS[index], "claim"]), limit=1) for index in asked))
    assert [_claims(answer) for answer in found] == [[f"C-{index}"] for index in asked]
    assert list(api.spool.iterdir()) == []


async def test_two_fields_of_a_filter_must_both_hold(api: Api) -> None:
    await _fill(api)
    found = await _search(api, text="claim", filter={"line": "auto", "loss_amount": {"gte": 300}})
    assert sorted(_claims(found)) == ["C-3", "C-5"]


async def test_a_change_and_a_delete_show_in_the_next_search(api: Api) -> None:
    await _fill(api)
    paid = {"text": "fire", "filter": {"status": "paid"}}
    assert _claims(await _search(api, **paid)) == []
    await api.client.patch("/v1/claims/C-1", json={"status": "paid"})
    assert _claims(await _search(api, **paid)) == ["C-1"]
    await api.client.delete("/v1/claims/C-1")
    assert _claims(await _search(api, **paid)) == []


async def test_excluded_claims_and_low_scores_are_left_out(api: Api) -> None:
    await _fill(api)
    assert "C-2" not in _claims(await _search(api, text="flood", exclude_claim_ids=["C-2"]))
    best = (await _search(api, text="flood"))["hits"][0]["score"]
    assert _claims(await _search(api, text="flood", min_score=best - 1e-6)) == ["C-2"]


async def test_hits_are_grouped_by_claim(api: Api) -> None:
    await api.put_claim("C-1")
    await api.upload("C-1", ("a.png", picture(["hail", "claim"])), ("b.png", picture(["roof", "claim"])))
    await api.work()
    [hit] = (await _search(api, text="roof", group_by="claim"))["hits"]
    assert (hit["page"]["filename"], len(hit["pages"])) == ("b.png", 1)
    assert hit["pages"][0]["score"] <= hit["score"]


async def test_a_cursor_goes_on_where_the_answer_ended_and_fits_only_its_question(api: Api) -> None:
    await _fill(api)
    whole = _claims(await _search(api, text="claim", limit=7))
    seen: list[str] = []
    cursor: str | None = None
    ranks: list[int] = []
    while True:
        found = await _search(api, text="claim", limit=3, **({"cursor": cursor} if cursor else {}))
        seen += _claims(found)
        ranks += [hit["rank"] for hit in found["hits"]]
        if (cursor := found["next_cursor"]) is None:
            break
    assert (seen, ranks) == (whole, list(range(1, 8)))
    first = await _search(api, text="claim", limit=3)
    for other in [{"text": "hail"}, {"text": "claim", "filter": {"line": "auto"}}, {"text": "claim", "min_score": 0.1}]:
        reply = await api.client.post("/v1/search", json={**other, "cursor": first["next_cursor"]})
        assert (reply.status_code, reply.json()["code"]) == (422, "bad_cursor")


async def test_a_cursor_of_a_picture_belongs_to_that_picture(api: Api) -> None:
    await _fill(api)
    mine, other = picture(["hail", "claim"]), picture(["fire", "claim"])
    first = await _search_picture(api, mine, limit=2)
    rest = await _search_picture(api, mine, limit=9, cursor=first["next_cursor"])
    assert len({*_claims(first), *_claims(rest)}) == len(WORDS)
    reply = await api.client.post(
        "/v1/search", files={"image": other}, data={"query": json.dumps({"cursor": first["next_cursor"]})}
    )
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ([("query", None, b"{}")], 422, "bad_query"),
        ([("query", None, b"{")], 400, "malformed_json"),
        ([("query", None, b"\xff")], 400, "malformed_body"),
        ([("query", None, b" " * 300_000)], 400, "malformed_body"),
        ([("query", None, b'{"text": "hail"}'), ("image", "a.png", picture(["hail"]))], 422, "bad_query"),
        ([("photo", "a.png", picture(["hail"]))], 422, "bad_query"),
        ([("image", "a.png", b"\x89PNG\r\n\x1a\n cut")], 422, "damaged"),
    ],
)
async def test_a_form_that_is_no_question_is_refused(
    api: Api, fields: list[tuple[str, str | None, bytes]], status: int, code: str
) -> None:
    body = b""
    for name, filename, content in fields:
        named = f'; filename="{filename}"' if filename else ""
        body += f'--x\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content + b"\r\n"
    reply = await api.client.post(
        "/v1/search", content=body + b"--x--\r\n", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert not api.spool.is_dir() or list(api.spool.iterdir()) == []


async def test_explain_shows_where_each_word_is(api: Api) -> None:
    page_id = (await api.add_page(["hail", "windshield"]))["page"]["page_id"]
    reply = await api.client.post("/v1/explain", json={"page_id": page_id, "text": "hail windshield"})
    assert reply.status_code == 200, reply.text
    found = reply.json()
    assert (found["width"], found["height"], len(found["grid"]), len(found["grid"][0])) == (
        320,
        320,
        found["rows"],
        found["cols"],
    )
    places = {}
    for word in found["words"]:
        cells = [(value, row, col) for row, line in enumerate(word["grid"]) for col, value in enumerate(line)]
        places[word["word"]] = max(cells)[1:]
    assert places["hail"][1] < found["cols"] / 4 <= places["windshield"][1]
    assert places["windshield"][1] < found["cols"] / 2
    overlay = Image.open(io.BytesIO(base64.b64decode(found["overlay"])))
    assert (overlay.format, overlay.size) == ("PNG", (320, 320))


async def test_explain_takes_pictures_and_pages_and_can_leave_the_overlay_out(api: Api) -> None:
    page_id = (await api.add_page(["hail", "windshield"], "C-1"))["page"]["page_id"]
    other = (await api.add_page(["hail", "roof"], "C-2"))["page"]["page_id"]
    like = {"page_id": page_id, "like_page_id": other, "overlay": False}
    reply = await api.client.post("/v1/explain", json=like)
    assert (reply.status_code, reply.json()["overlay"]) == (200, None)
    reply = await api.client.post(
        "/v1/explain", files={"image": picture(["hail"])}, data={"query": json.dumps({"page_id": page_id})}
    )
    assert (reply.status_code, [word["word"] for word in reply.json()["words"]]) == (200, [""])
    reply = await api.client.post("/v1/explain", json={"page_id": page_id})
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_query")


async def test_claims_like_a_claim_come_with_pairs_and_costs(api: Api) -> None:
    await _fill(api)
    await api.put_claim("Q", line="auto", policy_id="P-1")
    await api.upload("Q", ("a.png", picture(["flood", "claim"])), ("b.png", picture(["fire", "claim"])))
    await api.work()
    reply = await api.client.post("/v1/claims/Q/similar", json={"limit": 2, "filter": {"line": "property"}})
    assert reply.status_code == 200, reply.text
    found = reply.json()
    assert _claims(found)[0] == "C-2"
    pair = found["hits"][0]["pairs"][0]
    assert pair["page"]["filename"] == "flood.png"
    asked = (await api.client.get(f"/v1/pages/{found['asked'][pair['asked']]}")).json()
    assert (asked["claim_id"], asked["filename"]) == ("Q", "a.png")
    assert found["losses"] == []
    for claim_id in ("C-2", "C-4"):
        await api.client.patch(f"/v1/claims/{claim_id}", json={"currency": "EUR"})
    again = await api.client.post("/v1/claims/Q/similar", json={"filter": {"claim_id": {"in": ["C-2", "C-4"]}}})
    [costs] = again.json()["losses"]
    assert (costs["currency"], costs["count"], costs["median"], costs["lower"]) == ("EUR", 2, 300.0, 250.0)


async def test_a_list_of_similar_claims_goes_on_by_its_cursor(api: Api) -> None:
    await _fill(api)
    first = (await api.client.post("/v1/claims/C-1/similar", json={"limit": 4})).json()
    rest = (await api.client.post("/v1/claims/C-1/similar", json={"limit": 4, "cursor": first["next_cursor"]})).json()
    assert sorted(_claims(first) + _claims(rest)) == [f"C-{number}" for number in (0, 2, 3, 4, 5, 6)]
    other = await api.client.post("/v1/claims/C-2/similar", json={"cursor": first["next_cursor"]})
    assert other.json()["code"] == "bad_cursor"


@pytest.mark.parametrize(
    ("claim_id", "body", "status", "code"),
    [
        ("nobody", {}, 404, "claim_not_found"),
        ("C-1", {"page_ids": ["0" * 32 + "-1"]}, 404, "page_not_found"),
        ("C-1", {"diversity": 2}, 422, "invalid_input"),
        ("C-1", {"text": "hail"}, 422, "invalid_input"),
    ],
)
async def test_a_wrong_question_for_similar_claims_is_refused(
    api: Api, claim_id: str, body: dict[str, Any], status: int, code: str
) -> None:
    await api.put_claim("C-1")
    reply = await api.client.post(f"/v1/claims/{claim_id}/similar", json=body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_a_digital_pdf_is_found_by_its_exact_text_and_the_switch_turns_it_off(api: Api, tmp_path: Path) -> None:
    await _fill(api)
    scan = Image.new("RGB", (320, 440), "white")
    write_pdf(tmp_path / "bill.pdf", [(scan, [Words(20, 40, "Invoice INV-2024-0012, Maria Huber", 14)])])
    await api.upload("C-0", ("bill.pdf", (tmp_path / "bill.pdf").read_bytes()))
    await api.work()
    for text in ("INV-2024-0012", "2024-0012", '"maria huber" flood'):
        found = await _search(api, text=text)
        assert [hit["exact_text"] for hit in found["hits"]] == [True] + [False] * len(WORDS)
        assert found["hits"][0]["page"]["filename"] == "bill.pdf"
        without = await _search(api, text=text, exact_text=False)
        assert not any(hit["exact_text"] for hit in without["hits"])
    first = await _search(api, text="2024-0012", limit=1)
    reply = await api.client.post(
        "/v1/search", json={"text": "2024-0012", "limit": 1, "exact_text": False, "cursor": first["next_cursor"]}
    )
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_cursor")
    events = (await api.services.store.audit.list("test-tenant")).items
    assert "0012" not in str([(event.target, event.details) for event in events])
