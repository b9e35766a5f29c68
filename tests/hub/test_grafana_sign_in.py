"""Who comes into Grafana through a real hub, and as what; without Grafana itself, which is not to be had here."""

from __future__ import annotations

import secrets

import pytest
import requests
from support import secrecy
from support.grafana import Grafana, Person, Refused
from support.hub import Hub, running_stock_hub

from jupyterhub_mlinfn.grafana import PAGE, TARGETS
from jupyterhub_mlinfn.settings import Settings

PASSWORD = "a password for this test"
CONFIG = """
from pathlib import Path
from jupyterhub_mlinfn import form, grafana, userinfo
from jupyterhub_mlinfn.settings import Settings
port = c.JupyterHub.hub_port - 2
c.JupyterHub.subdomain_host = f"http://localhost:{{port}}"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allowed_users, c.Authenticator.admin_users = {{"anna", "boris"}}, {{"keeper"}}
c.JupyterHub.template_paths, c.JupyterHub.template_vars = [str(form.TEMPLATES)], {{}}
c.JupyterHub.services, c.JupyterHub.load_roles, c.JupyterHub.extra_user_scopes = [], [], set()
c.JupyterHub.extra_handlers = userinfo.handlers()
grafana.configure(c, Settings(root={root!r}, port=port))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory, proxy_command):
    """A hub with Grafana as a service."""
    folder = tmp_path_factory.mktemp("grafana")
    secret = folder / "secrets/hub" / PAGE.secret
    secret.parent.mkdir(parents=True)
    secret.write_text(secrecy.run.keep(secrets.token_hex(32)) + "\n")
    runs = folder / TARGETS
    runs.parent.mkdir(parents=True)
    runs.write_text('[{"targets": ["127.0.0.1:8013"]}]')
    with running_stock_hub(folder, proxy_command, CONFIG.format(password=PASSWORD, root=str(folder))) as hub:
        hub.secrets = secret.parent
        yield hub


def grafana(hub: Hub, **changed: str) -> Grafana:
    """Ours, beside this hub."""
    variables = {"MLINFN_GRAFANA_URL": PAGE.url(Settings(port=hub.port)),
                 "MLINFN_HUB_URL": f"http://localhost:{hub.port}",
                 "MLINFN_HUB_API": f"http://127.0.0.1:{hub.port + 2}/hub/api"}  # fmt: skip
    return Grafana(variables, hub.secrets, **changed)


def browser(hub: Hub, name: str):
    """Somebody's, in which they have tried to log in at the hub."""
    visitor = hub.visitor("localhost")
    visitor.log_in(name, PASSWORD)
    return visitor


def test_a_member_views_and_an_admin_edits(hub):
    assert grafana(hub).sign_in(browser(hub, "anna")) == Person("anna", "anna", "anna", "anna", "Viewer")
    assert grafana(hub).sign_in(browser(hub, "keeper")) == Person("keeper", "keeper", "keeper", "keeper", "Editor")


def test_who_comes_again_is_the_same_person_with_the_role_of_now(hub):
    visitor = browser(hub, "boris")
    first = grafana(hub).sign_in(visitor)
    assert browser(hub, "keeper").api().request("PATCH", "/users/boris", json={"admin": True}).ok
    again = grafana(hub).sign_in(visitor)
    assert (again.id, first.role, again.role) == (first.id, "Viewer", "Editor")


def test_the_home_page_leads_there(hub):
    visitor = browser(hub, "anna")
    assert f'href="{PAGE.url(Settings(port=hub.port))}"' in visitor.get("/hub/home").text
    answer = visitor.get("/hub/services/grafana", allow_redirects=False)
    assert answer.headers["Location"] == PAGE.url(Settings(port=hub.port))


@pytest.mark.parametrize("name", ["mallory", ""])
def test_who_may_not_log_in_at_the_hub_does_not_come_in(hub, name):
    visitor = browser(hub, name) if name else hub.visitor("localhost")
    with pytest.raises(Refused, match=r"200 http://localhost:\d+/hub/login"):
        grafana(hub).sign_in(visitor)


@pytest.mark.parametrize("changed", [{"client_secret": "another"}, {"auth_style": "InHeader"}])
def test_only_grafana_itself_is_given_tokens(hub, changed):
    ours = grafana(hub, **changed)
    code = ours.code(browser(hub, "anna"))
    with pytest.raises(Refused, match=r"^40[01] "):
        ours.token(code)


@pytest.mark.parametrize("scopes", ["user:email", "read:users!user", "admin:servers"])
def test_it_may_ask_for_nothing_more(hub, scopes):
    with pytest.raises(Refused):
        grafana(hub, scopes=scopes).code(browser(hub, "anna"))


def test_its_token_says_who_somebody_is_and_is_good_for_nothing_else(hub):
    ours = grafana(hub)
    token = ours.token(ours.code(browser(hub, "anna")))

    def ask(method: str, path: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, f"http://127.0.0.1:{hub.port + 2}/hub/api{path}", headers=headers, timeout=10)

    assert ask("GET", "/mlinfn/userinfo").json() == {
        "sub": "anna", "kind": "user", "name": "anna", "admin": False, "groups": [], "user_info": None}  # fmt: skip
    refused = [ask("GET", "/users"), ask("POST", "/users/anna/server"), ask("POST", "/users/anna/tokens")]
    assert [answer.status_code for answer in refused] == [403, 403, 403]


def test_who_was_removed_is_nobody_to_it(hub):
    hub.api.add_user("anna")
    ours = grafana(hub)
    token = ours.token(ours.code(browser(hub, "anna")))
    hub.api.request("DELETE", "/users/anna")
    with pytest.raises(Refused, match="403"):
        ours.person(token)


def test_a_service_is_no_person(hub):
    assert hub.api.request("GET", "/mlinfn/userinfo").status_code == 403
    assert requests.get(f"{hub.api.url}/mlinfn/userinfo", timeout=10).status_code == 403
