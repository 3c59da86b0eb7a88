"""An OpenID Connect issuer on this machine: publishes its keys over real HTTP and signs tokens with them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

AUDIENCE = "claimsight-api"
CLIENT = "claimsight-dashboard"
Key = ECKey | RSAKey


@dataclass
class FakeIssuer:
    """keys: published, by id. asked: paths of the requests that came. broken: answers with 500. about: members that
    replace those of the configuration. body: instead of the key list. person: claims of whoever comes to log in, who is
    asked nothing. logins: nonce of each login that has not fetched its tokens yet, by its code."""

    url: str = ""
    keys: dict[str, Key] = field(default_factory=dict[str, Key])
    asked: list[str] = field(default_factory=list[str])
    broken: bool = False
    about: dict[str, Any] = field(default_factory=dict[str, Any])
    body: bytes | None = None
    person: dict[str, Any] = field(default_factory=dict[str, Any])
    logins: dict[str, str] = field(default_factory=dict[str, str])

    def new_key(self, kid: str, *, published: bool = True, kind: str = "EC") -> Key:
        parameters: Any = {"kid": kid, "use": "sig"}
        key: Key = ECKey.generate_key("P-256", parameters) if kind == "EC" else RSAKey.generate_key(2048, parameters)
        if published:
            self.keys[kid] = key
        return key

    def token(self, key: Key | None = None, *, algorithm: str = "ES256", **claims: Any) -> str:
        """By the first published key when none is named. Claims that are None are left out."""
        key = key or next(iter(self.keys.values()))
        now = int(time.time())
        whole = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "exp": now + 600,
            "iat": now,
            "roles": ["viewer"],
            **claims,
        }
        kept = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode({"alg": algorithm, "kid": key.kid}, kept, key, algorithms=[algorithm])

    def answer(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "id_token_signing_alg_values_supported": ["ES256"],
                **self.about,
            }
        if path == "/keys":
            return {"keys": [key.as_dict(private=False) for key in self.keys.values()]}
        return None

    def come_back(self, query: str) -> str:
        """Where the browser of a login goes next, with a code."""
        asked = dict(parse_qsl(query))
        code = f"code-{len(self.asked)}"
        self.logins[code] = asked["nonce"]
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def tokens(self, form: str) -> dict[str, Any]:
        """For a code, once: one token for the API, one that tells the client who it is."""
        nonce = self.logins.pop(dict(parse_qsl(form))["code"])
        whose = self.token(aud=CLIENT, nonce=nonce, **self.person)
        return {"token_type": "Bearer", "expires_in": 600, "access_token": self.token(**self.person), "id_token": whose}


@contextmanager
def serving(issuer: FakeIssuer) -> Iterator[FakeIssuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            path, _, query = self.path.partition("?")
            if path == "/authorize":
                self.send_response(302)
                self.send_header("location", issuer.come_back(query))
                self.send_header("content-length", "0")
                self.end_headers()
                return
            found = issuer.answer(self.path)
            body = issuer.body if issuer.body is not None and self.path == "/keys" else json.dumps(found).encode()
            self._send(500 if issuer.broken else 200 if found else 404, body)

        def do_POST(self) -> None:
            issuer.asked.append(self.path)
            form = self.rfile.read(int(self.headers["content-length"])).decode()
            self._send(200, json.dumps(issuer.tokens(form)).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
