"""`GET /hub/api/mlinfn/rooms`: the rooms that whoever asks may enter, how they stand, and who is inside."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.user import User
from jupyterhub.utils import isoformat
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError

from . import __version__, claims, login
from .activity import asked, own_token
from .container import LABELS
from .engine import BROKEN_ENGINE
from .references import with_tag
from .room import RoomSpawner
from .rooms import Room, rooms_of
from .settings import Settings, bytes_of

PATH = r"/api/mlinfn/rooms"
FRESH_S = 2
ANSWER_S = 1
LONGEST_ANSWER = 64 * 2**10
MOST = 200
"""People inside a room who are told of."""
STATES: Mapping[str | None, str] = {"spawn": "starting", "stop": "stopping", "check": "starting"}
ALL_STATES = ("running", "starting", "stopping", "stopped")
log = logging.getLogger("jupyterhub.mlinfn.rooms")


@dataclass(frozen=True)
class Seen:
    """What a running room's container and its lab say; the names may be anything."""

    names: frozenset[str] = frozenset()
    gpus: int = 0


NOTHING = Seen()


def state_of(lab: RoomSpawner) -> str:
    """One of ALL_STATES."""
    return STATES.get(lab.pending, "running" if lab.ready else "stopped")


class Looks:
    """Looks into running rooms, at most every two seconds however many ask."""

    def __init__(self):
        self._known: dict[str, tuple[str, float, asyncio.Task[Seen]]] = {}  # by room; of which container, and when

    async def look(self, lab: RoomSpawner) -> Seen:
        """What is seen in the room that runs in this lab."""
        container, at, task = self._known.get(lab.room_name, ("", 0.0, None))
        if task is None or container != lab.object_id or time.monotonic() - at > FRESH_S:
            task = asyncio.ensure_future(look(lab))
            self._known[lab.room_name] = lab.object_id, time.monotonic(), task
        return await asyncio.shield(task)


async def look(lab: RoomSpawner) -> Seen:
    """What the room says of itself now; nothing of what it does not say in time."""
    try:
        container = await lab.get_object()
    except BROKEN_ENGINE as error:
        log.warning("Docker does not say how the room %s is: %s", lab.room_name, error)
        return NOTHING
    if container is None or not lab.server:
        return NOTHING
    gpus = (container["Config"].get("Labels") or {}).get(f"{LABELS}gpus", "")
    return Seen(await inside(lab.server.url, own_token(container)), len(gpus.split(",")) if gpus else 0)


async def inside(url: str, token: str, answer_s: float = ANSWER_S) -> frozenset[str]:
    """The names that the room at this address says are inside. It is asked with its own token, which is its to keep."""
    try:
        answer = await asked(f"{url}mlinfn/inside", token, answer_s, LONGEST_ANSWER)
    except (HTTPClientError, OSError):
        return frozenset()
    names = answer.get("inside") if isinstance(answer, dict) else None
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def shown(user: orm.User) -> dict[str, str]:
    """How a person is shown to others, by what the hub knows: name, display_name, initials, color."""
    known = {**claims.user_info({}, user.name), **(user.user_info or {})}
    return {"name": user.name, **{key: known[key] for key in ("display_name", "initials", "color")}}


def members(user: User, names: frozenset[str]) -> list[dict[str, str]]:
    """Those of the names that are people of the room's group, for whatever else a room may say; `user` is the room."""
    people = {each.name: each for group in user.groups for each in group.users if each.name != user.name}
    return [shown(people[name]) for name in sorted(names & people.keys())[:MOST]]


class RoomsHandler(APIHandler):
    """The rooms as JSON."""

    SUPPORTED_METHODS = ("GET",)

    def initialize(self, rooms: Sequence[Room], base: str, looks: Looks) -> None:
        """Remembers which rooms there are, where the hub is, and the one that looks into them."""
        self.rooms, self.base, self.looks = rooms, base, looks

    async def get(self) -> None:
        """Rooms that this request may enter, and no others: a token may do less than its owner.

        Who: whoever is signed in
        Answer: `{"rooms": [{"name": "cms", "title": "CMS", "group": "cms", "state": "running", "url": "…",
            "memory": 17179869184, "cpus": 4.0, "image": "mlinfn/collab:0.1.0", "gpus": {"offered": "1", "held": 0},
            "since": "2026-11-24T10:00:00.000000Z", "inside": [{"name": "anna", "display_name": "Anna Rossi",
            "initials": "AR", "color": "#7a5a3a"}]}]}`; state is stopped, starting, running or stopping
        """
        if self.current_user is None:
            raise HTTPError(403, "Sign in, or send a token.")
        open_to = [room for room in self.rooms if self.has_scope(room.scopes[0])]
        accounts = [(room, user) for room in open_to if (user := self.find_user(room.account))]
        self.set_header("Cache-Control", "no-store")
        self.write({"rooms": list(await asyncio.gather(*(self._told(*each) for each in accounts)))})

    async def _told(self, room: Room, user: User) -> dict[str, Any]:
        lab, started = user.spawner, user.spawner.orm_spawner.started
        seen = await self.looks.look(lab) if lab.ready else NOTHING
        return {
            "name": room.name,
            "title": room.title,
            "group": room.group,
            "state": state_of(lab),
            "url": urljoin(self.base, user.url),
            "memory": bytes_of(room.memory),
            "cpus": float(room.cpus),
            "image": with_tag(room.image, __version__),
            "gpus": {"offered": room.gpus, "held": seen.gpus},
            "since": isoformat(started) if lab.active and started else None,
            "inside": members(user, seen.names),
        }


def handlers(settings: Settings) -> list[tuple]:
    """For JupyterHub's `extra_handlers`."""
    known = {"rooms": rooms_of(settings), "base": login.public_url(settings), "looks": Looks()}
    return [(PATH, RoomsHandler, known)]
