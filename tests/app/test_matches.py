"""Why a photo was found by another one: the parts that look alike, for who may see both."""

from __future__ import annotations

import base64
import io

from PIL import Image

from models.fused import FusedEncoder
from tests.app.conftest import Api, MakeApi
from tests.fakes.encoder import FakeEncoder
from tests.models.test_fused import PICTURES, Upright


async def pages_of(api: Api) -> tuple[str, str]:
    """The word dent stands in the first cell of one picture and in the second of the other."""
    first = (await api.add_page(["dent", "hail"], "C-1"))["page"]["page_id"]
    return first, (await api.add_page(["roof", "dent"], "C-2"))["page"]["page_id"]


async def test_like_parts_come_as_boxes_and_as_a_picture(api: Api) -> None:
    first, second = await pages_of(api)
    found = (await api.client.get(f"/v1/pages/{first}/matches/{second}")).json()
    assert (found["page_id"], found["other_page_id"]) == (first, second)
    best = [one for one in found["regions"] if one["box"] == [0, 0, 80, 80]]
    assert [one["other_box"] for one in best] == [[80, 0, 160, 80]]
    assert best[0]["likeness"] > 0.9
    picture = Image.open(io.BytesIO(base64.b64decode(found["overlay"])))
    assert picture.width > 2 * picture.height
    plain = await api.client.get(f"/v1/pages/{first}/matches/{second}", params={"overlay": "false"})
    assert plain.json() == {**found, "overlay": None}


async def test_a_page_that_is_not_there_has_no_matches(api: Api) -> None:
    first, _ = await pages_of(api)
    for path, other in ((first, "none"), ("none", first)):
        reply = await api.client.get(f"/v1/pages/{path}/matches/{other}")
        assert (reply.status_code, reply.json()["code"]) == (404, "page_not_found")


async def test_an_encoder_that_sees_no_parts_says_so(make_api: MakeApi) -> None:
    api = await make_api(encoder=FakeEncoder(tokens=False))
    first, second = await pages_of(api)
    reply = await api.client.get(f"/v1/pages/{first}/matches/{second}")
    assert (reply.status_code, reply.json()["code"]) == (409, "explain_unsupported")


async def test_with_two_spaces_a_photo_finds_photos_and_says_how_sure_it_is(make_api: MakeApi) -> None:
    api = await make_api(encoder=FusedEncoder(FakeEncoder(tokens=False), Upright()))  # type: ignore[arg-type]
    await api.put_claim("C-1")
    for place, picture in enumerate(PICTURES):
        target = io.BytesIO()
        # On a dark ground, for a photo and not a paper.
        photo = Image.new("RGB", (picture.width + 60, picture.height + 60), (90, 20, 20))
        photo.paste(picture, (30, 30))
        photo.save(target, "PNG")
        assert (await api.upload("C-1", (f"{place}.png", target.getvalue()))).status_code == 202
    await api.work()
    found = await api.client.post("/v1/search", files=[("image", ("asked.png", target.getvalue()))])
    hits = found.json()["hits"]
    assert hits[0]["asset"]["filename"] == "3.png"
    assert [hit["page"]["kind"] for hit in hits] == ["photo"] * 4
    assert hits[0]["probability"] > 0.99
