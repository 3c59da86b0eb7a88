"""Legal hold over HTTP, and what DELETE leaves behind."""

from __future__ import annotations

from pathlib import Path

from retrieval.audit import concerns
from tests.app.conftest import TENANT, Api, picture

MARK = "Zq7unmistakable"


async def test_a_held_claim_answers_409_to_every_deletion(api: Api) -> None:
    hit = await api.add_page(["hail"], "C-1")
    asset_id = hit["page"]["asset_id"]
    held = await api.client.put("/v1/claims/C-1/hold")
    assert (held.status_code, held.json()["held"], held.headers["etag"]) == (200, True, '"2"')
    again = await api.client.put("/v1/claims/C-1/hold")
    assert again.headers["etag"] == '"2"'
    for address in ("/v1/claims/C-1", f"/v1/assets/{asset_id}", f"/v1/assets/{asset_id}?claim_id=C-1"):
        refused = await api.client.delete(address)
        assert (refused.status_code, refused.json()["code"]) == (409, "claim_held")
    changed = await api.client.patch("/v1/claims/C-1", json={"status": "closed"})
    assert (changed.status_code, changed.json()["held"]) == (200, True)
    refused = await api.client.patch("/v1/claims/C-1", json={"held": False})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_claim")
    released = await api.client.delete("/v1/claims/C-1/hold")
    assert (released.status_code, released.json()["held"]) == (200, False)
    removed = await api.client.delete("/v1/claims/C-1")
    assert removed.status_code == 200
    assert removed.json() == {"claims": 1, "assets": 1, "pages": 1, "size_bytes": len(picture(["hail"]))}
    events = (await api.services.store.audit.list(TENANT)).items
    assert [event.action for event in events][:3] == ["claim.delete", "claim.release", "claim.change"]
    assert [event.action for event in events].count("claim.hold") == 1


async def test_a_hold_on_no_claim_is_404(api: Api) -> None:
    for method in ("PUT", "DELETE"):
        reply = await api.client.request(method, "/v1/claims/none/hold")
        assert (reply.status_code, reply.json()["code"]) == (404, "claim_not_found")


async def test_after_a_delete_only_the_audit_names_the_claim(api: Api, tmp_path: Path) -> None:
    claim_id, content = f"{MARK}-claim", picture(["hail", MARK])
    await api.put_claim(claim_id, description=f"{MARK} text", attributes={"note": MARK})
    await api.upload(claim_id, (f"{MARK}-photo.png", content), (f"{MARK}-notes.txt", b"no picture"))
    await api.work()
    found = await api.client.post("/v1/search", json={"text": "hail"})
    page_id = found.json()["hits"][0]["page"]["page_id"]
    derived = (await api.client.get(f"/v1/pages/{page_id}/image?width=64")).content
    await api.client.get(f"/v1/claims/{claim_id}/assets")

    def occurrences(of: bytes) -> int:
        return sum(path.read_bytes().count(of) for path in tmp_path.rglob("*") if path.is_file())

    assert occurrences(MARK.encode()) > 5
    assert occurrences(content) == 1
    assert (await api.client.delete(f"/v1/claims/{claim_id}")).status_code == 200
    assert occurrences(content) == occurrences(derived) == 0
    assert occurrences(content[40:72]) == 0
    await api.services.journal.move()
    events = (await api.services.store.audit.list(TENANT)).items
    named = [event for event in events if concerns(event, claim_id)]
    await api.services.store.sweep()  # empties the log into the file
    assert occurrences(MARK.encode()) == occurrences(claim_id.encode()) == len(named)
    assert [event.action for event in reversed(named)] == [
        "claim.create",
        "assets.upload",
        "search.words",
        "page.picture",
        "assets.list",
        "claim.delete",
    ]
