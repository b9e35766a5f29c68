"""A page in one person's lab, opened by somebody who is logged in, tries to act as them in their lab and in the hub."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page
from support.browser import OPEN_SOCKET, chromium_that_finds, log_in
from support.wait import until

pytestmark = [pytest.mark.browser, pytest.mark.docker]

# What JavaScript of the page can learn: "read 200", "blocked", or "sent" for requests whose answer it may not see.
FETCH = """async ([url, options]) => {
  try {
    const answer = await fetch(url, {credentials: "include", ...options});
    return answer.type === "opaque" ? "sent" : `read ${answer.status}`;
  } catch (error) { return "blocked"; }
}"""
TOKEN = """document.cookie.split("; ").find(each => each.startsWith("_xsrf=")).slice(6)"""
FRAME = """url => new Promise(done => {
  const frame = document.createElement("iframe");
  frame.onload = () => done("loaded");
  frame.src = url;
  document.body.append(frame);
})"""


class Trap(BaseHTTPRequestHandler):
    """A page without content or protection, as anybody can serve one in their lab."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Nice plots</title><body>")

    def log_message(self, *words) -> None:
        """Say nothing on the terminal."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of such a page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Trap)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["localhost", "hub.test"])
def site(lab_site, request):
    """Anna has a lab. To browsers NAME.localhost are strangers; NAME.hub.test are one site and share lax cookies."""
    site = lab_site(host=request.param, tls={"plain_http": "accepted"})
    site.host = request.param
    site.password = site.add_user("anna")
    site.api.start("anna")
    return site


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a Chromium that finds hub.test on this machine."""
    with chromium_that_finds("hub.test", chromium) as own:
        yield own.new_page()


def urls(site) -> tuple[str, str]:
    """Anna's lab and the hub, as browsers know them."""
    return f"http://anna.{site.host}:{site.port}/user/anna/", f"http://{site.host}:{site.port}/hub/"


@pytest.fixture
def anna(site, page: Page) -> Page:
    """Anna's browser: logged in at the hub, and in her lab."""
    lab, hub = urls(site)
    log_in(page, hub, "anna", site.password)
    page.goto(lab + "lab")
    page.wait_for_url(lab + "lab**")
    return page


@pytest.fixture
def trap(site, anna: Page, elsewhere: int) -> Page:
    """Anna's browser, with a page on the host name of boris's lab open."""
    anna.goto(f"http://boris.{site.host}:{elsewhere}/")
    return anna


def kernels(site) -> int:
    return len(site.api.lab("anna").request("GET", "api/kernels").json())


def tokens(site) -> int:
    """How many tokens the hub has given out."""
    with sqlite3.connect(f"file:{site.root}/hub/jupyterhub.sqlite?mode=ro", uri=True) as database:
        return database.execute("select count(*) from api_tokens").fetchone()[0]


def test_in_her_own_lab_the_same_request_works(site, anna):
    """The proof that what follows could fail."""
    token = {"headers": {"X-XSRFToken": anna.evaluate(TOKEN)}}
    assert anna.evaluate(FETCH, [urls(site)[0] + "api/contents", token]) == "read 200"


def test_nothing_of_her_lab_is_read(site, trap):
    for path in ("api/contents", "api/kernels", "lab", "files/notes.txt"):
        assert trap.evaluate(FETCH, [urls(site)[0] + path, {}]) == "blocked", path


def test_nothing_in_her_lab_is_started(site, trap):
    before = kernels(site)
    simple = {"method": "POST", "mode": "no-cors", "body": "{}", "headers": {"Content-Type": "text/plain"}}
    assert trap.evaluate(FETCH, [urls(site)[0] + "api/kernels", simple]) == "sent"
    wanted = {"method": "POST", "body": "{}", "headers": {"Content-Type": "application/json"}}
    assert trap.evaluate(FETCH, [urls(site)[0] + "api/kernels", wanted]) == "blocked"
    assert kernels(site) == before


def test_no_websocket_to_her_kernel_or_terminal_opens(site, anna, elsewhere):
    lab = site.api.lab("anna")
    kernel = lab.request("POST", "api/kernels", json={"name": "python3"}).json()["id"]
    terminal = lab.request("POST", "api/terminals", json={}).json()["name"]
    base = urls(site)[0].replace("http", "ws", 1)
    token = quote(anna.evaluate(TOKEN))
    paths = (f"api/kernels/{kernel}/channels", f"terminals/websocket/{terminal}")
    sockets = [f"{base}{path}?_xsrf={token}" for path in paths]
    assert [anna.evaluate(OPEN_SOCKET, socket) for socket in sockets] == ["open", "open"]
    anna.goto(f"http://boris.{site.host}:{elsewhere}/")
    assert [anna.evaluate(OPEN_SOCKET, socket) for socket in sockets] == ["refused", "refused"]
    assert [anna.evaluate(OPEN_SOCKET, socket.split("?")[0]) for socket in sockets] == ["refused", "refused"]


def test_the_hub_tells_it_nothing_and_stops_nothing(site, trap):
    hub = urls(site)[1]
    for path in ("api/user", "api/users/anna", "home", "token"):
        assert trap.evaluate(FETCH, [hub + path, {}]) == "blocked", path
    assert trap.evaluate(FETCH, [hub + "api/users/anna/server", {"method": "DELETE"}]) == "blocked"
    before = tokens(site)
    simple = {"method": "POST", "mode": "no-cors", "body": "{}", "headers": {"Content-Type": "text/plain"}}
    assert trap.evaluate(FETCH, [hub + "api/users/anna/tokens", simple]) == "sent"
    assert site.api.server("anna")["ready"]
    assert tokens(site) == before


def test_a_form_sent_to_the_hub_starts_nothing(site, trap):
    site.api.stop("anna")
    fill = """url => {
      const form = Object.assign(document.createElement("form"), {method: "post", action: url});
      form.append(Object.assign(document.createElement("input"), {name: "profile", value: "lab"}));
      document.body.append(form);
      form.submit();
    }"""
    with trap.expect_navigation():
        trap.evaluate(fill, urls(site)[1] + "spawn")
    assert site.api.server("anna") is None


def test_neither_hub_nor_lab_can_be_framed(site, trap):
    """A framed page could be clicked unknowingly."""
    for url in (urls(site)[1] + "home", urls(site)[0] + "lab"):
        trap.evaluate(FRAME, url)
    until(lambda: shown_in_frames(trap) == {"chrome-error://chromewebdata/"}, 10, "both frames to be refused")
    assert len(trap.frames) == 3


def shown_in_frames(page: Page) -> set[str]:
    """Addresses of what is in the frames of a page."""
    page.evaluate("0")  # lets Playwright hear the news
    return {frame.url for frame in page.frames[1:]}


def test_her_cookies_are_not_seen(site, trap):
    """The session id goes to all subdomains, for logging out everywhere; by itself it opens nothing."""
    assert trap.evaluate("document.cookie") == ""
    cookies = trap.context.cookies(f"http://boris.{site.host}:{site.port}/user/boris/")
    assert {cookie["name"] for cookie in cookies} <= {"jupyterhub-session-id"}
