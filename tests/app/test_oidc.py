"""Tokens of an issuer: only those that it signed, for us, now, with a role; its keys are fetched seldom."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from app.identity import Identity, IssuerUnavailable, NotAllowed, NotAuthenticated
from app.oidc import Tokens, Trust
from app.settings import load_settings
from retrieval.errors import ClaimsightError, InvalidInput
from retrieval.keys import Role
from tests.app.conftest import TENANT, MakeApi
from tests.fakes.issuer import AUDIENCE, FakeIssuer, serving


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with serving(FakeIssuer()) as running:
        running.new_key("first")
        yield running


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def trust(issuer: FakeIssuer, **options: Any) -> Trust:
    return Trust(**({"issuer": issuer.url, "audience": AUDIENCE, "tenant": TENANT} | options))


async def code_of(tokens: Tokens, token: str) -> str:
    with pytest.raises(ClaimsightError) as refused:
        await tokens.identify(token)
    return refused.value.code


async def test_a_token_opens_the_api_with_its_role(issuer: FakeIssuer, make_api: MakeApi) -> None:
    api = await make_api(tokens=Tokens(trust(issuer, tenant_claim="org")))

    async def get(path: str, token: str) -> httpx2.Response:
        return await api.client.get(path, headers={"Authorization": f"Bearer {token}"})

    me = (await get("/v1/me", issuer.token(org="acme", roles=["adjuster"], name="Ann Meyer"))).json()
    assert (me["tenant"], me["role"], me["actor"], me["name"]) == ("acme", "adjuster", "oidc:ann", "Ann Meyer")
    assert me["expires_at"] is not None
    late = await get("/v1/me", issuer.token(org="acme", exp=int(time.time()) - 60))
    assert (late.status_code, late.json()["code"]) == (401, "token_expired")
    assert late.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    for path, status in (("/v1/claims", 200), ("/metrics", 403)):
        assert (await get(path, issuer.token(org="acme"))).status_code == status
    assert (await get("/metrics", issuer.token(org=TENANT, roles="admin"))).status_code == 200
    assert (await api.client.get("/v1/claims")).status_code == 401


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "https://other.example"}, "token_invalid"),
        ({"iss": None}, "token_invalid"),
        ({"aud": "another-api"}, "token_invalid"),
        ({"aud": None}, "token_invalid"),
        ({"exp": None}, "token_invalid"),
        ({"exp": "soon"}, "token_invalid"),
        ({"exp": int(time.time()) - 3600}, "token_expired"),
        ({"nbf": int(time.time()) + 3600}, "token_invalid"),
        ({"sub": None}, "token_invalid"),
        ({"sub": "a\nb"}, "token_invalid"),
        ({"sub": "x" * 129}, "token_invalid"),
        ({"sub": ["ann"]}, "token_invalid"),
        ({"roles": None}, "no_role"),
        ({"roles": []}, "no_role"),
        ({"roles": ["owner"]}, "no_role"),
        ({"roles": "administrator"}, "no_role"),
        ({"roles": {"admin": True}}, "no_role"),
    ],
)
async def test_a_token_that_says_something_else_is_refused(
    issuer: FakeIssuer, claims: dict[str, Any], code: str
) -> None:
    assert await code_of(Tokens(trust(issuer)), issuer.token(**claims)) == code


async def test_a_signature_that_is_not_the_issuer_s_is_refused(issuer: FakeIssuer) -> None:
    tokens = Tokens(trust(issuer))
    good = issuer.token()
    assert isinstance(await tokens.identify(good), Identity)
    head, body, signature = good.split(".")
    other = FakeIssuer(url=issuer.url)
    forged = other.token(other.new_key("first"))
    admin = _base64(json.dumps({"iss": issuer.url, "roles": ["admin"]}).encode())
    for wrong in (forged, f"{head}.{admin}.{signature}", f"{head}.{body}.", f"{head}.{body}", "a.b.c", "...", "é.é.é"):
        assert await code_of(tokens, wrong) == "token_invalid", wrong
    assert await code_of(tokens, issuer.token(name="x" * 20_000)) == "token_invalid"


async def test_only_the_listed_signatures_are_taken(issuer: FakeIssuer) -> None:
    """Neither none, nor a symmetric one made with the published key, nor one that is not on the list."""
    rsa = issuer.new_key("rsa", kind="RSA")
    tokens = Tokens(trust(issuer, algorithms=("ES256",)))
    assert isinstance(await tokens.identify(issuer.token()), Identity)
    assert await code_of(tokens, issuer.token(rsa, algorithm="RS256")) == "token_invalid"
    assert isinstance(
        await Tokens(trust(issuer, algorithms=("RS256",))).identify(issuer.token(rsa, algorithm="RS256")), Identity
    )
    body = issuer.token().split(".")[1]
    none, symmetric = (_base64(json.dumps({"alg": name, "kid": "first"}).encode()) for name in ("none", "HS256"))
    assert await code_of(tokens, f"{none}.{body}.") == "token_invalid"
    published = issuer.keys["first"]
    signed = f"{symmetric}.{body}"
    for secret in (published.as_pem(private=False), published.as_der(private=False)):
        forged = hmac.digest(secret, signed.encode(), "sha256")
        assert await code_of(tokens, f"{signed}.{_base64(forged)}") == "token_invalid"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@pytest.mark.parametrize(
    ("names", "claims", "tenant", "role"),
    [
        ({}, {"roles": "viewer adjuster"}, TENANT, Role.adjuster),
        ({}, {"roles": ["admin", "viewer", 7]}, TENANT, Role.admin),
        ({"role_claim": "realm_access.roles"}, {"realm_access": {"roles": ["admin"]}}, TENANT, Role.admin),
        (
            {"role_claim": "https://acme.example/roles", "tenant_claim": "https://acme.example/org"},
            {"https://acme.example/roles": "viewer", "https://acme.example/org": "acme"},
            "acme",
            Role.viewer,
        ),
    ],
)
async def test_tenant_and_role_stand_where_the_settings_say(
    issuer: FakeIssuer, names: dict[str, str], claims: dict[str, Any], tenant: str, role: Role
) -> None:
    who = await Tokens(trust(issuer, **names)).identify(issuer.token(**claims))
    assert (who.tenant, who.role, who.operator) == (tenant, role, tenant == TENANT)


@pytest.mark.parametrize("org", [None, "", "a/b", "ümlaut", ["acme"], "x" * 65])
async def test_a_token_without_a_tenant_of_the_right_form_is_refused(issuer: FakeIssuer, org: object) -> None:
    with pytest.raises(NotAllowed) as refused:
        await Tokens(trust(issuer, tenant_claim="org")).identify(issuer.token(org=org))
    assert refused.value.code == "no_tenant"


async def test_keys_are_fetched_once_for_many_requests_and_again_when_they_are_old(issuer: FakeIssuer) -> None:
    clock = Clock()
    tokens = Tokens(trust(issuer), clock=clock)
    await asyncio.gather(*(tokens.identify(issuer.token()) for _ in range(10)))
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    clock.now += 3600
    await tokens.identify(issuer.token())
    assert issuer.asked.count("/keys") == 2


async def test_a_new_key_of_the_issuer_is_found_and_unknown_ones_do_not_make_us_ask_again_and_again(
    issuer: FakeIssuer,
) -> None:
    clock = Clock()
    tokens = Tokens(trust(issuer), clock=clock)
    await tokens.identify(issuer.token())
    second, stranger = issuer.new_key("second"), issuer.new_key("stranger", published=False)
    clock.now += 60
    assert (await tokens.identify(issuer.token(second))).actor == "oidc:ann"
    assert issuer.asked.count("/keys") == 2
    for _ in range(5):
        assert await code_of(tokens, issuer.token(stranger)) == "token_invalid"
    assert issuer.asked.count("/keys") == 2
    del issuer.keys["first"]
    clock.now += 3600
    await tokens.identify(issuer.token(second))
    old = FakeIssuer(url=issuer.url)
    assert await code_of(tokens, old.token(old.new_key("first"))) == "token_invalid"


async def test_when_the_issuer_is_down_known_keys_serve_for_a_day(issuer: FakeIssuer) -> None:
    clock = Clock()
    tokens = Tokens(trust(issuer), clock=clock)
    issuer.broken = True
    with pytest.raises(IssuerUnavailable):
        await tokens.identify(issuer.token())
    issuer.broken = False
    await tokens.identify(issuer.token())
    issuer.broken = True
    clock.now += 12 * 3600
    await tokens.identify(issuer.token())
    asked = len(issuer.asked)
    await tokens.identify(issuer.token())
    assert len(issuer.asked) == asked, "not once more with each request"
    clock.now += 13 * 3600
    with pytest.raises(IssuerUnavailable):
        await tokens.identify(issuer.token())


@pytest.mark.parametrize(
    ("about", "body"),
    [
        ({"issuer": "https://other.example"}, None),
        ({"jwks_uri": "http://keys.example/keys"}, None),
        ({"jwks_uri": "file:///etc/passwd"}, None),
        ({}, b"<html>"),
        ({}, b'{"keys": "none"}'),
        ({}, b'{"keys": []}'),
        ({}, b'{"keys": [7]}'),
        ({}, b'["keys"]'),
        ({}, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "first"}]}'),
        ({}, b'{"keys": [], "more": "' + b"x" * 600_000 + b'"}'),
    ],
)
async def test_an_issuer_that_publishes_something_else_is_not_believed(
    issuer: FakeIssuer, about: dict[str, Any], body: bytes | None
) -> None:
    issuer.about, issuer.body = about, body
    with pytest.raises(IssuerUnavailable):
        await Tokens(trust(issuer)).identify(issuer.token())


async def test_an_issuer_that_is_away_is_told_as_503(issuer: FakeIssuer, make_api: MakeApi) -> None:
    issuer.broken = True
    api = await make_api(tokens=Tokens(trust(issuer)))
    reply = await api.client.get("/v1/claims", headers={"Authorization": f"Bearer {issuer.token()}"})
    assert (reply.status_code, reply.json()["code"]) == (503, "issuer_unavailable")
    assert "retry-after" in reply.headers


async def test_the_address_of_the_keys_may_be_given(issuer: FakeIssuer) -> None:
    await Tokens(trust(issuer, jwks_url=f"{issuer.url}/keys")).identify(issuer.token())
    assert issuer.asked == ["/keys"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"oidc_issuer": "http://login.example", "oidc_audience": "a"}, "CLAIMSIGHT_OIDC_ISSUER"),
        ({"oidc_issuer": "login.example", "oidc_audience": "a"}, "CLAIMSIGHT_OIDC_ISSUER"),
        ({"oidc_issuer": "https://login.example"}, "CLAIMSIGHT_OIDC_AUDIENCE"),
        (
            {"oidc_issuer": "https://login.example", "oidc_audience": "a", "oidc_algorithms": "HS256"},
            "CLAIMSIGHT_OIDC_ALGORITHMS",
        ),
        (
            {"oidc_issuer": "https://login.example", "oidc_audience": "a", "oidc_algorithms": "none"},
            "CLAIMSIGHT_OIDC_ALGORITHMS",
        ),
    ],
)
def test_settings_that_would_be_unsafe_stop_the_start(given: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_settings(**given)
    assert refused.value.field == field


def test_settings_become_what_is_trusted() -> None:
    assert load_settings().trust() is None
    found = load_settings(oidc_issuer="https://login.example/", oidc_audience="a", tenant="home").trust()
    assert found == Trust("https://login.example/", "a", "home", algorithms=["RS256", "ES256"])


def test_not_authenticated_says_how_to() -> None:
    assert NotAuthenticated("x", given=False).challenge == "Bearer"
