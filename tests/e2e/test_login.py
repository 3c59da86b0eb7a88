"""The way into the dashboard in a real browser, in front of a server that asks for keys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from tests.e2e.dashboard import CHROMIUM, browser, dashboard, settled
from tests.e2e.processes import embedding_service, environment, free_port, serving, with_embedding_service
from tests.fakes.issuer import AUDIENCE, CLIENT, FakeIssuer
from tests.fakes.issuer import serving as issuing

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

WAIT_MS = 60_000


def _keys(folder: Path, *words: str) -> str:
    """`claimsight keys` on the data of that folder; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "keys", *words],
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_key_opens_the_dashboard_until_it_is_revoked_and_stays_out_of_the_browser(tmp_path: Path) -> None:
    key = _keys(tmp_path, "create", "--name", "Ann Meyer", "--role", "adjuster")
    with (
        embedding_service() as embedding,
        serving(tmp_path, workers=0, extra=with_embedding_service(embedding)) as server,
        dashboard(server.url, tmp_path) as address,
        browser() as chromium,
    ):
        held = {"Authorization": f"Bearer {key}"}
        httpx2.put(f"{server.url}/v1/claims/C-1", json={}, headers=held, timeout=WAIT_MS / 1000).raise_for_status()
        page = chromium.new_page()
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        page.goto(address)
        page.get_by_label("Your key").fill("claimsight_wrong")
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_text("not one that opens")).to_be_visible()
        page.get_by_label("Your key").fill(key)
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_text("Ann Meyer")).to_be_visible()
        page.get_by_test_id("stTopNavLink").get_by_text("Claims").click()
        expect(page.get_by_role("link", name="C-1")).to_be_visible()
        stored = page.evaluate("() => JSON.stringify([localStorage, sessionStorage, document.cookie])")
        assert key not in settled(page).content() + page.url + stored
        _keys(tmp_path, "revoke", key.split("_")[1])
        page.get_by_role("link", name="C-1").click()
        expect(page.get_by_label("Your key")).to_be_visible()
        expect(page.get_by_text("revoked")).to_be_visible()


def test_the_login_of_the_identity_provider_opens_the_dashboard_and_no_script_sees_its_token(
    tmp_path: Path,
) -> None:
    port, issuer = free_port(), FakeIssuer(person={"sub": "ann", "name": "Ann Meyer", "roles": ["adjuster"]})
    issuer.new_key("one")
    with issuing(issuer), embedding_service() as embedding, browser() as chromium:
        trusted = {"CLAIMSIGHT_OIDC_ISSUER": issuer.url, "CLAIMSIGHT_OIDC_AUDIENCE": AUDIENCE}
        secrets = tmp_path / "home" / ".streamlit" / "secrets.toml"
        secrets.parent.mkdir(parents=True)
        secrets.write_text(
            "[auth]\n"
            f'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            'cookie_secret = "a-secret-of-this-test-of-more-than-32-characters"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "not-asked-for"\n'
            f'server_metadata_url = "{issuer.url}/.well-known/openid-configuration"\n'
            'expose_tokens = ["access"]\n',
            encoding="utf-8",
        )
        with (
            serving(tmp_path, workers=0, extra={**with_embedding_service(embedding), **trusted}) as server,
            dashboard(server.url, tmp_path, home=tmp_path / "home", port=port) as address,
        ):
            held = {"Authorization": f"Bearer {issuer.token(roles=['adjuster'])}"}
            made = httpx2.put(f"{server.url}/v1/claims/C-1", json={}, headers=held, timeout=WAIT_MS / 1000)
            made.raise_for_status()
            page = chromium.new_page()
            page.set_default_timeout(WAIT_MS)
            expect.set_options(timeout=WAIT_MS)
            page.goto(address)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_text("adjuster")).to_be_visible()
            page.get_by_test_id("stTopNavLink").get_by_text("Claims").click()
            expect(page.get_by_role("link", name="C-1")).to_be_visible()
            stored = page.evaluate("() => JSON.stringify([localStorage, sessionStorage, document.cookie])")
            assert "eyJ" not in settled(page).content() + page.url + stored  # how every token begins
            cookies = [one for one in page.context.cookies() if one["name"].startswith("_streamlit_user")]
            assert cookies
            assert all(one["httpOnly"] and one["sameSite"] == "Lax" for one in cookies)
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_label("Your key")).to_be_visible()
