"""Grafana's part in a sign-in, without Grafana: the requests that it makes with our configuration, one at a time.

They are those of its generic OAuth as its source has them: the redirect of the browser, the exchange of the code, the
question who that is, and JMESPath over the answer.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import jmespath
import requests

from support.client import Visitor
from support.places import CHECKOUT

INI = CHECKOUT / "grafana/grafana.ini"
REFERENCE = re.compile(r"\$__(env|file)\{([^}]+)\}")


def configuration() -> ConfigParser:
    """Ours, as it is written."""
    parser = ConfigParser(interpolation=None)
    parser.read(INI)
    return parser


class Refused(AssertionError):
    """What Grafana shows instead of a dashboard."""


@dataclass(frozen=True)
class Person:
    """Somebody whom it has signed in."""

    id: str
    login: str
    name: str
    email: str
    role: str


class Grafana:
    """One with our configuration, these variables and the secrets in this folder. Keys that are given are others."""

    def __init__(self, variables: Mapping[str, str], folder: Path, **changed: str):
        self.variables, self.folder = variables, folder
        self.root = self._expanded(configuration()["server"]["root_url"])
        ours = configuration()["auth.generic_oauth"]
        self.oauth = {name: self._expanded(text) for name, text in ours.items()} | changed
        self.verifier, self.state = secrets.token_urlsafe(96), secrets.token_urlsafe(32)

    def _expanded(self, text: str) -> str:
        return REFERENCE.sub(lambda found: self._value(*found.groups()), text)

    def _value(self, kind: str, name: str) -> str:
        return self.variables[name] if kind == "env" else (self.folder / Path(name).name).read_text().strip()

    @property
    def callback(self) -> str:
        """Where the hub sends a browser back to."""
        return f"{self.root.rstrip('/')}/login/generic_oauth"

    def authorize_url(self) -> str:
        """Where a browser is sent first."""
        challenge = urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        asked = {"client_id": self.oauth["client_id"], "code_challenge": challenge, "code_challenge_method": "S256",
                 "redirect_uri": self.callback, "response_type": "code", "scope": self.oauth["scopes"],
                 "state": self.state}  # fmt: skip
        return f"{self.oauth['auth_url']}?{urlencode(asked)}"

    def code(self, visitor: Visitor) -> str:
        """What a browser brings back. Raises Refused where it is shown a page instead."""
        there = self.authorize_url()
        while not there.startswith(self.callback):
            answer = visitor.session.get(there, allow_redirects=False, timeout=30)
            if not answer.is_redirect:
                raise Refused(f"{answer.status_code} {answer.url}")
            there = requests.compat.urljoin(there, answer.headers["Location"])
        came = {name: value for name, [value] in parse_qs(urlsplit(there).query).items()}
        if "code" not in came or came["state"] != self.state:
            raise Refused(there)
        return came["code"]

    def token(self, code: str) -> str:
        """What the code is exchanged for. Raises Refused."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.callback,
                "code_verifier": self.verifier}  # fmt: skip
        client = (self.oauth["client_id"], self.oauth["client_secret"])
        if self.oauth["auth_style"] == "InParams":
            form |= {"client_id": client[0], "client_secret": client[1]}
        basic = client if self.oauth["auth_style"] == "InHeader" else None
        answer = requests.post(self.oauth["token_url"], data=form, auth=basic, timeout=30)
        if not answer.ok:
            raise Refused(f"{answer.status_code} {answer.text}")
        return answer.json()["access_token"]

    def person(self, token: str) -> Person:
        """Whose token it is. Raises Refused where one of the things is missing that Grafana insists on."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(self.oauth["api_url"], headers=headers, timeout=30)
        if not answer.ok:
            raise Refused(f"{answer.status_code} {answer.text}")
        model = answer.json()
        names = {"id": "sub", **{name: self.oauth[f"{name}_attribute_path"] for name in
                                 ("login", "name", "email", "role")}}  # fmt: skip
        found = {name: jmespath.search(path, model) for name, path in names.items()}
        if missing := [name for name, value in found.items() if not value]:
            raise Refused(f"There is no {', '.join(missing)} in {model}.")
        return Person(**found)

    def sign_in(self, visitor: Visitor) -> Person:
        """Who opened its page with this browser. Raises Refused."""
        return self.person(self.token(self.code(visitor)))
