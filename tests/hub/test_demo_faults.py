"""The demo identity service refuses whom it should, and fails in the ways that other tests ask for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import jwt
import pytest
import requests
from support.identity_service import IdentityService
from support.npm import NODE
from support.places import free_ports


def test_person_who_must_sign_is_told_so(service, client):
    tokens = client.tokens("demo-member")
    service.switch(aup=["demo-member"])
    answer = client.refresh(tokens)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert "AUP" in answer.json()["error_description"]
    back = client.log_in("demo-member")
    assert (back["error"], back["state"]) == ("access_denied", "s1")
    assert "AUP" in back["error_description"]
    service.switch(aup=[])
    assert client.refresh(tokens).ok


def test_disabled_person_is_out(service, client):
    tokens = client.tokens("demo-member")
    service.switch(disabled=["demo-member"])
    assert client.refresh(tokens).json()["error"] == "invalid_grant"
    assert client.userinfo(tokens).status_code == 401
    answer = client.submit(client.open(), "demo-member", service.people["demo-member"])
    assert answer.status_code == 403
    assert "disabled" in answer.text


def test_wrong_password_is_said_and_slows_down(client):
    page = client.open()
    waited = []
    for password in ("wrong horse 1", "wrong horse 2"):
        began = time.monotonic()
        answer = client.submit(page, "demo-nobody", password)
        waited.append(time.monotonic() - began)
        assert answer.status_code == 401
        assert "not the right name and password" in answer.text
        assert password not in answer.text
    assert waited[0] > 0.24
    assert waited[1] > 0.49
    assert client.submit(page, "demo-nobody", client.service.people["demo-nobody"]).status_code == 303
    assert "wrong horse" not in client.service.text()


def test_name_that_nobody_has_is_not_shown_again(client):
    """It may be a password in the wrong field; and it is no way to put marks into the page."""
    answer = client.submit(client.open(), "<b>hunter2", "x")
    assert answer.status_code == 401
    assert "hunter2" not in answer.text + client.service.text()


def test_form_without_its_cookie_is_refused(client):
    page = client.open()
    client.browser.cookies.clear()
    assert client.submit(page, "demo-member", client.service.people["demo-member"]).status_code == 400


def test_pages_say_demo_and_bring_nothing_from_elsewhere(service, client):
    pages = [client.open(), client.open(client_id="nobody"), requests.get(f"{service.issuer}/nothing", timeout=10),
             requests.get(f"{service.issuer}/login/x", timeout=10)]  # fmt: skip
    for page in pages:
        assert ">Demo<" in page.text
        assert not re.search(r'(src|href)=|@import|url\(|<script', page.text)
    for page in (pages[0], *pages[2:]):
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_faults_are_what_they_are_called(service):
    url = f"{service.issuer}/userinfo"
    answers = {}
    for outage in ("503", "429", "html"):
        service.switch(outage=outage)
        answer = requests.get(url, timeout=10)
        answers[outage] = (answer.status_code, answer.headers["Content-Type"].split(";")[0])
    assert answers == {"503": (503, "text/plain"), "429": (429, "text/plain"), "html": (200, "text/html")}
    service.switch(outage="refuse")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)
    service.switch(outage="hang")
    with pytest.raises(requests.ReadTimeout):
        requests.get(url, timeout=0.3)
    service.switch(outage="503", only=["token"])
    assert requests.get(url, timeout=10).status_code == 401  # no token was sent
    assert requests.post(f"{service.issuer}/token", timeout=10).status_code == 503


def test_slow_service_is_slow(service):
    service.switch(delay_ms=300)
    began = time.monotonic()
    requests.get(f"{service.issuer}/.well-known/openid-configuration", timeout=10)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("drift_s", [-1800, 1800])
def test_clock_that_is_wrong_is_wrong_everywhere(service, client, drift_s):
    service.switch(drift_s=drift_s)
    tokens = client.tokens("demo-member")
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert abs(claims["iat"] - time.time() - drift_s) < 10
    assert client.userinfo(tokens).ok
    assert client.refresh(tokens).ok


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"configured_issuer": "https://iam.example.org/"}, "https://iam.example.org/"),
        ({"issuer": "http://hub.example.org/demo-iam"}, "localhost"),
        ({"issuer": "http://localhost.example.org/demo-iam"}, "localhost"),
        ({"issuer": "http://192.168.1.1:8000/demo-iam"}, "localhost"),
        ({"people": "/nowhere/people.json"}, "/nowhere/people.json"),
        ({"state": "/nowhere/state.json"}, "/nowhere/state.json"),
        ({"access_s": "soon"}, "access_s"),
    ],
    ids=["beside an IAM", "on a public name", "on a name that looks local", "on an address", "without people",
         "without a place for its state", "with a life that is no number"],
)  # fmt: skip
def test_it_refuses_to_start(service, tmp_path, changed, said):
    done = started(service, tmp_path, {**service.config, "port": free_ports(), **changed}, {})
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_environment_is_heard(service, tmp_path):
    config = {**service.config, "port": free_ports(), "state": str(tmp_path / "state.json")}
    done = started(service, tmp_path, config, {"MLINFN_DEMO_CONFIGURED_ISSUER": "https://iam.example.org"})
    assert (done.returncode, "https://iam.example.org" in done.stderr) == (1, True)


def started(service: IdentityService, folder: Path, config: dict, environment: dict) -> subprocess.CompletedProcess:
    """How the program ended, with this configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    argv = [str(NODE / "bin/node"), service.argv[1], str(path)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=10, env={**os.environ, **environment})


def test_nothing_secret_is_in_its_log_either(service, client):
    client.refresh(client.tokens("demo-member"))
    assert len(service.issued()) > 8
    assert [secret for secret in service.issued() if secret in service.text()] == []
