"""Settings come from CLAIMSIGHT_ variables, are checked at the start, and hide their secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import FOREIGN, Settings, load_settings
from app.settings_shown import effective, settings_markdown
from retrieval.errors import InvalidInput

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.upper().startswith("CLAIMSIGHT_"):
            monkeypatch.delenv(name)


def test_defaults_are_an_embedded_store_on_this_machine() -> None:
    settings = load_settings()
    assert settings.store.get_secret_value() == "sqlite:.claimsight/data"
    assert (settings.host, settings.port, settings.encoder, settings.tenant) == ("127.0.0.1", 8000, "local", "default")
    assert settings.spool_folder() == Path(".claimsight/data/spool")


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMSIGHT_PORT", "9001")
    monkeypatch.setenv("CLAIMSIGHT_WORKERS", "3")
    settings = load_settings(port=9002, workers=None)
    assert (settings.port, settings.workers) == (9002, 3)


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMSIGHT_PORT", "")
    monkeypatch.setenv("CLAIMSIGHT_API_KEY", "")
    assert load_settings().port == 8000
    assert load_settings().api_key is None


def test_what_a_tenant_may_store_is_a_size_with_or_without_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().limits().stored_bytes is None
    for value, stored_bytes in {"0": None, "1500": 1500, "500 GiB": 500 * 1024**3}.items():
        monkeypatch.setenv("CLAIMSIGHT_MAX_STORED_BYTES", value)
        assert load_settings().limits().stored_bytes == stored_bytes


@pytest.mark.parametrize("name", ["CLAIMSIGHT_STROE", "CLAIMSIGHT_", "claimsight_colour"])
def test_an_unknown_variable_stops_the_start_and_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(InvalidInput, match=name) as raised:
        load_settings()
    assert (raised.value.code, raised.value.field) == ("bad_setting", name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLAIMSIGHT_PORT", "99999"),
        ("CLAIMSIGHT_PORT", "http"),
        ("CLAIMSIGHT_STORE", "postgres://secret-word@host/x"),
        ("CLAIMSIGHT_ENCODER", "gpt"),
        ("CLAIMSIGHT_ENCODER", "onnx:"),
        ("CLAIMSIGHT_TENANT", "a/b"),
        ("CLAIMSIGHT_API_KEY", "secret-word"),
        ("CLAIMSIGHT_VOYAGE_DIMS", "1000"),
        ("CLAIMSIGHT_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_does_not_fit_stops_the_start_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=name) as raised:
        load_settings()
    assert "secret-word" not in raised.value.detail


def test_variables_of_other_rooms_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FOREIGN:
        monkeypatch.setenv(name, "x")
    load_settings()


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMSIGHT_STORE", "mongodb+srv://reader:secret-word@db.example/claims")
    monkeypatch.setenv("CLAIMSIGHT_API_KEY", "secret-word-0123456789")
    monkeypatch.setenv("CLAIMSIGHT_VOYAGE_API_KEY", "secret-word")
    settings = load_settings(port=9000)
    rows = effective(settings, {"port": 9000})
    assert "secret-word" not in repr(rows) + repr(settings) + str(settings.model_dump())
    by_name = {row.name: row for row in rows}
    assert by_name["CLAIMSIGHT_STORE"].value == "mongodb+srv://reader:(hidden)@db.example/claims"
    assert by_name["CLAIMSIGHT_API_KEY"].value == "(set, hidden)"
    assert by_name["CLAIMSIGHT_STORE"].source == "environment"
    assert by_name["CLAIMSIGHT_PORT"].source == "option"
    assert by_name["CLAIMSIGHT_HOST"].source == "default"


def test_every_setting_is_documented_and_the_page_is_current() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    page = ROOT / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == settings_markdown(), "claimsight config --markdown > docs/settings.md"


def test_limits_of_the_ingest_follow_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMSIGHT_MAX_FILE_MIB", "3")
    monkeypatch.setenv("CLAIMSIGHT_MAX_REQUEST_MIB", "5")
    monkeypatch.setenv("CLAIMSIGHT_MAX_PAGES", "7")
    limits = load_settings().limits()
    assert (limits.file_bytes, limits.request_bytes, limits.pages) == (3 * 2**20, 5 * 2**20, 7)
