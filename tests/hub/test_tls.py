"""People, labs and open connections behind Traefik: a real hub, a real lab, a certificate that is replaced."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import websocket
from support.hub import Hub, running_stock_hub
from support.places import free_ports
from support.traefik import HOST, Traefik, authority, now, running, write_pair
from support.wait import until

from jupyterhub_mlinfn import passwords
from jupyterhub_mlinfn.certificates import own
from jupyterhub_mlinfn.settings import Settings

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
PASSWORD = "correct horse battery"
SOCKETS = 50
CONFIG = """
c.JupyterHub.public_url = c.JupyterHub.subdomain_host = {url!r}
c.JupyterHub.authenticator_class = "jupyterhub_mlinfn.local.LocalAuthenticator"
c.LocalAuthenticator.passwords = {people!r}
c.JupyterHub.spawner_class = "simple"
c.Spawner.args = ["--allow-root"]
c.JupyterHub.redirect_to_server = False
c.JupyterHub.cookie_host_prefix_enabled = True
c.JupyterHub.tornado_settings = {{"xsrf_cookie_kwargs": {{"secure": True}}, "slow_spawn_timeout": 0.3}}
c.ConfigurableHTTPProxy.command += ["--no-x-forward"]
"""


@dataclass(frozen=True)
class House:
    """A hub with anna in it, and the door before it."""

    hub: Hub
    front: Traefik
    folder: Path
    """Where its certificate and key lie."""

    def anna(self) -> requests.Session:
        """Her browser, after logging in."""
        browser = self.front.browser()
        browser.get(f"{self.front.url}/hub/login", timeout=30)
        form = {"username": "anna", "password": PASSWORD, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
        landed = browser.post(f"{self.front.url}/hub/login", data=form, timeout=30)
        assert landed.ok, landed.text
        return browser


@pytest.fixture(scope="module")
def house(tmp_path_factory, proxy_command) -> Iterator[House]:
    """A hub and Traefik as processes, with a certificate of the site's."""
    folder = tmp_path_factory.mktemp("tls")
    given = write_pair(folder, own.issued(authority(folder), (HOST, f"*.{HOST}"), now()))
    port = free_ports()
    tls = {"mode": "files", "port": port, "http_port": port + 1, **given}
    people = folder / "passwords.json"
    passwords.change(people, lambda nobody: {"anna": passwords.Person(passwords.hashed(PASSWORD))})
    config = CONFIG.format(url=f"https://{HOST}:{port}/", people=str(people))
    with running_stock_hub(folder, proxy_command, config) as hub:
        settings = Settings(root=folder / "root", host=HOST, port=hub.port, tls=tls)
        with running(settings, folder / own.AUTHORITY) as front:
            yield House(hub, front, folder)


@pytest.fixture(scope="module")
def lab(house) -> str:
    """The path of anna's lab, which runs."""
    house.anna()
    if house.hub.api.server("anna") is None:
        house.hub.api.start("anna")
    return "/user/anna/"


def test_a_person_logs_in_and_their_cookies_are_for_tls_alone(house):
    anna = house.anna()
    assert anna.get(f"{house.front.url}/hub/home", timeout=30).url == f"{house.front.url}/hub/home"
    assert [cookie.name for cookie in anna.cookies if not cookie.secure] == []


def test_progress_comes_as_it_happens(house):
    anna = house.anna()
    token = {"X-XSRFToken": anna.cookies.get("_xsrf", path="/hub/")}
    asked = anna.post(f"{house.front.url}/hub/api/users/anna/server", headers=token, timeout=30)
    assert asked.status_code in (201, 202), asked.text
    with anna.get(f"{house.front.url}/hub/api/users/anna/server/progress", stream=True, timeout=60) as stream:
        came = [(time.monotonic(), json.loads(line[5:])) for line in stream.iter_lines() if line.startswith(b"data:")]
    assert came[-1][1].get("ready")
    assert came[-1][0] - came[0][0] > 0.3, "the first event came with the last"


def entered(house: House, lab: str) -> requests.Session:
    """Anna's browser, in her lab."""
    anna = house.anna()
    page = anna.get(f"{house.front.url}{lab}files/none", timeout=30)
    assert page.url.startswith(f"https://anna.{HOST}:{house.front.settings.tls.port}{lab}files/none"), page.url
    return anna


def test_a_lab_opens_on_its_own_subdomain(house, lab):
    anna = entered(house, lab)
    status = anna.get(f"https://anna.{HOST}:{house.front.settings.tls.port}{lab}api/status", timeout=30)
    assert "kernels" in status.json()
    theirs = {cookie.name for cookie in anna.cookies if cookie.domain == f"anna.{HOST}" and cookie.name != "_xsrf"}
    assert theirs
    assert all(name.startswith("__Host-") for name in theirs), "pages of other labs cannot set these"


def opened(house: House, lab: str) -> list[websocket.WebSocket]:
    """Open websockets of a lab."""
    anna, host = entered(house, lab), f"anna.{HOST}"
    cookie = "; ".join(f"{each.name}={each.value}" for each in anna.cookies if each.domain == host)
    return [house.front.socket(host, f"{lab}api/events/subscribe", cookie=cookie, origin=f"https://{host}:"
                               f"{house.front.settings.tls.port}") for _ in range(SOCKETS)]  # fmt: skip


def is_open(each: websocket.WebSocket) -> bool:
    """Whether the other end answers."""
    each.ping("still there?")
    while True:
        code, _frame = each.recv_data_frame(control_frame=True)
        if code == websocket.ABNF.OPCODE_PONG:
            return True
        if code == websocket.ABNF.OPCODE_CLOSE:
            return False


def test_no_websocket_drops_when_the_certificate_is_replaced(house, lab):
    sockets, before = opened(house, lab), house.front.shown()
    try:
        assert sum(map(is_open, sockets)) == SOCKETS
        later = own.issued(authority(house.folder), (HOST, f"*.{HOST}", f"new.{HOST}"), now())
        write_pair(house.folder, later)
        assert house.front.put(), "the service `certificate` took it"
        shown = until(lambda: house.front.shown() != before and house.front.shown(), 10, "browsers to be shown it")
        assert (set(shown.names) - set(before.names), shown.trouble) == ({f"new.{HOST}"}, "")
        assert sum(map(is_open, sockets)) == SOCKETS
    finally:
        for each in sockets:
            each.close()


def test_codes_of_logins_are_in_no_log(house, lab):
    entered(house, lab)
    paths = {each["RequestPath"] for each in house.front.logged()}
    assert "/user/anna/oauth_callback" in paths
    assert not re.search(r"(code|state|token)=", house.front.text())
