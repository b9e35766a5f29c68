"""`mlinfn iam`: the client's secret goes into files of the hub's alone; `check` finds what a login would stumble over.

The identity service here is a small web server that answers as INDIGO IAM does, and can be told to answer otherwise;
tests/hub asks the demo identity service the same questions.
"""

import json
import os
import stat
import subprocess
import sys
import threading
from base64 import b64decode
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from urllib.parse import parse_qs, urlsplit

import pytest

from jupyterhub_mlinfn.cli import registration
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.settings import load

MLINFN = Path(sys.executable).with_name("mlinfn")
CALLBACK = "http://localhost:18480/hub/oauth_callback"
SECRET = "correct-horse"
SCOPES = ["openid", "profile", "email", "offline_access", "wlcg.groups"]
TITLES = ["Discovery", "Clock", "Scopes", "Client", "Refresh", "Redirect URI"]


class Service(BaseHTTPRequestHandler):
    """Answers with the server's `answers`, by path: a status and an object, text, or a place to go to."""

    def do_GET(self):
        """Metadata, or where a browser is sent."""
        query = parse_qs(urlsplit(self.path).query)
        if self.path.startswith("/authorize"):
            known = query["redirect_uri"] == [self.server.registered]
            place = f"{query['redirect_uri'][0]}?error={self.server.denial}" if known else "/error"
            self._say(302, {}, place)
        else:
            metadata = {"issuer": self.server.address + "/", "scopes_supported": SCOPES, **{
                key: f"{self.server.address}/{path}" for key, path in ENDPOINTS.items()}}
            self._say(200, metadata | self.server.metadata)

    def do_POST(self):
        """The token endpoint, which refuses everything, as nothing that it is given can be right."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        granted = form["grant_type"][0] in self.server.grants
        client = b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        if client != f"mlinfn:{SECRET}" or not granted:
            self._say(401, {"error": "invalid_client", "error_description": f"Bad client {client}"})
        else:
            self._say(400, {"error": "invalid_grant"})

    def date_time_string(self, timestamp=None):
        """The time that the service thinks it is."""
        return formatdate(time() + self.server.ahead_s, usegmt=True)

    def log_message(self, *words):
        """Nothing is logged."""

    def _say(self, status, data, place=""):
        body = self.server.page or json.dumps(data).encode()
        self.send_response(self.server.status or status)
        self.send_header("Content-Length", str(len(body)))
        if place:
            self.send_header("Location", place)
        self.end_headers()
        self.wfile.write(body)


ENDPOINTS = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo",
             "jwks_uri": "jwk"}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def service(server):
    """The identity service, answering as it should."""
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.registered, server.denial, server.ahead_s, server.metadata = CALLBACK, "login_required", 0, {}
    server.grants, server.status, server.page = {"authorization_code", "refresh_token"}, 0, b""
    return server


@pytest.fixture
def ours(service):
    """Our registration there."""
    return registration.Registration(service.address, ("mlinfn", SECRET), CALLBACK, tuple(SCOPES[:4]))


def by_title(found):
    return {each.title: each for each in found}


def test_all_is_well(ours):
    found = registration.findings(ours)
    assert [each.title for each in found] == TITLES
    assert {each.level for each in found} == {"green"}, found


@pytest.mark.parametrize(("wrong", "title", "level", "says"), [
    ({"ahead_s": -300}, "Clock", "red", " s ahead of the identity service"),
    ({"ahead_s": 25}, "Clock", "amber", " s behind the identity service"),
    ({"registered": "http://elsewhere/hub/oauth_callback"}, "Redirect URI", "red", CALLBACK),
    ({"denial": "invalid_scope"}, "Redirect URI", "red", "may not ask for all of the scopes"),
    ({"grants": {"authorization_code"}}, "Refresh", "red", "may not renew tokens"),
    ({"grants": {"refresh_token"}}, "Client", "red", "authorization_code"),
    ({"metadata": {"scopes_supported": ["openid", "email"]}}, "Scopes", "red", "does not know profile, offline_access"),
    ({"metadata": {"scopes_supported": None}}, "Scopes", "amber", "does not say"),
    ({"metadata": {"issuer": "https://other.example.org"}}, "Discovery", "red", "another issuer"),
    ({"metadata": {"token_endpoint": "http://iam.example.org/token"}}, "Discovery", "red", "token_endpoint"),
    ({"status": 404}, "Discovery", "red", "There is nothing at"),
    ({"status": 503}, "Discovery", "red", "answers with an error"),
    ({"status": 429}, "Discovery", "red", "asked too often"),
    ({"page": b"<html>Welcome</html>"}, "Discovery", "red", "web page"),
], ids=lambda value: value if isinstance(value, str) and len(value) < 15 else None)  # fmt: skip
def test_what_is_wrong_is_named_with_what_mends_it(service, ours, wrong, title, level, says):
    for name, value in wrong.items():
        setattr(service, name, value)
    finding = by_title(registration.findings(ours))[title]
    assert (finding.level, says in finding.reason) == (level, True), finding
    assert finding.remedy or level == "amber"


def test_a_wrong_secret_is_told_from_a_right_one_and_never_shown(service):
    wrong = registration.Registration(service.address, ("mlinfn", "wrong-secret"), CALLBACK, tuple(SCOPES[:4]))
    found = registration.findings(wrong)
    assert by_title(found)["Client"].level == "red"
    assert "mlinfn iam client" in by_title(found)["Client"].remedy
    assert "wrong-secret" not in repr(found)


def test_nobody_listens_there(ours, free_port):
    (finding,) = registration.findings(registration.Registration(f"http://127.0.0.1:{free_port}", None, CALLBACK, ()))
    assert (finding.title, finding.level) == ("Discovery", "red")
    assert "refused" in finding.reason


def test_without_a_client_the_rest_is_still_said(service):
    found = registration.findings(registration.Registration(service.address, None, CALLBACK, ("openid",)))
    assert [(each.title, each.level) for each in found[2:]] == [("Scopes", "amber"), ("Client", "red")]


@pytest.fixture
def site(tmp_path, service):
    """A settings file of a site that is about to use the service, before `login` says so."""
    path = tmp_path / "mlinfn.yaml"
    path.write_text(f"instance: mlinfntest-iam\nroot: {tmp_path}/root\nport: 18480\n"
                    f"iam: {{issuer: {service.address}}}\n"
                    "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}\n")
    return path


def mlinfn(site, *words, typed=""):
    return subprocess.run([MLINFN, "--config", site, *words], input=typed, capture_output=True, text=True, timeout=30,
                          env={**os.environ, "NO_COLOR": "1"})


def test_client_is_kept_for_the_hub_alone_and_then_checked(site):
    assert mlinfn(site, "iam", "check").returncode == 1
    done = mlinfn(site, "iam", "client", "mlinfn", "--stdin", typed=f"{SECRET}\n")
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    folder = load(site).root / "secrets/hub"
    for name, value in (("iam_client_id", "mlinfn"), ("iam_client_secret", SECRET)):
        assert (folder / name).read_text() == value + "\n"
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    done = mlinfn(site, "iam", "check", "--json")
    assert done.returncode == 0, done.stdout
    answer = json.loads(done.stdout)
    assert (answer["level"], [each["title"] for each in answer["findings"]]) == ("green", TITLES)


def test_login_that_came_without_a_refresh_token_is_known(site):
    assert mlinfn(site, "iam", "client", "mlinfn", "--stdin", typed=f"{SECRET}\n").returncode == 0
    folder = load(site).root / "hub"
    folder.mkdir(exist_ok=True)
    (folder / "identity-service.json").write_text('{"ok": false, "reason": "no_refresh_token", "since": 0}')
    found = by_title(registration.findings(registration.of(load(site))))
    assert found["Refresh"].level == "red"
    assert "nobody notices" in found["Refresh"].reason
    assert "offline_access" in found["Refresh"].remedy


@pytest.mark.parametrize("typed", ["\n", "two words\n", "x" * 2001], ids=["empty", "two words", "long"])
def test_what_is_no_secret_is_not_kept(site, typed):
    done = mlinfn(site, "iam", "client", "mlinfn", "--stdin", typed=typed)
    assert done.returncode == 2
    assert "secret is one word" in done.stderr
    assert not (load(site).root / "secrets").exists()


def test_without_an_issuer_there_is_nothing_to_check(site):
    settings = load(site)
    with pytest.raises(UserError, match="issuer"):
        registration.of(settings.model_copy(update={"iam": type(settings.iam)()}))
