"""What Traefik does with what comes from outside, before a server that says what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.places import free_ports
from support.traefik import HOST, Traefik, authority, now, running, write_pair

from jupyterhub_mlinfn.certificates import own
from jupyterhub_mlinfn.settings import Settings

CODE = "a-code-that-opens-something-once"


class Said(BaseHTTPRequestHandler):
    """Answers with the headers that it was given."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> Iterator[Traefik]:
    """Traefik with a certificate of the site's, before such a server."""
    folder = tmp_path_factory.mktemp("tls")
    port, ours = free_ports(), free_ports()
    given = write_pair(folder, own.issued(authority(folder), (HOST, f"*.{HOST}"), now()))
    tls = {"mode": "files", "port": ours, "http_port": ours + 1, "logins": 5, **given}
    settings = Settings(root=folder / "root", host=HOST, port=port, tls=tls)
    server = ThreadingHTTPServer(("127.0.0.1", port), Said)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with running(settings, folder / own.AUTHORITY) as traefik:
        yield traefik
    server.shutdown()


def test_who_forgot_the_s_is_sent_on(front):
    with front.browser() as somebody:
        answer = somebody.get(f"http://{HOST}:{front.settings.tls.http_port}/hub/home?next=x", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{front.url}/hub/home?next=x")


def test_browsers_are_told_to_insist_on_tls_everywhere(front):
    with front.browser() as somebody:
        for host in (HOST, f"anna.{HOST}"):
            answer = somebody.get(f"https://{host}:{front.settings.tls.port}/user/anna/lab")
            assert answer.headers["Strict-Transport-Security"] == f"max-age={180 * 86400}; includeSubDomains"


def test_only_the_hubs_own_pages_get_more_headers(front):
    hub, lab = front.get("/hub/home").headers, front.get("/user/anna/lab").headers
    assert (hub["X-Content-Type-Options"], hub["Referrer-Policy"]) == ("nosniff", "same-origin")
    assert not {"Server", "X-Frame-Options"} & set(hub), "what may frame a page it says itself"
    assert not {"X-Content-Type-Options", "Referrer-Policy"} & set(lab)


@pytest.mark.parametrize(("version", "is_taken"), [
    (ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True),
    (ssl.TLSVersion.TLSv1_3, True),
])  # fmt: skip
def test_old_tls_is_refused(front, version, is_taken):
    context = ssl.create_default_context(cafile=str(front.authority))
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", front.settings.tls.port), 5) as bare:
        if is_taken:
            assert context.wrap_socket(bare, server_hostname=HOST).version() == version.name.replace("_", ".")
        else:
            with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
                context.wrap_socket(bare, server_hostname=HOST)


def test_nobody_says_for_others_where_they_come_from(front):
    forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http", "X-Real-Ip": "192.0.2.1",
              "X_Forwarded_For": "192.0.2.1", "X-Forwarded-Host": "evil.example.org"}  # fmt: skip
    heard = front.get("/", headers=forged).json()
    assert (heard["x-forwarded-for"], heard["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert heard["x-forwarded-host"] == heard["host"] == front.url.removeprefix("https://")
    assert "192.0.2.1" not in heard.values()


def is_refused(ask) -> bool:
    """Whether it is, at the latest when it is asked for more than may come in a minute."""
    return 429 in {ask().status_code for _ in range(8)}


def test_logins_are_counted_and_nothing_else_is(front):
    with front.browser() as somebody:
        login = f"{front.url}/hub/login"
        assert somebody.post(login, {"username": "anna"}).status_code == 200
        claimed = ({"X-Forwarded-For": f"192.0.2.{number}"} for number in range(99))
        assert is_refused(lambda: somebody.post(login, {"username": "anna"}, headers=next(claimed)))
        assert is_refused(lambda: somebody.get(f"{front.url}/hub/oauth_callback"))
        assert is_refused(lambda: somebody.post(f"{front.url}/hub/api/users/anna/tokens")), "it takes passwords as well"
        elsewhere = f"https://anna.{HOST}:{front.settings.tls.port}/hub/login"
        assert not is_refused(lambda: somebody.get(login)), "the form"
        assert not is_refused(lambda: somebody.get(f"{front.url}/hub/api/user"))
        assert not is_refused(lambda: somebody.post(elsewhere)), "a lab's own page"


def test_one_time_codes_are_not_in_the_log(front):
    front.get(f"/hub/api/oauth2/authorize?code={CODE}&state={CODE}&token={CODE}",
              headers={"Referer": f"{front.url}/?code={CODE}", "Authorization": f"token {CODE}"})  # fmt: skip
    (seen,) = [each for each in front.logged() if each["RequestPath"].startswith("/hub/api/oauth2")]
    assert seen["RequestPath"] == "/hub/api/oauth2/authorize"
    assert (seen["ClientHost"], seen["DownstreamStatus"], seen["RequestMethod"]) == ("127.0.0.1", 200, "GET")
    assert CODE not in front.text()


def test_other_names_are_nobody_here(front):
    for host in ("other.example.org", f"a.b.{HOST}", f"x{HOST}"):
        assert front.status(host) == 404


def test_numbers_are_on_loopback(front):
    told = front.numbers()
    assert 'traefik_tls_certs_not_after{cn="hub.example.org"' in told
    assert 'traefik_entrypoint_requests_total{code="200",entrypoint="https"' in told
