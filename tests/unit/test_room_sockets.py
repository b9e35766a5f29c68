"""Whose websockets a room closes, whatever the hub answers."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import ModuleType

import pytest
from tornado.web import HTTPError

SOURCE = Path(__file__).parents[2] / "images/collab/python/mlinfn_room/sockets.py"


@pytest.fixture(scope="module")
def sockets() -> ModuleType:
    """The module, which is not part of the package."""
    spec = importlib.util.spec_from_file_location("room_sockets", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Hub:
    """What the room knows of the hub, which gives one answer, or raises it."""

    access_scopes = frozenset({"access:servers!server=room-cms/"})

    def __init__(self, answer: object):
        self.answer = answer

    async def user_for_token(self, token: str, **options) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def check_scopes(self, needed: frozenset[str], user: dict) -> set[str]:
        return set(needed) & set(user["scopes"])


class Socket:
    """A websocket that remembers with what it was closed."""

    current_user = "anna"
    closed_with = None

    def close(self, code: int, reason: str) -> None:
        self.closed_with = code


@pytest.mark.parametrize(
    ("answer", "closed_with"),
    [
        ({"scopes": ["access:servers!server=room-cms/"]}, None),
        ({"scopes": ["access:servers!server=room-atlas/"]}, 4403),
        (None, 4403),
        (HTTPError(500), None),
        (ConnectionResetError(), None),
        (ValueError("half an answer"), None),
        (TimeoutError(), None),
    ],
    ids=["may", "may enter another", "nobody", "the hub is ill", "the hub goes", "half", "late"],
)
async def test_who_is_closed(sockets, answer, closed_with):
    socket = Socket()
    await sockets.Sockets(Hub(answer), logging.getLogger("room"))._look("token", "", [socket])
    assert socket.closed_with == closed_with
