"""Who is in a room, and who is not: nobody by another's name, nobody from a foreign page, nobody who left the group.

A real hub, the real image, three people: anna and boris of the group, carla not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import websocket
from pycrdt import Decoder, Encoder, YMessageType, create_awareness_message, read_message
from support.client import API, Lab, Visitor
from support.editors import write_notebook
from support.places import test_name
from support.site import Site, closing_site
from support.wait import until

from jupyterhub_mlinfn import passwords

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
ROOM = "room-cms"
OUT_S = 20
"""Until somebody who may not enter is out also of what they have open, as the documentation says."""
FORBIDDEN = 4403
SOON = """
c.Authenticator.auth_refresh_age = 1
"""


@pytest.fixture(scope="module")
def site(collab_image, tmp_path_factory, proxy_command, engine, request) -> Iterator[Site]:
    """An instance with two rooms, one of which the group may enter."""
    made = Site(tmp_path_factory.mktemp("rooms"), test_name(), proxy_command, engine)
    made.extra = SOON
    images = [{"slug": "lab", "title": "JupyterLab", "image": collab_image}]
    rooms = [{"name": name, "group": name, "memory": "1G"} for name in ("cms", "atlas")]
    with closing_site(made, request):
        made.start(images=images, groups=["cms", "atlas"], rooms=rooms)
        groups = {"anna": "cms", "boris": "cms", "carla": "atlas"}
        made.apis = {name: made.logged_in(name, groups=(group,)).api() for name, group in groups.items()}
        yield made


@pytest.fixture
def room(site) -> Lab:
    """The group's room as the test's own token sees it; it runs."""
    if site.api.server(ROOM) is None:
        answer = site.apis["anna"].ask(ROOM, gpus="0")
        assert answer.status_code in (201, 202), answer.text
        site.api.wait_ready(ROOM)
        write_notebook(site.api.lab(ROOM), "shared.ipynb")
    return site.api.lab(ROOM)


def of(site: Site, name: str) -> Lab:
    """The room as one person sees it, with a token of their own."""
    return Lab(site.apis[name].session, site.port, site.api.server(ROOM))


def document(lab: Lab) -> str:
    """Path of the websocket to the notebook."""
    body = {"format": "json", "type": "notebook"}
    model = lab.request("PUT", "api/collaboration/session/shared.ipynb", json=body).json()
    return f"api/collaboration/room/json:notebook:{model['fileId']}?sessionId={model['sessionId']}"


def kernel(lab: Lab) -> str:
    """Path of the websocket to a new kernel."""
    return f"api/kernels/{lab.request('POST', 'api/kernels', json={'name': 'python3'}).json()['id']}/channels"


def terminal(lab: Lab) -> str:
    """Path of the websocket to a new terminal."""
    return f"terminals/websocket/{lab.request('POST', 'api/terminals', json={}).json()['name']}"


SOCKETS = pytest.mark.parametrize("path", [document, kernel, terminal])


def refusal(lab: Lab, path: str, **options) -> int:
    """Status with which a websocket is refused, 302 if it is sent elsewhere; 101 if it is opened."""
    header = {"Authorization": lab.session.headers["Authorization"], **options.pop("header", {})}
    try:
        websocket.create_connection(f"ws://127.0.0.1:{lab.port}{lab.path}{path}", host=lab.host, timeout=30,
                                    header={k: v for k, v in header.items() if v}, **options).close()  # fmt: skip
    except websocket.WebSocketBadStatusException as error:
        return error.status_code
    except websocket.WebSocketException:  # a redirect to a page, where no websocket leads
        return 302
    return 101


def said(*entries: tuple[int, int, dict | None]) -> bytes:
    """A message in which a browser says something of these documents."""
    encoder = Encoder()
    encoder.write_var_uint(len(entries))
    for number, clock, state in entries:
        encoder.write_var_uint(number)
        encoder.write_var_uint(clock)
        encoder.write_var_string(json.dumps(state))
    return create_awareness_message(encoder.to_bytes())


def heard(socket: websocket.WebSocket, number: int) -> dict | None:
    """What is said next of a document, by whomever."""
    while True:
        message = socket.recv()
        if message[0] != YMessageType.AWARENESS:
            continue
        decoder = Decoder(read_message(message[1:]))
        states = {}
        for _ in range(decoder.read_var_uint()):
            key, _ = decoder.read_var_uint(), decoder.read_var_uint()
            states[key] = json.loads(decoder.read_var_string())
        if number in states:
            return states[number]


ANNAS = {"username": "anna", "name": "Anna", "display_name": "Anna", "initials": "A", "color": "red"}


def test_nobody_goes_by_anothers_name(site, room):
    theirs = of(site, "boris").socket(document(room))
    watching = of(site, "anna").socket(document(room))
    theirs.send_binary(said((77, 1, {"user": ANNAS, "cursors": [1]})))
    seen = heard(watching, 77)
    assert seen["cursors"] == [1]
    assert seen["user"]["username"] == seen["user"]["display_name"] == "boris"
    assert seen["user"]["color"] == site.api.user("boris")["user_info"]["color"]


def test_nobody_speaks_for_anothers_browser(site, room):
    hers, theirs = of(site, "anna").socket(document(room)), of(site, "boris").socket(document(room))
    watching = of(site, "anna").socket(document(room))
    hers.send_binary(said((78, 1, {"user": ANNAS, "cursors": [1]})))
    assert heard(watching, 78)["cursors"] == [1]
    theirs.send_binary(said((78, 5, {"user": ANNAS, "cursors": [2]}), (79, 1, {"user": ANNAS})))
    assert heard(watching, 79)["user"]["username"] == "boris"  # it has come, so the other had its chance before
    hers.send_binary(said((78, 2, {"user": ANNAS, "cursors": [3]})))
    assert heard(watching, 78)["cursors"] == [3]


@SOCKETS
def test_no_websocket_from_a_foreign_page(site, room, path):
    lab, there = of(site, "anna"), path(room)
    own = f"http://{lab.host}"
    foreign = [f"http://evil.example.org:{site.port}", f"http://anna.localhost:{site.port}", f"http://localhost:{site.port}",
               "null", f"{own}.example.org", f"https://{lab.host.split(':')[0]}"]  # fmt: skip
    assert refusal(lab, there, origin=own) == 101
    assert [refusal(lab, there, origin=each) for each in foreign] == [403] * len(foreign)


@SOCKETS
def test_who_is_not_of_the_group_opens_no_websocket(site, room, path):
    there = path(room)
    assert refusal(of(site, "carla"), there, suppress_origin=True) == 403
    assert refusal(of(site, "anna"), there, suppress_origin=True, header={"Authorization": ""}) in (302, 403)


@pytest.mark.parametrize("path", ["lab", "api/contents", "files/shared.ipynb", "mlinfn/inside"])
def test_who_is_not_of_the_group_reads_nothing(site, room, path):
    assert of(site, "carla").request("GET", path).status_code == 403
    assert of(site, "anna").request("GET", path).status_code in (200, 302)


def test_another_rooms_name_in_the_path_leads_nowhere(site, room):
    mine = of(site, "anna")
    for host in (mine.host, mine.host.replace("cms", "atlas")):
        other = Lab(site.apis["anna"].session, site.port, {"url": f"http://{host}/user/room-atlas/"})
        assert other.request("GET", "api/contents").status_code in (403, 404, 302, 424, 503)
        assert refusal(other, "api/kernels/x/channels", suppress_origin=True) != 101
        assert "shared.ipynb" not in other.request("GET", "api/contents").text


def test_the_rooms_own_token_opens_nothing(site, room):
    variables = dict(line.split("=", 1) for line in site.lab_of(ROOM).attrs["Config"]["Env"])
    stolen = API(site.port, variables["JUPYTERHUB_API_TOKEN"])
    lab = Lab(stolen.session, site.port, site.api.server(ROOM))
    assert [lab.request("GET", path).status_code for path in ("api/contents", "api/kernels", "api/me")] == [403] * 3
    assert [refusal(lab, path(room), suppress_origin=True) for path in (document, kernel, terminal)] == [403] * 3
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}  # which proxies pass on in another way, and end
    once = Lab(API(site.port, variables["JUPYTERHUB_API_TOKEN"]).session, site.port, site.api.server(ROOM))
    assert once.request("GET", "mlinfn/inside", headers=upgrade).status_code == 403
    mine = stolen.request("GET", "/user").json()
    assert mine["name"] == ROOM
    assert stolen.request("POST", f"/users/{ROOM}/tokens").status_code == 403
    assert stolen.request("GET", "/users/anna").status_code in (403, 404)


def test_the_hub_says_who_is_inside(site, room):
    socket = of(site, "boris").socket(document(room))
    until(lambda: inside(site, "anna") == ["boris"], 10, "boris to be inside")
    socket.close()
    until(lambda: inside(site, "anna") == [], 10, "boris to have left")


def inside(site: Site, name: str) -> list[str]:
    """Who is in the room, as one person is told."""
    listed = site.apis[name].request("GET", "/mlinfn/rooms").json()["rooms"]
    (found,) = [each for each in listed if each["name"] == "cms"]
    return [person["name"] for person in found["inside"]]


def set_groups(site: Site, name: str, *groups: str) -> None:
    """The site's file of people says so from now on."""
    passwords.change(site.root / "hub/passwords.json",
                     lambda people: {**people, name: replace(people[name], groups=groups)})  # fmt: skip


def closed_with(socket: websocket.WebSocket) -> int:
    """With which code the other end closed it. Raises WebSocketTimeoutException."""
    while True:
        opcode, data = socket.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")


@pytest.mark.timeout(200)
def test_who_leaves_the_group_is_out_of_what_is_open(site, room):
    sockets = [of(site, "boris").socket(path(room)) for path in (document, kernel, terminal)]
    staying = of(site, "anna").socket(document(room))
    set_groups(site, "boris")
    began = time.monotonic()
    try:
        for socket in sockets:
            socket.settimeout(OUT_S)
            assert closed_with(socket) == FORBIDDEN
        print(f"out after {time.monotonic() - began:.0f} s")
        assert time.monotonic() - began < OUT_S
        until(lambda: of(site, "boris").request("GET", "api/contents").status_code == 403, OUT_S, "boris to be out")
        assert refusal(of(site, "boris"), document(room), suppress_origin=True) == 403
        staying.ping()
        assert inside(site, "anna") == ["anna"]
    finally:
        set_groups(site, "boris", "cms")
        until(lambda: "cms" in site.apis["boris"].request("GET", "/user").json()["groups"], 30, "boris to be back")


@pytest.mark.timeout(200)
def test_who_logs_out_is_out_of_what_is_open(site, room):
    """A cookie that a browser kept, or a program that took it, opens nothing after that."""
    visitor = site.visitor()
    visitor.log_in("anna", site.new_password("anna"))
    page = visitor.session.get(f"http://{of(site, 'anna').host}{room.path}lab", timeout=60)
    assert page.ok, page.text
    socket = with_cookies(visitor, room, document(room))
    visitor.get("/hub/logout")
    socket.settimeout(OUT_S)
    assert closed_with(socket) == FORBIDDEN
    until(lambda: not opens(visitor, room), OUT_S, "the cookie to open nothing")


def opens(visitor: Visitor, room: Lab) -> bool:
    """Whether the visitor's cookies open a websocket."""
    try:
        with_cookies(visitor, room, document(room)).close()
    except websocket.WebSocketException:
        return False
    return True


def with_cookies(visitor: Visitor, room: Lab, path: str) -> websocket.WebSocket:
    """A websocket as the visitor's browser opens it."""
    name = room.host.split(":")[0]
    kept = "; ".join(f"{each.name}={each.value}" for each in visitor.session.cookies
                     if each.domain.removesuffix(".local").lstrip(".") in (name, "localhost"))  # fmt: skip
    return websocket.create_connection(f"ws://127.0.0.1:{room.port}{room.path}{path}", host=room.host, cookie=kept,
                                       origin=f"http://{room.host}", timeout=30)  # fmt: skip

