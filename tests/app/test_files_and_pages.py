"""Files and pages as they are read back: attachments that cannot hurt, pictures in the size asked for."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from app.routes.assets import attachment, etag_matches
from tests.app.conftest import Api, picture

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "docs" / "samples" / "odd"


async def test_a_file_comes_back_as_an_attachment_of_its_own_kind(api: Api) -> None:
    content = picture(["hail"], "JPEG")
    await api.put_claim("C-1")
    await api.upload("C-1", ("photo.html", content))
    await api.work()
    [asset] = (await api.client.get("/v1/claims/C-1/assets")).json()["items"]
    assert (asset["filename"], asset["media_type"], asset["page_count"]) == ("photo.html", "image/jpeg", 1)
    reply = await api.client.get(f"/v1/assets/{asset['asset_id']}/content")
    assert reply.content == content
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["content-length"] == str(len(content))
    assert reply.headers["content-disposition"].startswith('attachment; filename="photo.html"')
    assert "sandbox" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"
    again = await api.client.get(
        f"/v1/assets/{asset['asset_id']}/content", headers={"If-None-Match": reply.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_before_the_ingest_the_kind_of_a_file_is_not_guessed(api: Api) -> None:
    await api.put_claim("C-1")
    await api.upload("C-1", ("a.svg", picture(["hail"])))
    [asset] = (await api.client.get("/v1/claims/C-1/assets")).json()["items"]
    reply = await api.client.get(f"/v1/assets/{asset['asset_id']}/content")
    assert reply.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b.pdf", "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf"),
        ('a"b;c.pdf', "attachment; filename=\"a_b_c.pdf\"; filename*=UTF-8''a%22b%3Bc.pdf"),
        ("Schäden.pdf", "attachment; filename=\"Sch_den.pdf\"; filename*=UTF-8''Sch%C3%A4den.pdf"),
    ],
)
def test_a_download_names_the_file_for_every_browser(name: str, expected: str) -> None:
    assert attachment(name) == expected


def test_etags_match_as_lists_and_weakly() -> None:
    assert etag_matches('"a", W/"b"', '"b"')
    assert etag_matches("*", '"b"')
    assert not etag_matches('"a"', '"b"')
    assert not etag_matches(None, '"b"')


async def test_one_file_in_two_claims_is_one_asset(api: Api) -> None:
    for claim_id in ("C-1", "C-2"):
        await api.put_claim(claim_id)
        await api.upload(claim_id, (f"of-{claim_id}.png", picture(["hail"])))
    await api.work()
    [asset] = (await api.client.get("/v1/claims/C-2/assets")).json()["items"]
    path = f"/v1/assets/{asset['asset_id']}"
    assert (await api.client.get(path)).json()["claim_ids"] == ["C-1", "C-2"]
    one = (await api.client.get(path, params={"claim_id": "C-2"})).json()
    assert (one["claim_id"], one["filename"]) == ("C-2", "of-C-2.png")
    assert (await api.client.get(path, params={"claim_id": "C-9"})).status_code == 404
    gone = (await api.client.delete(path, params={"claim_id": "C-1"})).json()
    assert (gone["assets"], gone["pages"]) == (1, 1)
    assert (await api.client.get(path)).json()["claim_ids"] == ["C-2"]
    assert (await api.client.delete(path)).status_code == 200
    assert (await api.client.get(path)).status_code == 404


async def test_pages_of_a_claim_are_listed_with_their_files(api: Api) -> None:
    await api.put_claim("C-1")
    await api.upload("C-1", ("a.png", picture(["hail"])), ("b.png", picture(["roof"])))
    await api.work()
    first = (await api.client.get("/v1/claims/C-1/pages", params={"limit": 1})).json()
    rest = (await api.client.get("/v1/claims/C-1/pages", params={"cursor": first["next_cursor"]})).json()
    assert [page["filename"] for page in first["items"] + rest["items"]] == ["a.png", "b.png"]
    page = first["items"][0]
    assert (await api.client.get(f"/v1/pages/{page['page_id']}")).json() == page


async def _image(api: Api, page_id: str, *, width: int | None = None, accept: str = "*/*") -> tuple[str, Image.Image]:
    reply = await api.client.get(
        f"/v1/pages/{page_id}/image", params={} if width is None else {"width": width}, headers={"Accept": accept}
    )
    assert reply.status_code == 200, reply.text
    assert reply.headers["vary"] == "Accept"
    return reply.headers["content-type"], Image.open(io.BytesIO(reply.content))


async def test_a_page_is_drawn_in_the_size_and_form_asked_for(api: Api) -> None:
    page_id = (await api.add_page(["hail", "windshield"]))["page"]["page_id"]
    kind, whole = await _image(api, page_id)
    assert (kind, whole.format, whole.size) == ("image/webp", "WEBP", (320, 320))
    kind, small = await _image(api, page_id, width=100, accept="image/png, image/jpeg")
    assert (kind, small.format, small.size) == ("image/jpeg", "JPEG", (100, 100))
    _, larger = await _image(api, page_id, width=4000)
    assert larger.size == (320, 320)
    kind, _ = await _image(api, page_id, accept="image/webp;q=0.1, image/jpeg;q=0.9, */*;q=0.01")
    assert kind == "image/jpeg"
    for width in ("0", "15", "5000", "abc"):
        reply = await api.client.get(f"/v1/pages/{page_id}/image", params={"width": width})
        assert (reply.status_code, reply.json()["field"]) == (422, "width")
    for accept in ("text/html", "image/png", "image/webp;q=0, image/jpeg;q=x"):
        reply = await api.client.get(f"/v1/pages/{page_id}/image", headers={"Accept": accept})
        assert (reply.status_code, reply.json()["code"]) == (406, "not_acceptable")


async def test_a_picture_that_is_known_is_not_sent_again(api: Api) -> None:
    page_id = (await api.add_page(["hail"]))["page"]["page_id"]
    path = f"/v1/pages/{page_id}/image"
    first = await api.client.get(path)
    assert first.headers["cache-control"] == "no-store"
    again = await api.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    etags = {(await api.client.get(path, params={"width": width})).headers["etag"] for width in (16, 17)}
    etags.add((await api.client.get(path, headers={"Accept": "image/jpeg"})).headers["etag"])
    assert len(etags | {first.headers["etag"]}) == 4


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the hostile samples (../shared/data/docs/samples/odd) are not here")
@pytest.mark.parametrize("name", ["gps.jpg", "gps_xmp.jpg", "exif_junk.jpg"])
async def test_no_picture_tells_where_it_was_taken(api: Api, name: str) -> None:
    await api.put_claim("C-1")
    await api.upload("C-1", (name, (SAMPLES / name).read_bytes()))
    await api.work()
    [page] = (await api.client.get("/v1/claims/C-1/pages")).json()["items"]
    assert (page["width"], page["height"]) == (320, 240)
    for width in (None, 100):
        for accept in ("image/webp", "image/jpeg"):
            reply = await api.client.get(
                f"/v1/pages/{page['page_id']}/image",
                params={} if width is None else {"width": width},
                headers={"Accept": accept},
            )
            for secret in (b"Exif", b"52,30.2584N", b"52.504", b"SERIAL", b"GPS"):
                assert secret not in reply.content


async def test_what_a_photo_says_of_itself_is_held_against_the_claim_and_its_place_is_not_told(api: Api) -> None:
    exif, target = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Model] = "Pixel 8"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:04:09 10:00:00"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 30.0, 15.5)
    Image.new("RGB", (64, 48), "red").save(target, "JPEG", exif=exif)
    await api.put_claim("C-1", reported_date="2026-04-02")
    await api.upload("C-1", ("photo.jpg", target.getvalue()))
    await api.work()
    listed = await api.client.get("/v1/claims/C-1/assets")
    [asset] = listed.json()["items"]
    assert asset["capture"] == {
        "taken_at": "2026-04-09T10:00:00", "make": None, "model": "Pixel 8", "software": None, "has_place": True,
    }  # fmt: skip
    assert [found["code"] for found in asset["contradictions"]] == ["taken_after_report"]
    assert "15.5" not in listed.text
    await api.put_claim("C-1", reported_date="2026-04-10")
    one = (await api.client.get(f"/v1/assets/{asset['asset_id']}")).json()
    assert (one["capture"], one["contradictions"]) == (asset["capture"], [])


async def test_more_like_this_leaves_the_own_claim_out(api: Api) -> None:
    page_id = (await api.add_page(["hail", "windshield"], "C-1"))["page"]["page_id"]
    await api.add_page(["hail", "roof"], "C-2", line="property")
    await api.add_page(["fire", "kitchen"], "C-3", line="property")
    reply = (await api.client.get(f"/v1/pages/{page_id}/similar")).json()
    assert [hit["claim"]["claim_id"] for hit in reply["hits"]] == ["C-2", "C-3"]
    params = {"filter": '{"claim_id": {"ne": "C-2"}}', "group_by": "claim"}
    reply = (await api.client.get(f"/v1/pages/{page_id}/similar", params=params)).json()
    assert [hit["claim"]["claim_id"] for hit in reply["hits"]] == ["C-3"]
