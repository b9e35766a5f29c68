"""What the hub and a browser do in a login by OpenID Connect, one step at a time."""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from support.client import LikeBrowsers
from support.hub import show_log
from support.identity_service import IdentityService
from support.places import free_ports

CALLBACK = "http://localhost:9/hub/oauth_callback"
SCOPE = "openid profile email offline_access"


@dataclass
class Client:
    """The hub's part in a login."""

    service: IdentityService
    method: str = "S256"

    def __post_init__(self):
        self.browser = requests.Session()
        self.browser.cookies.set_policy(LikeBrowsers())
        self.verifier = secrets.token_urlsafe(40)

    def open(self, **changed) -> requests.Response:
        """The login page, or where else the request led."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode() if self.method == "S256" else self.verifier
        asked = {"client_id": "mlinfn", "response_type": "code", "redirect_uri": CALLBACK, "scope": SCOPE,
                 "state": "s1", "code_challenge": challenge, "code_challenge_method": self.method,
                 **changed}  # fmt: skip
        return self.browser.get(f"{self.service.issuer}/authorize", params=asked, timeout=10)

    def submit(self, page: requests.Response, name: str, password: str) -> requests.Response:
        """The answer to the form on the page."""
        action = re.search(r'action="([^"]+)"', page.text).group(1)
        url = f"http://localhost:{self.service.port}{action}"
        fields = {"username": name, "password": password}
        return self.browser.post(url, data=fields, timeout=10, allow_redirects=False)

    def log_in(self, name: str, **changed) -> dict[str, str]:
        """What comes back to the callback."""
        answer = self.submit(self.open(**changed), name, self.service.people[name])
        while not (there := answer.headers["Location"]).startswith(CALLBACK):
            answer = self.browser.get(there, timeout=10, allow_redirects=False)
        return {key: value for key, [value] in parse_qs(urlsplit(there).query).items()}

    def token(self, **fields) -> requests.Response:
        """The answer of the token endpoint."""
        secret = self.service.client_secret_file.read_text()
        return requests.post(f"{self.service.issuer}/token", data=fields, auth=("mlinfn", secret), timeout=10)

    def redeem(self, code: str, **changed) -> requests.Response:
        """The answer to a code."""
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK,
                  "code_verifier": self.verifier, **changed}  # fmt: skip
        return self.token(**fields)

    def tokens(self, name: str, **changed) -> dict:
        """The tokens of a person who has just logged in."""
        answer = self.redeem(self.log_in(name, **changed)["code"])
        assert answer.ok, answer.text
        return answer.json()

    def refresh(self, tokens: dict) -> requests.Response:
        """The answer to a refresh token."""
        return self.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    def userinfo(self, tokens: dict) -> requests.Response:
        """The answer to an access token."""
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        return requests.get(f"{self.service.issuer}/userinfo", headers=header, timeout=10)


@pytest.fixture(scope="session")
def demo_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityService]:
    """One service for all tests of the service itself."""
    service = IdentityService(tmp_path_factory.mktemp("demo"), free_ports(), redirect_uris=(CALLBACK,))
    service.start()
    yield service
    service.stop()


@pytest.fixture
def service(demo_process: IdentityService, request: pytest.FixtureRequest) -> Iterator[IdentityService]:
    """That service; what a test switched on or changed is undone."""
    people = (demo_process.files / "people.json").read_text()
    yield demo_process
    (demo_process.files / "people.json").write_text(people)
    demo_process.switch(outage=None, only=None, delay_ms=0, drift_s=0, rotate=False, aup=[], disabled=[])
    show_log(demo_process, request)


@pytest.fixture
def client(service: IdentityService) -> Client:
    """A client and a browser with which nobody has logged in."""
    return Client(service)
