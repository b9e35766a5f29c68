"""The refresher in a real hub whose labs are small programs, with an identity service that lies: starts of who is out,
logins that are not there, a disk that is full. tests/hub/test_sessions.py has real labs and an honest service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from support.hostile_issuer import CLIENT, PEOPLE, SECRET, Issuer
from support.hub import Hub, running_stock_hub, show_log
from support.wait import until

from jupyterhub_mlinfn.form import TEMPLATES
from jupyterhub_mlinfn.identity import Subjects

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
LOGIN_S = 4
CONFIG = """
import asyncio
import logging
import sys
from pathlib import Path

from jupyterhub.app import JupyterHub
from jupyterhub.spawner import SimpleLocalProcessSpawner

from jupyterhub_mlinfn.sessions import Refresher, Rules


class Small(SimpleLocalProcessSpawner):
    carries_token, token_folder = False, Path("nowhere")

    async def start(self):
        if self.user_options.get("waits"):
            await asyncio.Event().wait()
        return await super().start()


app = JupyterHub.instance()
logging.getLogger("jupyterhub.mlinfn").parent = app.log
refresher = Refresher(app, Rules(Path({root!r}), refresh_s=1, login_s={login_s}))
app.refreshing = asyncio.get_running_loop().create_task(
    refresher.run(lambda: getattr(app, "http_server", None) is not None))

c.JupyterHub.spawner_class = Small
c.SimpleLocalProcessSpawner.home_dir_template = {root!r} + "/{{username}}"
c.Spawner.cmd = [sys.executable, {lab!r}]
c.Spawner.start_timeout = 600
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0.1}}
c.JupyterHub.template_paths = [{templates!r}]
c.JupyterHub.authenticator_class = "indigo-iam"
c.IAMAuthenticator.issuer = {issuer!r}
c.IAMAuthenticator.client_id = {client!r}
c.IAMAuthenticator.client_secret = {secret!r}
c.IAMAuthenticator.allowed_groups = ["cms"]
c.IAMAuthenticator.identity_book = {root!r} + "/hub/identity.sqlite"
c.IAMAuthenticator.refresh_s = 1
c.IAMAuthenticator.timeout_s = 1.0
c.IAMAuthenticator.retry_s = [0.05, 0.2]
"""
LAB = """
import http.server, os, urllib.parse

class Lab(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

there = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer((there.hostname, there.port), Lab).serve_forever()
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory, proxy_command, provider: Issuer) -> Iterator[Hub]:
    """A hub with a refresher."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "hub").mkdir()
    (lab := folder / "lab.py").write_text(LAB)
    config = CONFIG.format(root=str(folder), lab=str(lab), login_s=LOGIN_S, templates=str(TEMPLATES),
                           issuer=provider.url, client=CLIENT, secret=SECRET)  # fmt: skip
    with running_stock_hub(folder, proxy_command, config, JUPYTERHUB_CRYPT_KEY="0" * 64) as made:
        made.state = folder / "hub/identity-service.json"
        yield made


@pytest.fixture
def anna(hub: Hub, issuer: Issuer, request: pytest.FixtureRequest) -> Iterator[str]:
    """anna, who is logged in."""
    hub.visitor().get("/hub/oauth_login?next=/hub/home")
    until(lambda: is_well(hub), 20, "the hub to be well")
    yield "anna"
    show_log(hub, request)
    issuer.reset()
    if hub.api.server("anna"):
        hub.api.stop("anna")


def state(hub: Hub) -> dict:
    """What `mlinfn status` reads."""
    return json.loads(hub.state.read_text()) if hub.state.is_file() else {}


def is_well(hub: Hub) -> bool:
    """Whether that is nothing worth a word."""
    return state(hub).get("ok") and state(hub)["unknown"] == []


def is_unknown(hub: Hub, name: str) -> bool:
    """Whether status names them. Their login is taken away each time: a look that goes on writes it once more."""
    hub.api.request("PATCH", f"/users/{name}", json={"auth_state": {}})
    return state(hub)["unknown"] == [name]


def test_start_of_who_is_out_is_cut_off(hub, issuer, anna):
    hub.api.ask(anna, waits=True)
    assert hub.api.server(anna)["pending"] == "spawn"
    issuer.person["groups"] = ["atlas"]
    until(lambda: hub.api.server(anna) is None, 20, "the start to be given up")
    assert f"{anna} is not allowed any more; their labs stop now" in hub.text()
    issuer.reset()
    hub.visitor().get("/hub/oauth_login?next=/hub/home")
    hub.api.start(anna, waits=False)


def test_lab_of_who_has_no_login_is_named_and_stops_in_the_end(hub, issuer, anna):
    hub.api.start(anna, waits=False)
    said = hub.text().count("No login of theirs is kept")
    until(lambda: is_unknown(hub, anna), 10, "status to name her", every_s=0.2)
    assert hub.api.server(anna)["ready"]
    until(lambda: hub.api.server(anna) is None, LOGIN_S + 10, "the lab to stop")
    assert hub.text().count("No login of theirs is kept") == said + 1


def test_lab_of_who_logs_in_after_all_goes_on(hub, issuer, anna):
    hub.api.start(anna, waits=False)
    until(lambda: is_unknown(hub, anna), 10, "status to name her", every_s=0.2)
    hub.visitor().get("/hub/oauth_login?next=/hub/home")
    until(lambda: is_well(hub), 10, "status to be well")
    assert hub.api.server(anna)["ready"]


def test_name_that_was_handed_over_takes_nothing_of_the_old_account_with_it(hub, issuer, anna):
    old = hub.visitor()
    old.get("/hub/oauth_login?next=/hub/home")
    token = old.api()
    hub.api.start(anna, waits=False)
    Subjects(hub.state.with_name("identity.sqlite")).forget(anna)
    issuer.person = {**PEOPLE["anna"], "sub": "sub-of-another-anna"}
    new = hub.visitor()
    assert urlsplit(new.get("/hub/oauth_login?next=/hub/home").url).path == "/hub/home"
    assert urlsplit(old.get("/hub/home").url).path == "/hub/login"
    assert token.request("GET", "/user").status_code == 403
    until(lambda: hub.api.server(anna) is None, 10, "the lab of the old account to stop")
    assert urlsplit(new.get("/hub/home").url).path == "/hub/home"
    Subjects(hub.state.with_name("identity.sqlite")).forget(anna)


def test_tokens_that_are_refused_are_said_and_stop_nothing(hub, issuer, anna):
    hub.api.start(anna, waits=False)
    issuer.answers["userinfo"] = (403, b"{}")
    until(lambda: state(hub)["reason"] == "refused", 10, "the trouble to be seen")
    assert hub.api.server(anna)["ready"]
    issuer.answers.clear()
    until(lambda: is_well(hub), 10, "status to be well")


def test_login_without_a_refresh_token_keeps_its_lab(hub, issuer, anna):
    issuer.gives_refresh_tokens, issuer.life_s = False, 2
    hub.visitor().get("/hub/oauth_login?next=/hub/home")
    hub.api.start(anna, waits=False)
    issuer.access.clear()
    until(lambda: state(hub)["reason"] == "no_refresh_token", 10, "it to be said")
    assert hub.api.server(anna)["ready"]
    assert hub.text().count("it gave no refresh token") == 1


def test_state_that_could_not_be_written_is_written_later(hub, issuer, anna):
    hub.api.start(anna, waits=False)
    hub.state.unlink()
    hub.state.mkdir()  # what replaces a file does not replace a folder
    issuer.answers["userinfo"] = (403, b"{}")
    until(lambda: "identity-service.json is out of date" in hub.text(), 10, "the log to say so")
    hub.state.rmdir()
    until(lambda: state(hub).get("reason") == "refused", 10, "the state to be there")
    assert hub.text().count("identity-service.json is out of date") == 1
    assert PEOPLE["anna"]["name"] not in hub.text()
