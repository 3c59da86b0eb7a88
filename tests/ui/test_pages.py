"""What an adjuster sees and does, page by page."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import OpenPage
from tests.ui.fake_api import DEMO, FakeApi
from ui import backend


def _html(page: AppTest) -> str:
    return "\n".join(str(element.proto.body) for element in page.get("html"))


def test_search_page_opens_with_the_latest_losses(open_page: OpenPage) -> None:
    page = open_page()
    assert not page.exception
    assert "Find claims like this one" in _html(page)


def test_words_in_the_box_are_searched(open_page: OpenPage, api: FakeApi) -> None:
    page = open_page()
    page.text_input(key="q").set_value("smashed windscreen").run()
    assert not page.exception
    _, _, query = api.asked[-1]
    assert (query["text"], query["group_by"], query["filter"]) == ("smashed windscreen", "claim", {})
    html = _html(page)
    assert "for “smashed windscreen”" in html
    assert "What these" in html
    assert "median of" in html


def test_a_number_is_looked_for_to_the_letter_unless_switched_off(open_page: OpenPage, api: FakeApi) -> None:
    page = open_page(q="INV-2024-0012")
    assert "exact_text" not in api.asked[-1][2]
    page.toggle(key="exact").set_value(False).run()
    assert api.asked[-1][2]["exact_text"] is False
    page.text_input(key="q").set_value("smashed windscreen").run()
    assert not page.exception
    assert "exact_text" not in api.asked[-1][2]


def test_a_link_with_words_and_filter_searches_at_once(open_page: OpenPage, api: FakeApi) -> None:
    page = open_page(q="dent", status="paid", damage="hail")
    assert not page.exception
    _, _, query = api.asked[-1]
    assert query["text"] == "dent"
    assert query["filter"] == {"status": "paid", "damage_types": "hail"}


def test_a_filter_narrows_the_answer(open_page: OpenPage, api: FakeApi) -> None:
    page = open_page(q="windscreen")
    page.pills(key="status").set_value(["denied"]).run()
    assert api.asked[-1][2]["filter"] == {"status": "denied"}
    assert "C-2025-04359" in _html(page)
    assert "C-2026-04137" not in _html(page)


def test_clear_takes_all_filters_away(open_page: OpenPage, api: FakeApi) -> None:
    page = open_page(q="windscreen", status="denied", min="100")
    assert api.asked[-1][2]["filter"] == {"status": "denied", "loss_amount": {"gte": 100.0}}
    page.button(key="clear-filters").click().run()
    assert api.asked[-1][2]["filter"] == {}


def test_more_like_this_asks_with_the_page_and_leaves_words_aside(open_page: OpenPage, api: FakeApi) -> None:
    page_id = next(iter(api.pages))
    page = open_page(like=page_id)
    assert not page.exception
    _, _, query = api.asked[-1]
    assert query["page_id"] == page_id
    assert "text" not in query
    assert api.pages[page_id]["claim_id"] in _html(page)


def test_a_photo_is_searched_with(open_page: OpenPage, api: FakeApi) -> None:
    photo = next(key for key, page in api.pages.items() if page["kind"] == "photo")
    page = open_page()
    page.get("file_uploader")[0].upload("mine.jpg", api.pictures[photo], "image/jpeg").run()
    assert not page.exception
    assert "like your photo" in _html(page)
    assert "100% match" in _html(page)


def test_while_files_are_read_a_search_says_that_it_misses_them(open_page: OpenPage, api: FakeApi) -> None:
    api.jobs["job-9"] = {"job_id": "job-9", "claim_id": "C-2026-04507", "state": "running", "entries": []}
    assert "being read just now" in open_page(q="windscreen").caption[0].value
    api.jobs["job-9"]["state"] = "succeeded"
    backend.forget_searches()
    assert not open_page(q="windscreen").caption


@pytest.mark.parametrize(("stale", "says"), [(1, "1 page is found again"), (1200, "1,200 pages are found again")])
def test_pages_of_another_encoder_are_said_to_be_missed(
    open_page: OpenPage, api: FakeApi, stale: int, says: str
) -> None:
    api.stale = stale
    assert says in open_page(q="windscreen").caption[0].value
    api.stale = None
    backend.forget_searches()
    assert not open_page(q="windscreen").caption


def test_pages_instead_of_claims(open_page: OpenPage, api: FakeApi) -> None:
    open_page(q="windscreen", show="pages")
    assert api.asked[-1][2]["group_by"] == "page"


def test_why_shows_where_the_words_match(open_page: OpenPage, api: FakeApi) -> None:
    page = open_page(q="hail dents")
    page.button(key="why-1").click().run()
    assert not page.exception
    assert api.asked[-1][1] == "/v1/explain"
    assert "cs-words" in _html(page)


def test_nothing_found_says_what_to_do(open_page: OpenPage) -> None:
    page = open_page(q="windscreen", line="travel")
    assert "Nothing passes these filters" in _html(page)


def test_a_refused_search_shows_the_sentence_and_the_code(open_page: OpenPage, api: FakeApi) -> None:
    api.problem = {"status": 422, "code": "bad_filter", "title": "Bad filter", "detail": "loss_amount takes a number."}
    page = open_page(q="windscreen")
    assert page.error[0].value == "loss_amount takes a number."
    assert "bad_filter" in page.caption[0].value


def test_an_unreachable_api_is_said_kindly(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMSIGHT_API_URL", "http://127.0.0.1:9")
    page = open_page()
    assert not page.exception
    assert "API does not answer" in _html(page).replace("&#x27;", "'")
    assert page.button(key="retry-api")


def test_text_from_a_claim_is_never_markup(open_page: OpenPage, api: FakeApi) -> None:
    claim = api.claims["C-2026-04137"]
    claim["damage_types"] = ["<img src=x onerror=alert(1)>"]
    claim["description"] = "<script>alert(2)</script> windscreen"
    for page in (open_page(q="windscreen"), open_page("views/claim.py", claim="C-2026-04137")):
        html = _html(page)
        assert "&lt;img src=x" in html
        assert "<img src=x" not in html
        assert "<script" not in html


def test_claim_page_shows_facts_and_pages(open_page: OpenPage) -> None:
    page = open_page("views/claim.py", claim="C-2026-04507")
    assert not page.exception
    html = _html(page)
    for words in ("C-2026-04507", "$2,419.20", "Honda Civic 2010", "17 Jun 2026", "adjuster-report.pdf, page 2"):
        assert words in html


def test_a_claim_of_many_pages_shows_some_and_steps_through_all(
    open_page: OpenPage, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.client.MOST_LISTED", 20)
    [first] = api.add_file("C-2026-04507", "scan.jpg", next(iter(api.pictures.values())))
    for number in range(2, 46):
        page_id = f"{first[:-1]}{number}"
        api.pictures[page_id] = api.pictures[first]
        api.pages[page_id] = {**api.pages[first], "page_id": page_id, "number": number}
    whole = sum(page["claim_id"] == "C-2026-04507" for page in api.pages.values())
    page = open_page("views/claim.py", claim="C-2026-04507")
    assert not page.exception
    assert _html(page).count('class="cs-file"') == 24
    assert page.button(key="more-pages").label == f"Show more (24 of {whole} pages)"
    page.button(key="more-pages").click().run()
    assert _html(page).count('class="cs-file"') == 48
    page.button(key="more-pages").click().run()
    assert _html(page).count('class="cs-file"') == whole
    assert not [button for button in page.button if button.key == "more-pages"]
    page.button(key=f"view-{first[:-1]}45").click().run()
    assert f"{whole} of {whole}" in _html(page)


def test_an_unknown_claim_is_said_so(open_page: OpenPage) -> None:
    page = open_page("views/claim.py", claim="C-0")
    assert page.error[0].value == "This claim does not exist, or it was deleted."


def test_similar_claims_show_pictures_side_by_side_and_what_they_cost(open_page: OpenPage, api: FakeApi) -> None:
    page = open_page("views/claim.py", claim="C-2026-04211", tab="Similar claims")
    assert not page.exception
    assert api.asked[-1][1:] == (
        "/v1/claims/C-2026-04211/similar",
        {"page_ids": [], "exclude_same_policy": False, "diversity": 0.0, "limit": 6},
    )
    html = _html(page)
    assert "What these 6 claims cost" in html
    assert "half of them $" in html
    assert html.count("</b> photo-") >= 6
    page.toggle(key="apart").set_value(True).run()
    assert api.asked[-1][2]["exclude_same_policy"] is True
    page.button(key="why-1").click().run()
    assert not page.exception
    _, path, other = api.asked[-1]
    assert path.endswith("/matches")
    assert api.pages[path.split("/")[3]]["claim_id"] == "C-2026-04211"
    assert api.pages[other]["claim_id"] != "C-2026-04211"
    assert "mark 2 parts that look alike" in "".join(markdown.value for markdown in page.markdown)


def test_a_photo_that_is_in_another_claim_is_shown_beside_it(open_page: OpenPage, api: FakeApi) -> None:
    assert "Also in other claims" not in _html(open_page("views/claim.py", claim="C-2026-04211"))
    photo = next(p for p in api.pages.values() if (p["claim_id"], p["kind"]) == ("C-2026-04211", "photo"))
    content = (DEMO / "data" / "c-2026-04211" / photo["filename"]).read_bytes()
    api.add_file("C-2026-04137", "photo-again.jpg", content)
    page = open_page("views/claim.py", claim="C-2026-04211")
    assert not page.exception
    html = _html(page)
    assert "Also in other claims" in html
    assert f"the same file</b> {photo['filename']} and photo-again.jpg" in html
    assert "Open C-2026-04137" in {link.proto.label for link in page.get("page_link")}


def test_what_a_photo_says_against_the_claim_is_shown(open_page: OpenPage, api: FakeApi) -> None:
    assert "What the files say themselves" not in _html(open_page("views/claim.py", claim="C-2026-04211"))
    photo = next(p for p in api.pages.values() if (p["claim_id"], p["kind"]) == ("C-2026-04211", "photo"))
    api.told[photo["asset_id"]] = {
        "capture": {"taken_at": "2020-01-02T10:05:00", "make": "Canon", "model": "Canon EOS", "has_place": True},
        "contradictions": [{"code": "taken_long_before_loss", "detail": "Taken <b>long</b> before the loss."}],
    }
    html = _html(open_page("views/claim.py", claim="C-2026-04211"))
    assert f"<b>{photo['filename']}</b>: Taken &lt;b&gt;long&lt;/b&gt; before the loss." in html
    html = _html(open_page("views/claim.py", claim="C-2026-04211", tab="Files"))
    assert "taken 02 Jan 2020, 10:05 · Canon EOS · names its place" in html


def test_no_comparable_claim_is_said_so(open_page: OpenPage, api: FakeApi) -> None:
    api.claims = {"C-2026-04211": api.claims["C-2026-04211"]}
    page = open_page("views/claim.py", claim="C-2026-04211", tab="Similar claims")
    assert "No comparable claim" in _html(page)


def test_an_upload_is_followed_file_by_file(open_page: OpenPage, api: FakeApi) -> None:
    photo = next(key for key, page in api.pages.items() if page["kind"] == "photo")
    page = open_page("views/claim.py", claim="C-2026-04507", tab="Files")
    uploader = page.get("file_uploader")[0]
    uploader.upload("photo-new.jpg", api.pictures[photo], "image/jpeg")
    uploader.upload("broken.jpg", b"not a picture", "image/jpeg").run()
    page.button(key="send-files").click().run()
    assert not page.exception
    html = _html(page)
    assert "photo-new.jpg" in html
    assert "searchable" in html
    assert "The file cannot be read." in html
    assert "not_an_image" in html


@pytest.mark.parametrize("tab", ["Overview", "Files"])
def test_what_somebody_else_uploaded_is_told_while_it_is_read(open_page: OpenPage, api: FakeApi, tab: str) -> None:
    entries = [
        {"filename": "a.pdf", "state": "succeeded", "pages_done": 2, "pages_total": 2},
        {"filename": "b.pdf", "state": "failed"},
        {"filename": "c.pdf", "state": "running"},
    ]
    job = {"job_id": "job-9", "claim_id": "C-2026-04507", "state": "running", "entries": entries}
    api.jobs["job-9"] = job
    api.pages = {}
    page = open_page("views/claim.py", claim="C-2026-04507", tab=tab)
    assert not page.exception
    assert "Reading the files: 2 of 3 files done, 1 failed." in page.info[0].value
    assert "No pages yet" not in _html(page)
    job["state"] = "succeeded"
    page = open_page("views/claim.py", claim="C-2026-04507", tab=tab)
    assert not page.info


def test_claims_are_listed_and_filtered(open_page: OpenPage) -> None:
    page = open_page("views/claims.py", line="auto", make="Honda")
    assert not page.exception
    links = {link.proto.label for link in page.get("page_link")}
    assert links == {"C-2026-04507", "C-2026-04322"}
