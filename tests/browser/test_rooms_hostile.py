"""A notebook and a page that somebody left in a room try to get at what belongs to whoever opens them: their own lab,
their tokens at the hub, another service on the same host. To browsers all of these are one site, and cookies go along.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect
from support.client import API, Lab
from support.editors import CELL, PYTHON
from support.rooms_site import HOST, answer_of

pytestmark = [pytest.mark.browser, pytest.mark.docker, pytest.mark.timeout(300)]
ROOM = "room-cms"
SECRET = "what only anna may read"
# Tries everything a page can try with an address, and writes what came back. A frame or a window is looked into.
ATTACK = """
async function got(what) { try { return String(await what()); } catch (error) { return "nothing: " + error.name; } }
function inside(other) { return got(() => other.document.body.innerText); }
function framed(url) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.onload = async () => done(await inside(frame.contentWindow));
    setTimeout(() => done("nothing: it never came"), 5000);
    frame.src = url;
    document.body.append(frame);
  });
}
async function attack(url) {
  const all = {credentials: "include"};
  return {
    fetched: await got(async () => (await fetch(url, all)).text()),
    posted: await got(async () => (await fetch(url, {...all, method: "POST", body: "{}",
      headers: {"Content-Type": "application/json"}})).text()),
    unseen: await got(async () => (await fetch(url, {...all, mode: "no-cors"})).text()),
    framed: await framed(url),
    script: await new Promise(done => {
      const script = document.createElement("script");
      script.onload = script.onerror = () => done("nothing: " + typeof window.stolen);
      script.src = url;
      document.body.append(script);
    }),
  };
}
async function attackAll(urls) {
  const found = {cookie: await got(() => document.cookie), opener: await got(() => window.opener)};
  for (const url of urls) found[url] = await attack(url);
  return found;
}
"""
PAGE = """<!doctype html><title>Nice plots</title><body><script>{attack}
attackAll({urls}).then(found => {{
  const told = document.createElement("pre");
  told.id = "found";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
}});
</script>"""


class StandIn(BaseHTTPRequestHandler):
    """Another service on the same host, which knows people by a cookie."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Set-Cookie", "standin=anna; Domain=" + HOST)
        self.end_headers()
        self.wfile.write(SECRET.encode() if "standin=anna" in self.headers.get("Cookie", "") else b"who are you?")

    do_POST = do_GET

    def log_message(self, *words) -> None:
        """Say nothing on the terminal."""


@pytest.fixture(scope="module")
def stand_in() -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def targets(rooms_site, stand_in) -> list[str]:
    """What belongs to anna, who has a lab with a file."""
    lab = rooms_site.api.start("anna", memory="1G")
    file = {"type": "file", "format": "text", "content": SECRET}
    assert lab.request("PUT", "api/contents/secret.txt", json=file).ok
    hub, own = f"http://{HOST}:{rooms_site.port}/hub/", f"http://anna.{HOST}:{rooms_site.port}/user/anna/"
    return [f"{own}api/contents/secret.txt", f"{own}files/secret.txt", f"{own}lab", f"{hub}token",
            f"{hub}api/users/anna/tokens", f"{hub}api/user", f"{hub}home", stand_in]  # fmt: skip


@pytest.fixture(scope="module")
def room(rooms_site) -> Lab:
    """It runs."""
    return rooms_site.api.start(ROOM, gpus="0")


@pytest.fixture
def anna(visitor, targets, stand_in) -> Page:
    """Her browser, in which she has used all of that before: it has every cookie."""
    page = visitor("anna")
    for url in (targets[2], targets[3], stand_in, stand_in):
        assert page.goto(url).ok
    assert SECRET in page.content()
    return page


def url_of(room: Lab, path: str) -> str:
    """An address in the room, as browsers know it."""
    return f"http://{room.host}{room.path}{path}"


def assert_nothing_came(found: dict) -> None:
    """Neither her files and tokens nor a page of hers; that a request was made shows nothing."""
    text = json.dumps(found)
    for secret in (SECRET, "jupyterhub-user-anna", "jupyterhub-hub-login", "Request new API token", '\\"scopes\\"'):
        assert secret not in text, found
    for url, ways in found.items():
        if url.startswith("http"):
            assert all(each.startswith("nothing: ") or each == "" for each in ways.values()), (url, ways)


def test_what_she_could_read_herself_is_there(anna, targets, rooms_site):
    """The proof that what follows could fail."""
    assert SECRET in answer_of(anna, targets[0]).text
    assert "anna" in answer_of(anna, targets[5]).text


def test_a_page_in_the_room_gets_nothing(anna, room, targets):
    content = PAGE.format(attack=ATTACK, urls=json.dumps(targets))
    body = {"type": "file", "format": "text", "content": content}
    assert room.request("PUT", "api/contents/plots.html", json=body).ok
    anna.goto(url_of(room, "files/plots.html"))
    expect(anna.locator("#found")).to_be_attached(timeout=90_000)
    assert_nothing_came(json.loads(anna.inner_text("#found")))


def test_a_notebook_in_the_room_gets_nothing(anna, room, targets):
    """What it displays runs with the rights of the room's own page, which is the most that it can have."""
    script = f"{ATTACK} attackAll({json.dumps(targets)}).then(found => {{ window.found = JSON.stringify(found); }});"
    code = f"from IPython.display import Javascript\nJavascript({script!r})"
    content = {"cells": [{**CELL, "source": code}], "metadata": PYTHON, "nbformat": 4, "nbformat_minor": 5}
    body = {"type": "notebook", "format": "json", "content": content}
    assert room.request("PUT", "api/contents/nice.ipynb", json=body).ok
    anna.goto(url_of(room, "lab/tree/nice.ipynb"))
    expect(anna.locator("#jp-main-statusbar")).to_contain_text("Idle")
    anna.click(".jp-Notebook .cm-content")
    anna.keyboard.press("Control+Enter")
    anna.wait_for_function("window.found", timeout=30_000)
    found = json.loads(anna.evaluate("window.found"))
    assert "hub" not in found.pop("cookie").replace("jupyterhub-session-id", "")
    assert_nothing_came(found)


def test_what_the_room_learns_of_her_opens_the_room_alone(anna, room, rooms_site):
    """Programs in the room see her cookies there, and the token in its page."""
    anna.goto(url_of(room, "lab"))
    anna.wait_for_selector("#jupyter-config-data", state="attached")
    token = json.loads(anna.inner_text("#jupyter-config-data"))["token"]
    stolen = API(rooms_site.port, token)
    assert stolen.request("GET", "/user").json()["name"] == "anna"
    assert Lab(stolen.session, rooms_site.port, rooms_site.api.server(ROOM)).request("GET", "api/contents").ok
    hers = Lab(stolen.session, rooms_site.port, rooms_site.api.server("anna"))
    assert hers.request("GET", "api/contents").status_code == 403
    refused = [("GET", "/users/anna/tokens"), ("POST", "/users/anna/tokens"), ("DELETE", "/users/anna/server"),
               ("GET", "/users"), ("POST", f"/users/{ROOM}/tokens"), ("DELETE", f"/users/{ROOM}/server"),
               ("POST", "/users/room-atlas/server")]  # fmt: skip
    assert [stolen.request(*each).status_code for each in refused] == [403, 403, 403, 403, 403, 403, 403]


def test_the_room_is_sent_none_of_her_other_cookies(anna, room):
    there = {each["name"] for each in anna.context.cookies(url_of(room, "files/plots.html"))}
    assert not {name for name in there if "hub-login" in name or "anna" in name or "service" in name}
    assert quote("standin") in there  # the stand-in gave its own away: what is for the whole domain goes to the room
