"""Photos that are in several claims, over HTTP."""

from __future__ import annotations

import io

from tests.app.conftest import Api
from tests.retrieval.reuse.test_prints import photo


def jpeg(seed: int, quality: int) -> bytes:
    target = io.BytesIO()
    photo(seed).save(target, "JPEG", quality=quality)
    return target.getvalue()


async def test_a_photo_and_its_copy_in_another_claim_are_shown_with_both_pages(api: Api) -> None:
    for claim_id, seed, quality in (("A", 1, 90), ("B", 1, 40), ("C", 2, 90)):
        await api.put_claim(claim_id, loss_amount=50.0)
        await api.upload(claim_id, (f"{claim_id}.jpg", jpeg(seed, quality)))
    await api.work()
    reply = await api.client.get("/v1/claims/A/reused")
    assert reply.status_code == 200, reply.text
    [item] = reply.json()["items"]
    assert (item["page"]["filename"], item["other_page"]["filename"]) == ("A.jpg", "B.jpg")
    assert (item["other_claim"]["claim_id"], item["other_claim"]["loss_amount"]) == ("B", 50.0)
    assert item["likeness"] > 0.9
    assert (item["mirrored"], item["same_file"]) == (False, False)
    assert (await api.client.get("/v1/claims/C/reused")).json() == {"items": []}
    [job] = (await api.client.get("/v1/jobs", params={"claim_id": "B"})).json()["items"]
    assert job["entries"][0]["code"] == "photo_reused"
    await api.client.delete("/v1/claims/B")
    assert (await api.client.get("/v1/claims/A/reused")).json() == {"items": []}


async def test_the_copies_of_an_unknown_claim_are_not_found(api: Api) -> None:
    reply = await api.client.get("/v1/claims/nobody/reused")
    assert (reply.status_code, reply.json()["code"]) == (404, "claim_not_found")
