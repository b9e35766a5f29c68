"""Logging in with the demo identity service, and staying logged in, against a real JupyterHub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from support.client import Visitor
from support.hub import Hub, running_stock_hub, show_log
from support.identity_service import IdentityService
from support.places import free_ports
from support.wait import until

from jupyterhub_mlinfn.form import TEMPLATES

CONFIG = """
c.JupyterHub.authenticator_class = "indigo-iam"
c.JupyterHub.template_paths = [{templates!r}]
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.log_level = "DEBUG"
c.IAMAuthenticator.issuer = {issuer!r}
c.IAMAuthenticator.client_id = "mlinfn"
c.IAMAuthenticator.client_secret_file = {secret!r}
c.IAMAuthenticator.scope = ["openid", "profile", "email", "offline_access", "wlcg.groups"]
c.IAMAuthenticator.allowed_groups = ["demo"]
c.IAMAuthenticator.admin_groups = ["demo/keepers"]
c.IAMAuthenticator.contact = "keeper@example.org"
c.IAMAuthenticator.refresh_s = 1
c.IAMAuthenticator.retry_s = [0.05, 0.2]
"""
CRYPT_KEY = "0" * 64
ACCESS_S = 2


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, proxy_command: list[str]) -> Iterator[Hub]:
    """A hub that was started before its identity service. Whatever the tests do, it logs nothing secret."""
    folder = tmp_path_factory.mktemp("hub")
    service = IdentityService(folder, free_ports(), access_s=ACCESS_S)
    secret = folder / "secret"
    secret.write_text(service.client_secret_file.read_text())
    config = CONFIG.format(issuer=service.issuer, secret=str(secret), templates=str(TEMPLATES))
    with running_stock_hub(folder, proxy_command, config, JUPYTERHUB_CRYPT_KEY=CRYPT_KEY) as made:
        made.service, made.secret = service, secret
        service.config["redirect_uris"] = [f"http://127.0.0.1:{made.port}/hub/oauth_callback"]
        until(lambda: "is unreachable, retrying" in made.visitor().get("/hub/login").text, 10, "the page to say so")
        try:
            service.start()
            yield made
        finally:
            service.stop()
        assert len(service.issued()) > 20
        found = [each for each in (*service.issued(), CRYPT_KEY) if each in made.text() or each in service.text()]
        assert found == []


@pytest.fixture
def service(hub: Hub, request: pytest.FixtureRequest) -> Iterator[IdentityService]:
    """The identity service, well and known to be; what a test changes is undone."""
    people = (hub.service.files / "people.json").read_text()
    until(lambda: 'id="retrying"' not in hub.visitor().get("/hub/login").text, 10, "the login button")
    yield hub.service
    (hub.service.files / "people.json").write_text(people)
    hub.service.switch(outage=None, only=None, rotate=False, aup=[], disabled=[])
    show_log(hub, request)


def log_in(hub: Hub, name: str):
    """Somebody who went through the whole login, and the page where it ended."""
    visitor = hub.visitor()
    form = visitor.get("/hub/oauth_login?next=/hub/home")
    action = re.search(r'action="([^"]+)"', form.text).group(1)
    fields = {"username": name, "password": hub.service.people[name]}
    return visitor, visitor.session.post(urljoin(form.url, action), data=fields, timeout=30)


def text(answer) -> str:
    """What a page says."""
    return BeautifulSoup(answer.text, "html.parser").get_text(" ", strip=True)


def is_inside(visitor: Visitor) -> bool:
    """Whether the hub lets this visitor in without asking who they are."""
    return urlsplit(visitor.get("/hub/home").url).path == "/hub/home"


@pytest.mark.parametrize(("name", "admin"), [("demo-member", False), ("demo-keeper", True)])
def test_members_enter_with_their_groups_and_rights(hub, service, name, admin):
    visitor, answer = log_in(hub, name)
    assert answer.status_code == 200, text(answer)
    assert is_inside(visitor)
    person = hub.api.user(name)
    assert sorted(person["groups"]) == (["demo", "demo/keepers"] if admin else ["demo"])
    assert person["admin"] is admin
    assert person["user_info"]["initials"] == ("DK" if admin else "DM")


@pytest.mark.parametrize("name", ["demo-other", "demo-nobody"])
def test_others_read_why_they_do_not(hub, service, name):
    visitor, answer = log_in(hub, name)
    assert answer.status_code == 403
    for words in (f"({name})", "You are not in a group that may log in", "demo/keepers", "keeper@example.org"):
        assert words in text(answer)
    assert not is_inside(visitor)
    assert hub.api.request("GET", f"/users/{name}").status_code == 404


def test_wlcg_tokens_give_the_same_groups(hub, service):
    service.stop()
    service.config["flavour"] = "wlcg"
    service.start()
    try:
        assert log_in(hub, "demo-keeper")[1].status_code == 200
        assert sorted(hub.api.user("demo-keeper")["groups"]) == ["demo", "demo/keepers"]
        assert log_in(hub, "demo-other")[1].status_code == 403
    finally:
        service.stop()
        service.config["flavour"] = "iam"
        service.start()


def test_policy_that_is_not_signed_has_its_page(hub, service):
    service.switch(aup=["demo-member"])
    visitor, answer = log_in(hub, "demo-member")
    assert answer.status_code == 403
    assert "policy has to be signed" in text(answer)
    assert BeautifulSoup(answer.text, "html.parser").select_one(f"a[href='{service.issuer}']")
    assert not is_inside(visitor)


def test_who_left_was_disabled_or_has_to_sign_is_out_at_the_next_refresh(hub, service):
    service.set_groups("demo-other", ["demo"])
    visitors = [log_in(hub, name)[0] for name in ("demo-member", "demo-keeper", "demo-other")]
    assert all(map(is_inside, visitors))
    service.switch(disabled=["demo-member"], aup=["demo-keeper"])
    service.set_groups("demo-other", ["other"])
    until(lambda: not any(map(is_inside, visitors)), 5 * ACCESS_S, "all of them to be out", every_s=0.2)


def test_rotating_refresh_tokens_survive_many_pages_at_once(hub, service):
    service.switch(rotate=True)
    visitor, _ = log_in(hub, "demo-member")
    before = len(service.issued())
    with ThreadPoolExecutor(6) as pool:

        def view() -> bool:
            assert all(pool.map(lambda _: is_inside(visitor), range(6)))
            return len(service.issued()) >= before + 6  # an access token, its id and a refresh token, twice

        until(view, 6 * ACCESS_S, "two refreshes")


def test_outage_and_wrong_secret_log_nobody_out(hub, service):
    visitor, _ = log_in(hub, "demo-member")
    service.stop()
    until(lambda: is_inside(visitor) and "unreachable, retrying" in hub.visitor().get("/hub/login").text, 5 * ACCESS_S,
          "the login page to say so", every_s=0.2)  # fmt: skip
    new = service.rotate_client_secret()
    service.start()
    until(lambda: is_inside(visitor) and "client id and secret" in hub.text(), 5 * ACCESS_S, "the log", every_s=0.2)
    hub.secret.write_text(new)
    until(lambda: is_inside(visitor) and hub.text().count("is well again") >= 2, 5 * ACCESS_S, "recovery", every_s=0.2)
