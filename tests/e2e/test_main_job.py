"""The product's promise, as an adjuster meets it: real files in over HTTP, the right page out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image, ImageOps

from tests.e2e.processes import Server, serving, wait_for_job

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "docs" / "samples" / "real"
PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos" / "dev"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not SAMPLES.is_dir(), reason="the real sample files (../shared/data/docs/samples) are not here"),
]

HAIL_CLAIM, OTHER_CLAIM = "CLM551344", "CLM093079"
HAIL_FILES = ("claim_form_hail.pdf", "repair_estimate.pdf")

# Printed on the page named (README of the samples): file, page, phrase.
PHRASES = [
    ("claim_form_hail.pdf", 1, "AUTO INSURANCE CLAIM FORM"),
    ("claim_form_hail.pdf", 1, "Large hail (golf-ball size) caused extensive denting"),
    ("police_report.pdf", 1, "POLICE REPORT - TRAFFIC INCIDENT / PROPERTY CRIME"),
    ("police_report.pdf", 1, "Silver 2022 Lexus RX 350"),
    ("motor_policy.pdf", 1, "HYUNDAI IONIQ 5 PREMIUM 73 KWH RWD"),
    ("motor_policy.pdf", 5, "These excesses are based on you using one of our approved repairers"),
    ("repair_estimate.pdf", 1, "Tailwind Auto Repair"),
    ("repair_estimate.pdf", 1, "Touch-up paint application"),
    ("receipt_scan.jpg", 1, "MEGA BIGBOX"),
    ("receipt_scan.jpg", 1, "6FT HDMI CABLE BB"),
    ("scanned_forms.tiff", 1, "Emergency Contact 1"),
    ("scanned_forms.tiff", 2, "Employment Application"),
    ("handbook_text_photos.pdf", 1, "Boots Self-Locking Nut"),
    ("landscape_table.pdf", 1, "NICS Firearm Background Checks"),
    ("rotated_page.pdf", 1, "OKLAHOMA ABLE COMMISSION"),
    ("rotated_page.pdf", 2, "BLUE BELLE SALOON"),
    ("mixed_orientation.pdf", 2, "Common Reasons for Changing Items"),
    ("mixed_orientation.pdf", 4, "Interclass correlation coefficient"),
    ("screenshot.png", 1, "Long Beach Memorial Medical Center"),
    ("page.webp", 1, "Docling bundles PDF document conversion"),
    ("cmyk_map.jpg", 1, "BAIONA"),
    ("manual_400_pages.pdf", 57, "Potentially Dangerous Taxpayer Indicator"),
    ("manual_400_pages.pdf", 399, "MAXIMUM EMPLOYER DEFERRAL ALLOWABLE"),
]


@dataclass
class Filled:
    server: Server
    client: httpx2.Client
    jobs: dict[str, dict[str, Any]]
    names: dict[tuple[str, str], str]  # (claim_id, asset_id) -> file name

    def search(self, **query: Any) -> list[dict[str, Any]]:
        return list(self.client.post("/v1/search", json=query).raise_for_status().json()["hits"])

    def search_picture(self, picture: bytes, **query: Any) -> list[dict[str, Any]]:
        reply = self.client.post(
            "/v1/search", files={"image": ("query.jpg", picture)}, data={"query": json.dumps(query)}
        )
        return list(reply.raise_for_status().json()["hits"])

    def place(self, hit: dict[str, Any]) -> tuple[str, int]:
        page = hit["page"]
        return self.names[page["claim_id"], page["asset_id"]], page["number"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with serving(tmp_path_factory.mktemp("main_job"), workers=2) as server, server.client() as client:
        client.put(
            f"/v1/claims/{HAIL_CLAIM}",
            json={
                "line": "auto",
                "status": "open",
                "loss_amount": 4000.01,
                "currency": "USD",
                "damage_types": ["hail"],
            },
        ).raise_for_status()
        client.put(f"/v1/claims/{OTHER_CLAIM}", json={"line": "property", "loss_amount": 120.0}).raise_for_status()
        files = sorted(path for path in SAMPLES.iterdir() if path.suffix != ".md")
        by_claim = {
            HAIL_CLAIM: [path for path in files if path.name in HAIL_FILES],
            OTHER_CLAIM: [
                *(path for path in files if path.name not in HAIL_FILES),
                *(sorted(PHOTOS.glob("dv00*.jpg"))[:12] if PHOTOS.is_dir() else []),
            ],
        }
        jobs, names = {}, {}
        for claim_id, paths in by_claim.items():
            upload = [("files", (path.name, path.read_bytes())) for path in paths]
            reply = client.post(f"/v1/claims/{claim_id}/assets", files=upload)
            assert reply.status_code == 202, reply.text
            jobs[claim_id] = reply.json()
        for claim_id, job in jobs.items():
            jobs[claim_id] = wait_for_job(client, job["job_id"], limit_s=840)
            for entry in jobs[claim_id]["entries"]:
                names[claim_id, entry["asset_id"]] = entry["filename"]
        yield Filled(server, client, jobs, names)


def test_every_file_of_the_upload_is_indexed_page_by_page(filled: Filled) -> None:
    entries = [entry for job in filled.jobs.values() for entry in job["entries"]]
    assert {entry["state"] for entry in entries} == {"succeeded"}
    samples = [entry for entry in entries if not entry["filename"].startswith("dv")]
    assert sum(entry["pages_total"] for entry in samples) == 437
    assert all(entry["pages_done"] == entry["pages_total"] for entry in entries)


def test_printed_phrases_find_their_page(filled: Filled) -> None:
    ranks = {}
    for name, number, phrase in PHRASES:
        places = [filled.place(hit) for hit in filled.search(text=phrase, limit=10)]
        ranks[phrase] = places.index((name, number)) + 1 if (name, number) in places else None
    among_three = [phrase for phrase, rank in ranks.items() if rank is not None and rank <= 3]
    first = [phrase for phrase, rank in ranks.items() if rank == 1]
    assert len(among_three) >= 10, ranks
    assert len(first) >= 6, ranks


def _jpeg(picture: Image.Image, *, quality: int = 85, orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality, exif=exif)
    return target.getvalue()


def _copies(picture: Image.Image) -> dict[str, bytes]:
    width, height = picture.size
    cropped = picture.crop((width // 8, height // 8, width - width // 8, height - height // 8))
    return {
        "recompressed": _jpeg(picture.resize((width * 2 // 3, height * 2 // 3)), quality=35),
        # Stored lying on its side, with the tag that turns it upright: 6 means "turn by 90 degrees clockwise".
        "exif_rotated": _jpeg(picture.transpose(Image.Transpose.ROTATE_90), orientation=6),
        "cropped": _jpeg(cropped),
    }


@pytest.mark.parametrize("kind", ["recompressed", "exif_rotated", "cropped"])
def test_a_photo_is_found_by_its_copies(filled: Filled, kind: str) -> None:
    with Image.open(SAMPLES / "phone_photo_gps.jpg") as opened:
        photo = ImageOps.exif_transpose(opened).convert("RGB")
    hits = filled.search_picture(_copies(photo)[kind], limit=5)
    assert filled.place(hits[0]) == ("phone_photo_gps.jpg", 1)


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the damage photos (../shared/data/photos) are not here")
@pytest.mark.parametrize("kind", ["recompressed", "exif_rotated", "cropped"])
def test_damage_photos_are_found_by_their_copies(filled: Filled, kind: str) -> None:
    missed = []
    for path in sorted(PHOTOS.glob("dv00*.jpg"))[:12]:
        with Image.open(path) as opened:
            hits = filled.search_picture(_copies(opened.convert("RGB"))[kind], limit=3)
        if filled.place(hits[0]) != (path.name, 1):
            missed.append((path.name, [filled.place(hit)[0] for hit in hits]))
    assert len(missed) <= 1, missed


def test_a_filter_keeps_only_claims_that_pass(filled: Filled) -> None:
    hits = filled.search(text="AUTO INSURANCE CLAIM FORM", filter={"loss_amount": {"gte": 1000}}, limit=50)
    assert {hit["page"]["claim_id"] for hit in hits} == {HAIL_CLAIM}
    hits = filled.search(text="AUTO INSURANCE CLAIM FORM", filter={"line": "property"}, limit=50)
    assert {hit["page"]["claim_id"] for hit in hits} == {OTHER_CLAIM}


def test_a_patch_shows_in_the_next_search(filled: Filled) -> None:
    mine = {"text": "Tailwind Auto Repair", "filter": {"status": "paid"}}
    assert filled.search(**mine) == []
    filled.client.patch(f"/v1/claims/{HAIL_CLAIM}", json={"status": "paid"}).raise_for_status()
    assert {hit["page"]["claim_id"] for hit in filled.search(**mine)} == {HAIL_CLAIM}
    filled.client.patch(f"/v1/claims/{HAIL_CLAIM}", json={"status": "open"}).raise_for_status()
    assert filled.search(**mine) == []


def test_a_delete_shows_in_the_next_search(filled: Filled) -> None:
    filled.client.put("/v1/claims/DOOMED", json={"line": "travel"}).raise_for_status()
    picture = _jpeg(Image.effect_noise((640, 480), 90).convert("RGB"))
    job = filled.client.post("/v1/claims/DOOMED/assets", files=[("files", ("noise.jpg", picture))]).raise_for_status()
    wait_for_job(filled.client, job.json()["job_id"], limit_s=120)
    assert filled.search_picture(picture)[0]["page"]["claim_id"] == "DOOMED"
    page_id = filled.search_picture(picture)[0]["page"]["page_id"]
    filled.client.delete("/v1/claims/DOOMED").raise_for_status()
    assert "DOOMED" not in {hit["page"]["claim_id"] for hit in filled.search_picture(picture, limit=50)}
    assert filled.client.get(f"/v1/pages/{page_id}").status_code == 404
    assert filled.client.get(f"/v1/pages/{page_id}/image").status_code == 404


def test_more_like_this_never_answers_with_the_page_itself(filled: Filled) -> None:
    page_id = filled.search(text="Tailwind Auto Repair", limit=1)[0]["page"]["page_id"]
    reply = filled.client.get(f"/v1/pages/{page_id}/similar").raise_for_status().json()
    assert reply["hits"]
    assert all(hit["page"]["claim_id"] != HAIL_CLAIM for hit in reply["hits"])


def test_the_place_where_a_photo_was_taken_is_in_no_answer(filled: Filled) -> None:
    assets = filled.client.get(f"/v1/claims/{OTHER_CLAIM}/assets").raise_for_status()
    photos = [
        asset["asset_id"]
        for asset in assets.json()["items"]
        if asset["filename"] in ("phone_photo_gps.jpg", "phone_rotated_gps.jpg", "photo.heic")
    ]
    assert len(photos) == 3
    for asset_id in photos:
        hits = filled.search(text="photo", filter={"asset_id": asset_id}, limit=1)
        for width in ("", "?width=320"):
            body = filled.client.get(f"/v1/pages/{hits[0]['page']['page_id']}/image{width}").raise_for_status().content
            assert b"Exif" not in body
            assert b"GPS" not in body
            with Image.open(io.BytesIO(body)) as picture:
                assert not picture.getexif()


def test_a_server_that_is_asked_to_stop_stops(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.stop() == 0
