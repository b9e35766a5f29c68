"""What the hub makes of what a room says of itself, whatever that is."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from jupyterhub_mlinfn import claims
from jupyterhub_mlinfn.room_api import inside, members, shown


@contextmanager
def answering(status: int, body: bytes, *, slow_s: float = 0, location: str = ""):
    """The address of a room that gives one answer, and what it was asked."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            time.sleep(slow_s)
            self.wfile.write(body)

        def log_message(self, *words) -> None:
            """Say nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/user/room-cms/", seen
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "names"),
    [
        (200, b'{"inside": ["anna", "boris", "anna"]}', {"anna", "boris"}),
        (200, b'{"inside": ["anna", 5, null, {}, ["boris"]]}', {"anna"}),
        (200, b'{"inside": "anna"}', set()),
        (200, b'{"inside": {"anna": 1}}', set()),
        (200, b'["anna"]', set()),
        (200, b"null", set()),
        (200, b"<html>", set()),
        (200, b"\xff\xfe", set()),
        (200, b"[" * 50_000, set()),
        (200, json.dumps({"inside": ["x" * 70_000]}).encode(), set()),
        (404, b'{"inside": ["anna"]}', set()),
        (500, b"", set()),
    ],
    ids=["names", "some names", "a word", "a mapping", "a list", "null", "a page", "no text", "too deep", "too long",
         "an older image", "broken"],
)  # fmt: skip
async def test_only_names_in_the_right_place_count(status, body, names):
    with answering(status, body) as (url, seen):
        assert await inside(url, "its-own") == names
    assert seen == [("/user/room-cms/mlinfn/inside", "token its-own")]


async def test_a_room_sends_the_hub_nowhere():
    with answering(200, b'{"inside": ["anna"]}') as (elsewhere, seen):
        with answering(302, b"", location=elsewhere) as (url, _):
            assert await inside(url, "its-own") == frozenset()
        assert seen == []


async def test_a_room_is_not_waited_for():
    with answering(200, b'{"inside": ["anna"]}', slow_s=2) as (url, _):
        began = time.monotonic()
        assert await inside(url, "its-own", answer_s=0.2) == frozenset()
        assert time.monotonic() - began < 1
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    assert await inside(f"http://127.0.0.1:{port}/", "its-own") == frozenset()


def test_people_are_shown_as_the_hub_knows_them_and_by_their_name_where_it_knows_nothing():
    info = {"name": "Anna Rossi", "display_name": "Anna Rossi", "initials": "AR"}  # a login before there were colours
    assert shown(SimpleNamespace(name="anna", user_info=info)) == {
        "name": "anna", "display_name": "Anna Rossi", "initials": "AR", "color": claims.color("anna")}  # fmt: skip
    assert shown(SimpleNamespace(name="boris", user_info=None))["display_name"] == "boris"


def test_only_people_of_the_rooms_group_are_inside():
    anna, boris = (SimpleNamespace(name=name, user_info=None) for name in ("anna", "boris"))
    room = SimpleNamespace(name="room-cms")
    room.groups = [SimpleNamespace(users=[boris, room, anna])]
    names = frozenset({"anna", "boris", "carla", "room-cms"})
    assert [each["name"] for each in members(room, names)] == ["anna", "boris"]
