"""Entering a room whose lab is a real one: members of its group by one click, and nobody else in any way."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests
import websocket
from support.client import API, Lab, Visitor
from support.places import test_name
from support.site import Site, closing_site

from jupyterhub_mlinfn import claims, passwords

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
ROOM = "room-cms"


@pytest.fixture(scope="module")
def seminar(lab_image, tmp_path_factory, proxy_command, engine, request) -> Iterator[Site]:
    """A site with a running room of cms, started by anna."""
    site = Site(tmp_path_factory.mktemp("seminar"), test_name(), proxy_command, engine)
    lab = {"slug": "lab", "title": "JupyterLab", "image": lab_image}
    room = {"name": "cms", "group": "cms", "image": lab_image, "memory": "512M"}
    with closing_site(site, request):
        site.start(images=[lab], groups=["cms"], rooms=[room])
        api = site.logged_in("anna", groups=("cms",)).api()
        assert api.ask(ROOM).status_code in (201, 202)
        api.wait_ready(ROOM)
        yield site


def entered(site: Site, visitor: Visitor, path: str = "lab") -> requests.Response:
    """What the visitor gets at an address of the room, redirects followed."""
    return visitor.session.get(f"http://{ROOM}.localhost:{site.port}/user/{ROOM}/{path}", timeout=30)


def tried(site: Site, api: API) -> tuple[int, int]:
    """The answers to a request and to the handshake of a websocket in the room, by somebody with this token."""
    lab = Lab(api.session, site.port, site.api.server(ROOM))
    plain = lab.request("GET", "api/contents")
    try:
        lab.socket("api/events/subscribe").close()
    except websocket.WebSocketBadStatusException as refused:
        return plain.status_code, refused.status_code
    return plain.status_code, 101


def test_a_member_enters_by_one_click_as_themselves(seminar):
    visitor = seminar.logged_in("boris", groups=("cms",))
    page = entered(seminar, visitor)
    assert page.url.startswith(f"http://{ROOM}.localhost:{seminar.port}/user/{ROOM}/lab"), "nothing to confirm"
    who = entered(seminar, visitor, "api/me").json()["identity"]
    known = {key: who[key] for key in ("username", "display_name", "initials", "color")}
    assert known == {"username": "boris", "display_name": "boris", "initials": "B", "color": claims.color("boris")}


def test_a_room_learns_nothing_that_opens_anything_else(seminar):
    entered(seminar, seminar.logged_in("elena", groups=("cms",)))
    with closing(sqlite3.connect(seminar.root / "hub/jupyterhub.sqlite")) as hub:
        asked = "SELECT scopes FROM api_tokens JOIN users ON users.id = user_id WHERE name = 'elena' AND client_id = ?"
        kept = hub.execute(asked, (f"jupyterhub-user-{ROOM}",)).fetchall()
    assert [set(json.loads(scopes)) for (scopes,) in kept] == [
        {f"access:servers!server={ROOM}/", "read:users:name!user", "read:users:groups!user"}]  # fmt: skip
    lines = seminar.lab_of(ROOM).attrs["Config"]["Env"]
    own = API(seminar.port, next(line for line in lines if line.startswith("JUPYTERHUB_API_TOKEN=")).split("=", 1)[1])
    for method, path in (("GET", "/users"), ("GET", "/users/elena"), ("DELETE", f"/users/{ROOM}/server"),
                         ("POST", "/users/elena/server"), ("POST", f"/users/{ROOM}/tokens"), ("GET", "/groups/cms")):
        assert own.request(method, path).status_code in (403, 404), path
    assert [room["name"] for room in own.request("GET", "/mlinfn/rooms").json()["rooms"]] == ["cms"]


def test_who_is_not_in_the_group_gets_nowhere(seminar):
    visitor = seminar.logged_in("carla", groups=("ml",))
    assert entered(seminar, visitor).status_code == 403
    assert tried(seminar, visitor.api()) == (403, 403)
    assert tried(seminar, API(seminar.port, "made-up")) == (403, 403)
    assert visitor.get(f"/hub/spawn/{ROOM}").status_code in (403, 404)
    assert visitor.api().request("GET", "/mlinfn/rooms").json() == {"rooms": []}


def test_who_leaves_the_group_is_out_at_the_hub_with_the_next_look_at_who_they_are(seminar):
    visitor = seminar.logged_in("dario", groups=("cms",))
    api, file = visitor.api(), seminar.root / "hub/passwords.json"
    assert tried(seminar, api) == (200, 101)
    password = passwords.generated()
    out = passwords.Person(passwords.hashed(password))
    passwords.change(file, lambda people: {**people, "dario": out})
    assert seminar.visitor().log_in("dario", password).ok  # which is such a look
    assert api.request("DELETE", f"/users/{ROOM}/server").status_code in (403, 404)
    assert api.request("GET", "/mlinfn/rooms").json() == {"rooms": []}
    # This is what the room asks about who knocks.
    assert [scope for scope in api.request("GET", "/user").json()["scopes"] if ROOM in scope] == []
    assert entered(seminar, visitor).status_code == 403
