"""A small OpenID provider that lies on demand: wrong id tokens, strange claims, errors, web pages and silence.

It follows the standards where nothing else is asked for (PKCE, codes and refresh tokens that work once), in a thread of
the test's own process, so that a test sets what comes next as plain attributes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from support import secrecy

CLIENT, SECRET = "a-client", "a-secret-that-nobody-else-has"
PARTS = {"/.well-known/openid-configuration": "discovery", "/authorize": "authorize", "/token": "token",
         "/userinfo": "userinfo", "/jwk": "keys"}  # fmt: skip
PEOPLE = {
    "anna": {"sub": "sub-anna", "preferred_username": "anna", "name": "Anna Rossi", "email": "anna@example.org",
             "groups": ["cms", "cms/ml"]},
}  # fmt: skip
_KEY = rsa.generate_private_key(65537, 2048)
_OTHER_KEY = rsa.generate_private_key(65537, 2048)
_NEXT_KEY = rsa.generate_private_key(65537, 2048)


class Issuer:
    """The provider. `with Issuer() as issuer: issuer.url` is its address, without a slash at the end."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.issued: set[str] = set()
        secrecy.run.keep_from(lambda: self.issued)
        self.reset()

    def reset(self) -> None:
        """Tell the truth again, and let anna log in."""
        self.person = dict(PEOPLE["anna"])
        self.answers: dict[str, tuple[int, bytes] | None] = {}
        """part -> status and body instead of the right ones; None never answers."""
        self.forge: Callable[[Issuer, dict], str | None] = lambda issuer, claims: issuer.signed(claims)
        self.key, self.kid = _KEY, "one"
        self.secret = SECRET
        self.life_s: object = 3600
        self.error: dict[str, str] | None = None
        """What to send the browser back with instead of a code."""
        self.metadata: dict[str, object] = {}
        self.codes: dict[str, dict] = {}
        self.refresh: dict[str, dict] = {}
        self.access: dict[str, dict] = {}
        self.is_gone = False
        """No refresh token is good any more, as for an account that was disabled."""
        self.gives_refresh_tokens = True
        self.refuses: set[str] = set()
        """Subjects whose access tokens are good for nothing."""

    def __enter__(self) -> Issuer:
        ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self.thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *error) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        (socket,) = bind_sockets(0, "127.0.0.1")
        self.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        server = HTTPServer(Application([(r"/.*", _Page, {"issuer": self})]))
        server.add_socket(socket)
        ready.set()
        await self.ended.wait()
        server.stop()
        await server.close_all_connections()

    def change_keys(self, kid: str) -> None:
        """From now on another key signs, under that name, and the one of before is gone."""
        self.key, self.kid = _NEXT_KEY, kid

    def signed(self, claims: dict, algorithm: str = "RS256") -> str:
        """An id token as it should be."""
        return jwt.encode(claims, self.key, algorithm=algorithm, headers={"kid": self.kid})

    def new(self) -> str:
        """A token or code that was never there before."""
        self.issued.add(token := secrets.token_urlsafe(24))
        return token

    def tokens(self, nonce: str | None, person: dict) -> dict:
        """An answer of the token endpoint."""
        access, refresh, now = self.new(), self.new(), int(time.time())
        self.access[access] = self.refresh[refresh] = person
        renewable = {"refresh_token": refresh} if self.gives_refresh_tokens else {}
        claims = {"iss": self.url + "/", "aud": CLIENT, "sub": person["sub"], "iat": now, "exp": now + 600}
        token = self.forge(self, {**claims, **({"nonce": nonce} if nonce else {})})
        if token:
            self.issued.add(token)
        return {"access_token": access, **renewable, "token_type": "Bearer", "expires_in": self.life_s,
                "scope": "openid profile email offline_access", **({"id_token": token} if token else {})}  # fmt: skip


class _Page(RequestHandler):
    def initialize(self, issuer: Issuer) -> None:
        self.issuer = issuer

    async def prepare(self) -> None:
        part = PARTS.get(self.request.path, "")
        self.issuer.asked[part] += 1
        if part in self.issuer.answers:
            answer = self.issuer.answers[part]
            if answer is None:
                await asyncio.sleep(3600)
            self.set_status(answer[0])
            self.finish(answer[1])

    def get(self) -> None:
        getattr(self, f"_{PARTS.get(self.request.path, 'missing')}")()

    post = get

    def _missing(self) -> None:
        self.send_error(404)

    def _discovery(self) -> None:
        url = self.issuer.url
        self.finish({"issuer": url + "/", "authorization_endpoint": f"{url}/authorize",
                     "token_endpoint": f"{url}/token", "userinfo_endpoint": f"{url}/userinfo",
                     "jwks_uri": f"{url}/jwk", **self.issuer.metadata})  # fmt: skip

    def _keys(self) -> None:
        key = json.loads(RSAAlgorithm.to_jwk(self.issuer.key.public_key()))
        self.finish({"keys": [{**key, "kid": self.issuer.kid, "use": "sig", "alg": "RS256"}]})

    def _authorize(self) -> None:
        given = {name: self.get_argument(name, "") for name in ("state", "nonce", "code_challenge", "redirect_uri")}
        assert self.get_argument("code_challenge_method") == "S256"
        code = self.issuer.new()
        self.issuer.codes[code] = {**given, "person": dict(self.issuer.person)}
        answer = self.issuer.error or {"code": code}
        self.redirect(f"{given['redirect_uri']}?{urlencode({**answer, 'state': given['state']})}")

    def _token(self) -> None:
        expected = base64.b64encode(f"{CLIENT}:{self.issuer.secret}".encode()).decode()
        if self.request.headers.get("Authorization") != f"Basic {expected}":
            return self._error(401, "invalid_client")
        if self.get_argument("grant_type") == "refresh_token":
            person = self.issuer.refresh.pop(self.get_argument("refresh_token"), None)
            if person is None or self.issuer.is_gone:
                return self._error(400, "invalid_grant")
            return self.finish(self.issuer.tokens(None, person))
        login = self.issuer.codes.pop(self.get_argument("code"), None)
        digest = hashlib.sha256(self.get_argument("code_verifier").encode()).digest()
        given = {"code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
                 "redirect_uri": self.get_argument("redirect_uri")}  # fmt: skip
        if not login or any(login[name] != value for name, value in given.items()):
            return self._error(400, "invalid_grant")
        return self.finish(self.issuer.tokens(login["nonce"], login["person"]))

    def _userinfo(self) -> None:
        token = self.request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.issuer.access.get(token, {}).get("sub") in {None, *self.issuer.refuses}:
            return self._error(401, "invalid_token")
        return self.finish(json.dumps(self.issuer.person))

    def _error(self, status: int, error: str) -> None:
        self.set_status(status)
        self.finish({"error": error, "error_description": "words-of-the-issuer"})

    def log_request(self) -> None: ...


def _with(**changes) -> Callable[[Issuer, dict], str]:
    return lambda issuer, claims: issuer.signed({**claims, **changes})


def _public_key_as_secret(issuer: Issuer, claims: dict) -> str:
    """The old trick: HS256 with the public key as the secret. PyJWT refuses to sign so, hence by hand."""
    public = _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [json.dumps({"alg": "HS256", "typ": "JWT", "kid": "one"}), json.dumps(claims)]
    text = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    mac = hmac.digest(public, text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


FORGED: dict[str, Callable[[Issuer, dict], str | None]] = {
    "another issuer": _with(iss="https://iam.example.org"),
    "another audience": _with(aud="another-client"),
    "two audiences, for another": _with(aud=[CLIENT, "another-client"], azp="another-client"),
    "another subject": _with(sub="sub-bob"),
    "another login": _with(nonce="of-another-login"),
    "no subject": _with(sub=None),
    "a list as subject": _with(sub=["sub-anna"]),
    "no algorithm": lambda issuer, claims: jwt.encode(claims, None, algorithm="none", headers={"kid": "one"}),
    "the public key as a secret": _public_key_as_secret,
    "another key": lambda issuer, claims: jwt.encode(claims, _OTHER_KEY, algorithm="RS256", headers={"kid": "one"}),
    "another subject, another key": lambda issuer, claims: jwt.encode(
        {**claims, "sub": "sub-bob"}, _OTHER_KEY, algorithm="RS256", headers={"kid": "one"}),
    "an unknown key": lambda issuer, claims: jwt.encode(claims, _OTHER_KEY, algorithm="RS256", headers={"kid": "two"}),
    "no id token": lambda issuer, claims: None,
    "no token at all": lambda issuer, claims: "rubbish",
    "expired": _with(iat=1_000_000_000, exp=1_000_000_600),
    "of tomorrow": lambda issuer, claims: issuer.signed({**claims, "iat": claims["iat"] + 86400, "exp": 2**32}),
}
