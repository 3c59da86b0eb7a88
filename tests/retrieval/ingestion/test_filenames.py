"""Names of uploads are shown, never followed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.documents import EntryState
from retrieval.ingestion.filenames import NAME_BYTES, clean_filename
from tests.retrieval.ingestion.conftest import CLAIM, TENANT, House, sample

UMLAUT = "Scha\u0308den.pdf"
SHOWN = {
    "../../../../tmp/escape.pdf": "escape.pdf",
    "..\\..\\windows\\escape.pdf": "escape.pdf",
    "/etc/cron.d/escape.pdf": "escape.pdf",
    "C:\\escape.pdf": "escape.pdf",
    "a\0.pdf": "a.pdf",
    "line\nbreak.pdf": "linebreak.pdf",
    "head\r\nX-Injected: 1.pdf": "headX-Injected: 1.pdf",
    "\u202efdp.exe": "fdp.exe",
    "Schäden_事故_حادث.pdf": "Schäden_事故_حادث.pdf",
    UMLAUT: "Schäden.pdf",
    "x" * 296 + ".pdf": "x" * 193 + "….pdf",
    "é" * 130 + ".pdf": "é" * 96 + "….pdf",
    "-rf.pdf": "-rf.pdf",
    "--help": "--help",
    ".htaccess": ".htaccess",
    "": "upload.pdf",
    "CON.pdf": "CON.pdf",
    "a.pdf.exe": "a.pdf.exe",
    "<img src=x onerror=alert(1)>.pdf": "<img src=x onerror=alert(1)>.pdf",
    "=cmd|' /C calc'!A0.pdf": "=cmd|' /C calc'!A0.pdf",
    "'; DROP TABLE pages;--.pdf": "'; DROP TABLE pages;--.pdf",
    '{"$gt": ""}.pdf': '{"$gt": ""}.pdf',
    "${jndi:ldap://x.invalid/a}.pdf": "${jndi:ldap://x.invalid/a}.pdf",
    "%2e%2e%2fescape.pdf": "%2e%2e%2fescape.pdf",
    "claim form (1).PDF": "claim form (1).PDF",
}


def test_every_name_of_the_samples_has_its_case() -> None:
    names = [case["name"] for case in json.loads(sample("odd/names.json").read_text())]
    assert {name if len(name) < 120 else name[:1] for name in names} == {
        name if len(name) < 120 else name[:1] for name in SHOWN
    }


@pytest.mark.parametrize("name", SHOWN)
async def test_hostile_name_is_shown_cleaned_and_its_file_indexed(house: House, name: str) -> None:
    job = await house.ingest([(name, sample("odd/ok.pdf").read_bytes())])
    [entry] = job.entries
    assert entry.filename == SHOWN[name]
    assert (entry.state, entry.pages_done) == (EntryState.succeeded, 2)
    [asset] = await house.store.assets.list(TENANT, CLAIM)
    assert (asset.filename, asset.media_type, asset.page_count) == (SHOWN[name], "application/pdf", 2)
    assert house.left_over() == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("scans/2026/page 1.pdf", "page 1.pdf"),
        ("${x}/../../etc/passwd", "passwd"),
        ("folder/", "made"),
        ("..", "made"),
        ("  ", "made"),
        ("\u200b\ufeff", "made"),
        ("می\u200cخواهم.pdf", "می\u200cخواهم.pdf"),
        ("bad \ud800 half.pdf", "bad \ufffd half.pdf"),
        ("x" * 250, "x" * 197 + "…"),
        ("a." + "b" * 250, "a." + "b" * 195 + "…"),
    ],
)
def test_name_is_cleaned(name: str, shown: str) -> None:
    assert clean_filename(name, otherwise="made") == shown


@given(st.text(max_size=400))
def test_any_name_becomes_short_text_of_one_line(name: str) -> None:
    shown = clean_filename(name)
    assert 0 < len(shown.encode()) <= NAME_BYTES
    assert not set(shown) & set("\0\r\n\t\u202e\u2066\u2028")
    assert clean_filename(shown) == shown, "cleaning twice changes nothing"
