"""The addresses of the service: the page of rooms, and what its script asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jupyterhub.services.auth import check_scopes
from tornado.iostream import StreamClosedError

from ..pages.asking import FAILED, Asked, Refusal
from ..pages.handlers import PageHandler, Question, Visitor
from ..rooms import account_of, scopes_of

LONGEST_WORD = 64
ROOM = r"([a-z0-9-]{1,63})"


class OfRooms(Visitor):
    """A visitor, and the rooms that there are."""

    @property
    def groups(self) -> Mapping[str, str]:
        """Room -> its group."""
        return self.settings["groups"]

    def lacks(self, user: Mapping[str, Any]) -> bool:
        """Whether the person has come into the group of a room since."""
        return bool(lacking(self.groups, user))


def lacking(groups: Mapping[str, str], user: Mapping[str, Any]) -> list[str]:
    """Rooms of a person's groups that their token does not open."""
    mine = [room for room, group in groups.items() if group in user["groups"]]
    return [room for room in mine if not may(room, user)]


def may(room: str, user: Mapping[str, Any]) -> bool:
    """Whether the person's token may start, stop and enter the room."""
    return bool(check_scopes({scopes_of(room)[1]}, set(user["scopes"])))


class RoomsPage(OfRooms, PageHandler):
    """The page."""

    template = "rooms.html"


class OfRoom(OfRooms, Question):
    """A question about rooms."""

    @property
    def hub(self) -> Asked:
        """The hub, asked as this person."""
        return Asked(self.place.api, self.token)

    def server(self, room: str) -> str:
        """The address of the room's server at the hub. Raises Refusal if there is no such room for this person."""
        if room not in self.groups or not may(room, self.current_user):
            raise Refusal(404, f"There is no room {room[:LONGEST_WORD]} that you may use.")
        return f"/users/{account_of(room)}/server"


class Rooms(OfRoom):
    """The rooms of the visitor."""

    async def get(self) -> None:
        """The rooms of the visitor, as the hub tells them at `/hub/api/mlinfn/rooms`."""
        self.finish(await self.hub.ask("GET", "/mlinfn/rooms"))


class Start(OfRoom):
    """Starts a room."""

    async def post(self, name: str) -> None:
        """A start of the room, which the hub has taken (202).

        Takes: `{"gpus": "0"}`, or what the room offers instead of 0
        Otherwise: 404 for a room that the visitor may not use
        """
        await self.hub.ask("POST", self.server(name), {"gpus": self._gpus()})
        self.set_status(202)

    def _gpus(self) -> str:
        try:
            asked = json.loads(self.request.body or b"{}")
        except ValueError:
            asked = None
        gpus = asked.get("gpus", "0") if isinstance(asked, dict) and set(asked) <= {"gpus"} else None
        if not isinstance(gpus, str) or len(gpus) > LONGEST_WORD:
            raise Refusal(400, 'Send {"gpus": "0"}, or what the room offers instead of 0.')
        return gpus


class Stop(OfRoom):
    """Stops a room, or a start of it that is under way."""

    async def post(self, name: str) -> None:
        """A stop of the room, or of a start that is under way, which the hub has taken (202).

        Otherwise: 404 for a room that the visitor may not use
        """
        await self.hub.ask("DELETE", self.server(name))
        self.set_status(202)


class Progress(OfRoom):
    """The events of a start, as the hub tells them."""

    async def get(self, name: str) -> None:
        """The events of a start (`text/event-stream`), as the hub tells them.

        Otherwise: 404 for a room that the visitor may not use
        """
        async with self.hub.stream(f"{self.server(name)}/progress") as chunks:
            self.set_header("Content-Type", "text/event-stream")
            try:
                async for chunk in chunks:
                    self.write(chunk)
                    await self.flush()
            except (StreamClosedError, *FAILED):  # the visitor has gone, or the hub: the page asks again
                return


ROUTES = (
    ("", RoomsPage),
    ("api/rooms", Rooms),
    (f"api/rooms/{ROOM}/start", Start),
    (f"api/rooms/{ROOM}/stop", Stop),
    (f"api/rooms/{ROOM}/progress", Progress),
)
