"""The services of `tls`, as compose.yaml has them, before a whole instance: who they are, and what they pass on."""

from __future__ import annotations

import pytest
import requests
from support.places import free_ports
from support.traefik import authority, browser, now, write_pair
from support.wait import until

from jupyterhub_mlinfn.certificates import own, served
from jupyterhub_mlinfn.cli import tls_finding
from jupyterhub_mlinfn.cli.site import Site

pytestmark = pytest.mark.stack
HOST = "hub.example.org"
NAMES = (HOST, f"*.{HOST}")
NET_BIND_SERVICE = 1 << 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the site's certificate and key lie, and the authority that issued them."""
    folder = tmp_path_factory.mktemp("tls")
    write_pair(folder, own.issued(authority(folder), NAMES, now()))
    return folder


@pytest.fixture(scope="module")
def stack_settings(folder, traefik_image) -> dict:
    """A site with a certificate of its own, and ports that are free here."""
    port = free_ports()
    tls = {"mode": "files", "certificate": f"{folder}/cert.pem", "key": f"{folder}/key.pem", "port": port,
           "http_port": port + 1}  # fmt: skip
    return {"host": HOST, "tls": tls, "images": [{"slug": "lab", "title": "JupyterLab", "image": "mlinfn/lab"}]}


@pytest.fixture(scope="module")
def url(stack) -> str:
    """Where people go."""
    return f"https://{HOST}:{stack.settings['tls']['port']}"


def entered(stack, folder, url: str, name: str) -> requests.Session:
    """The browser of somebody new, after logging in."""
    password, somebody = stack.add_user(name), browser(folder / own.AUTHORITY)
    somebody.get(f"{url}/hub/login", timeout=30)
    form = {"username": name, "password": password, "_xsrf": somebody.cookies.get("_xsrf", path="/hub/")}
    landed = somebody.post(f"{url}/hub/login", data=form, timeout=30)
    assert landed.ok, landed.text
    return somebody


def test_traefik_is_nobody_with_one_capability_and_binds_what_it_should(stack):
    inside = stack.service("traefik")
    status = dict(line.split(":\t", 1) for line in inside.exec_run("cat /proc/1/status").output.decode().splitlines()
                  if ":\t" in line)  # fmt: skip
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"69012"}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == NET_BIND_SERVICE
    assert status["NoNewPrivs"].strip() == "1"
    assert {end for end in stack.listening() if end[1] in (0, 18, 19)} == {
        ("127.0.0.1", 0), ("127.0.0.1", 18), ("127.0.0.1", 19)}  # fmt: skip
    keeper = stack.service("certificate").exec_run("cat /proc/1/status").output.decode()
    assert "CapEff:\t0000000000000000" in keeper


def test_a_member_comes_in_starts_a_lab_and_is_in_it(stack, folder, url):
    anna = entered(stack, folder, url, "anna")
    stack.api.start("anna")
    page = anna.get(f"{url}/user/anna/lab", timeout=60)
    assert (page.status_code, page.url.startswith(f"https://anna.{HOST}:")) == (200, True), page.url
    assert [cookie.name for cookie in anna.cookies if not cookie.secure and cookie.domain == HOST] == []


def test_a_certificate_that_was_replaced_is_taken_without_a_restart_and_a_wrong_one_is_not(stack, folder, url):
    settings, inside = Site(stack.config).settings, stack.service("traefik").attrs["State"]["StartedAt"]
    later = own.issued(authority(folder), (*NAMES, f"new.{HOST}"), now())
    write_pair(folder, later)
    until(lambda: f"new.{HOST}" in served.look(settings, now()).names, 30, "browsers to be shown the new one")
    (folder / "key.pem").write_text(own.issued(authority(folder), NAMES, now()).key_pem())
    until(lambda: "is not the key of the certificate" in stack.logs("certificate"), 30, "it to be said")
    assert f"new.{HOST}" in served.look(settings, now()).names
    assert stack.service("traefik").attrs["State"]["StartedAt"] == inside
    told = requests.get(f"http://127.0.0.1:{stack.port + 18}/metrics", timeout=5).text
    assert f'mlinfn_certificate_expiry_timestamp_seconds{{name="{HOST}"}}' in told
    assert "mlinfn_certificate_refused 1.0" in told
    found = tls_finding.finding(settings, tls_finding.look(settings))
    assert (found.level, "is not taken" in found.reason) == ("amber", True), found
