"""An IAMAuthenticator without a hub around it: what goes in and out of it, with a real provider at the other end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from traitlets.config import Config

from jupyterhub_mlinfn.iam import IAMAuthenticator
from jupyterhub_mlinfn.iam import state as states
from jupyterhub_mlinfn.iam.id_tokens import nonce
from support.hostile_issuer import CLIENT, SECRET, Issuer

CALLBACK = "http://127.0.0.1/hub/oauth_callback"


def authenticator(issuer: Issuer, folder: Path, **traits: Any) -> IAMAuthenticator:
    """One that believes in the provider, and allows nobody unless traits say so."""
    book = str(folder / "identity.sqlite")
    given = {"issuer": issuer.url, "client_id": CLIENT, "client_secret": SECRET, "oauth_callback_url": CALLBACK,
             "identity_book": book, "timeout_s": 1.0, "retry_s": [0.02, 0.1], **traits}  # fmt: skip
    return IAMAuthenticator(config=Config(IAMAuthenticator=given))


class Browser:
    """The handler of a callback, as far as authenticators look at it: the code, and the cookie of the login."""

    def __init__(self, code: str, state: str):
        self.code, self.state = code, state
        self.refused_model: dict | None = None

    def get_argument(self, name: str, default: str | None = None) -> str | None:
        """What the callback's address has."""
        return self.code if name == "code" else default

    def get_state_cookie(self) -> str:
        """What the login left in the browser."""
        return self.state


async def back_from(issuer: Issuer) -> Browser:
    """A browser that went to the provider and came back with a code."""
    state = _encoded(state_id=(mark := secrets.token_hex(8)), code_verifier=(verifier := "v" * 43))
    challenge = base64.urlsafe_b64encode(_sha256(verifier)).decode().rstrip("=")
    asked = {"state": _encoded(state_id=mark), "nonce": nonce(mark), "redirect_uri": CALLBACK,
             "code_challenge": challenge, "code_challenge_method": "S256"}  # fmt: skip
    there = f"{issuer.url}/authorize?{urlencode(asked)}"
    answer = await asyncio.to_thread(requests.get, there, allow_redirects=False, timeout=10)
    return Browser(parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0], state)


def _encoded(**words: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(words).encode()).decode()


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


async def log_in(ours: IAMAuthenticator, issuer: Issuer) -> dict | None:
    """The model of the person whom the provider names, None if they are not allowed."""
    return await ours.get_authenticated_user(await back_from(issuer), None)


class Account:
    """A hub's user, as far as authenticators look at it."""

    def __init__(self, model: dict):
        self.name, self.state = model["name"], model["auth_state"]

    async def get_auth_state(self) -> dict | None:
        """What was saved last."""
        await asyncio.sleep(0)
        return self.state

    async def save_auth_state(self, state: dict | None) -> None:
        """Keeps it."""
        await asyncio.sleep(0)
        self.state = state


async def account(ours: IAMAuthenticator, issuer: Issuer) -> Account:
    """Who the provider names, logged in just now."""
    return Account(await log_in(ours, issuer))


def is_due(person: Account, age_s: float = 3300) -> None:
    """Time has passed: their access token, good for an hour, is to be renewed."""
    response = {**person.state["token_response"], "obtained": time.time() - age_s}
    person.state = {**states.dated({**person.state, "token_response": response}), "turn": person.state["turn"]}


def is_over(person: Account) -> None:
    """More time has passed: their access token has ended."""
    is_due(person, 4000)


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    """The lying provider, one for the module."""
    with Issuer() as made:
        yield made


@pytest.fixture
def issuer(provider: Issuer) -> Issuer:
    """The provider, truthful again."""
    provider.reset()
    return provider


@pytest.fixture
def ours(issuer: Issuer, tmp_path: Path) -> IAMAuthenticator:
    """An authenticator that lets members of cms in; in the event loop of its test."""
    return authenticator(issuer, tmp_path, allowed_groups={"cms"})
