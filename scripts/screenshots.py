"""Pictures of the dashboard on demo data, into docs/pictures; looks like what a user sees, in headless Chromium.

    python scripts/screenshots.py [--dashboard URL]

Without --dashboard it starts API, worker and dashboard on a data folder of its own and enters the demo claims there.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from app.demo import FOLDER, demo_claims  # noqa: E402
from tests.e2e.dashboard import CHROMIUM, browser, dashboard, enter, settled  # noqa: E402
from tests.e2e.processes import serving  # noqa: E402

TARGET = REPOSITORY / "docs" / "pictures"
VIEW: ViewportSize = {"width": 1440, "height": 1080}
WAIT_MS = 120_000
MOST_BYTES = 400_000
QUERY_PHOTO = FOLDER / "try-this.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dashboard", help="address of a running dashboard that shows the demo claims")
    given = parser.parse_args().dashboard
    if CHROMIUM is None:
        sys.exit("There is no Chromium on this machine: apt-get install chromium")
    TARGET.mkdir(parents=True, exist_ok=True)
    with _address(given) as url, browser() as chromium:
        context = chromium.new_context(viewport=VIEW)
        context.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        take(context.new_page(), url)
        context.close()


@contextmanager
def _address(given: str | None) -> Iterator[str]:
    if given:
        yield given.rstrip("/")
        return
    records = json.loads((FOLDER / "claims.json").read_text(encoding="utf-8"))
    facts = {record["claim_id"]: {key: value for key, value in record.items() if key != "files"} for record in records}
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
        print("entering the demo claims ...", flush=True)
        enter(server.url, demo_claims(), facts, limit_s=1800)
        with dashboard(server.url, Path(name)) as url:
            yield url


def take(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_role("heading", name="Latest losses")).to_be_visible()
    save(page, "start")

    photo = {"name": "IMG_2041.jpg", "mimeType": "image/jpeg", "buffer": QUERY_PHOTO.read_bytes()}
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files([photo])
    expect(page.get_by_role("heading", name="like your photo")).to_be_visible()
    save(page, "search")

    page.goto(f"{url}/?q=repair+estimate+bumper&line=auto")
    expect(page.get_by_text("What these")).to_be_visible()
    save(page, "words")

    page.goto(f"{url}/?q=roof+tiles+scaffold+quotation")
    expect(page.get_by_text("What these")).to_be_visible()
    page.locator(".st-key-card-1").get_by_role("button", name="Why").click()
    expect(page.get_by_role("dialog").get_by_role("img", name="matching parts")).to_be_visible()
    save(page, "why")

    page.goto(f"{url}/claim?claim=C-2026-04211&tab=Similar+claims")
    expect(page.get_by_text("What these")).to_be_visible()
    save(page, "claim")

    page.goto(f"{url}/claims")
    expect(page.get_by_role("heading", name="Claims", exact=True)).to_be_visible()
    save(page, "claims")


def save(page: Page, name: str) -> None:
    """The window as WebP, at the best quality that stays small."""
    settled(page)
    page.wait_for_function("() => [...document.images].every(image => image.complete)")
    page.wait_for_timeout(700)  # fades of the page itself
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in (88, 80, 70, 60):
        target = io.BytesIO()
        shot.save(target, "WEBP", quality=quality, method=6)
        if target.tell() < MOST_BYTES:
            break
    (TARGET / f"{name}.webp").write_bytes(target.getvalue())
    print(f"{name}.webp {target.tell() // 1000} kB", flush=True)


if __name__ == "__main__":
    main()
