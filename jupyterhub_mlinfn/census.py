"""What /hub/metrics shows of people and rooms: who is in which group, how the rooms stand, how many are inside."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from . import metrics, room_api
from .room import RoomSpawner
from .rooms import Room

TICK_S = 0.1
log = logging.getLogger("jupyterhub.mlinfn.census")


def groups(db: Session) -> list[tuple[str, str]]:
    """Every person, or room, with each of their groups."""
    rows = db.query(orm.User.name, orm.Group.name).join(orm.Group.users)
    return sorted((user, group) for user, group in rows)


async def inside(lab: RoomSpawner) -> int:
    """How many people say that they are in this room; what a room says of others does not count."""
    seen = await room_api.look(lab) if lab.ready else room_api.NOTHING
    return len(room_api.members(lab.user, seen.names))


class Census(Collector):
    """Counts again and again, and tells Prometheus what was found last."""

    every_s = 15.0

    def __init__(self, app: JupyterHub, rooms: Sequence[Room], *, named: bool = True):
        self.app, self.rooms, self.named = app, rooms, named
        self.groups: list[tuple[str, str]] = []
        self.inside: dict[str, int] = {}
        self.states: Counter[str] = Counter()

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        """From now on the metrics of this registry have people and rooms."""
        registry.register(self)

    async def run(self, is_up: Callable[[], bool]) -> None:
        """Counts every so often, for ever, once the hub is up."""
        while True:
            if is_up():
                try:
                    await self.look()
                except Exception:  # the outermost loop: a database that is locked for a moment must not end it
                    self.app.db.rollback()
                    log.exception("People and rooms were not counted")
            await asyncio.sleep(self.every_s if is_up() else TICK_S)

    async def look(self) -> None:
        """Everything is counted once."""
        self.groups = groups(self.app.db) if self.named else []
        accounts = {room.name: orm.User.find(self.app.db, room.account) for room in self.rooms}
        labs = {name: self.app.users[account].spawner for name, account in accounts.items() if account}
        self.states = Counter(room_api.state_of(lab) for lab in labs.values())
        self.inside = dict(zip(labs, await asyncio.gather(*map(inside, labs.values())), strict=True))

    def collect(self) -> Iterator[Metric]:
        """What was found last."""
        yield metrics.USER_GROUP_INFO.read((pair, 1) for pair in self.groups)
        yield metrics.ROOMS.read(([state], self.states[state]) for state in room_api.ALL_STATES)
        yield metrics.ROOM_INSIDE.read(([name], count) for name, count in self.inside.items())
