"""Logging in at an identity service that lies, babbles or is silent, against a real JupyterHub."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from support.hostile_issuer import CLIENT, SECRET, Issuer
from support.hub import Hub, running_stock_hub
from support.wait import until

from jupyterhub_mlinfn.form import TEMPLATES

CONFIG = """
c.JupyterHub.authenticator_class = "indigo-iam"
c.JupyterHub.template_paths = [{templates!r}]
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.log_level = "DEBUG"
c.IAMAuthenticator.issuer = {issuer!r}
c.IAMAuthenticator.client_id = {client!r}
c.IAMAuthenticator.client_secret_file = {secret!r}
c.IAMAuthenticator.allowed_groups = ["/cms"]
c.IAMAuthenticator.contact = "keeper@example.org"
c.IAMAuthenticator.refresh_s = 1
c.IAMAuthenticator.timeout_s = 0.5
c.IAMAuthenticator.retry_s = [0.05, 0.2]
"""
CRYPT_KEY = "0" * 64
WORDS = "words-of-the-issuer"


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    """The lying provider, one for the module."""
    with Issuer() as made:
        yield made


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, proxy_command: list[str], provider: Issuer) -> Iterator[Hub]:
    """A hub that believes in the provider."""
    folder = tmp_path_factory.mktemp("hub")
    secret = folder / "client_secret"
    secret.write_text(SECRET)
    config = CONFIG.format(issuer=provider.url, client=CLIENT, secret=str(secret), templates=str(TEMPLATES))
    with running_stock_hub(folder, proxy_command, config, JUPYTERHUB_CRYPT_KEY=CRYPT_KEY) as made:
        made.secret = secret
        yield made


@pytest.fixture
def issuer(provider: Issuer, hub: Hub) -> Iterator[Issuer]:
    """The provider, truthful again and known by the hub to be there."""
    provider.reset()
    until(lambda: 'id="retrying"' not in hub.visitor().get("/hub/login").text, 10, "the login button")
    yield provider
    provider.reset()


def log_in(hub: Hub):
    """A visitor who went through the whole login, and the page where it ended."""
    visitor = hub.visitor()
    return visitor, visitor.get("/hub/oauth_login?next=/hub/home")


def text(answer) -> str:
    """What a page says."""
    return BeautifulSoup(answer.text, "html.parser").get_text(" ", strip=True)


def is_outside(visitor) -> bool:
    """Whether the hub asks this visitor to log in."""
    return urlsplit(visitor.get("/hub/home").url).path == "/hub/login"


def test_truth_lets_in(hub, issuer):
    visitor, answer = log_in(hub)
    assert answer.status_code == 200, text(answer)
    assert not is_outside(visitor)
    anna = hub.api.user("anna")
    assert sorted(anna["groups"]) == ["cms", "cms/ml"]
    assert anna["admin"] is False
    assert anna["user_info"] == {"name": "Anna Rossi", "display_name": "Anna Rossi", "initials": "AR"}
