"""Rooms: labs that belong to a group, each run by an account of its own that nobody logs in as. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .identity import escape
from .references import OURS
from .settings import Settings
from .settings_rooms import ACCOUNT, EACH_GROUP, RoomSettings

FOLDERS = "/rooms"
"""Where a room's lab sees its folder."""


@dataclass(frozen=True)
class Room:
    """One room. Its sizes are keys as in the settings: memory "8G", cpus "2", gpus "t4:1"; idle is None where it has no
    time of its own.
    """

    name: str
    group: str
    title: str
    image: str
    memory: str
    cpus: str
    gpus: str = "0"
    idle: str | None = None

    @property
    def account(self) -> str:
        """The user name of the room at the hub."""
        return account_of(self.name)

    @property
    def folder(self) -> str:
        """Path of the room's folder inside its lab, and below the root of all data."""
        return f"{FOLDERS}/{self.name}"

    @property
    def scopes(self) -> tuple[str, str]:
        """What its group may: enter, and start and stop."""
        return scopes_of(self.name)


def account_of(name: str) -> str:
    """The user name at the hub of the room with this name."""
    return ACCOUNT + name


def scopes_of(name: str) -> tuple[str, str]:
    """JupyterHub's scopes for entering the room with this name, and for starting and stopping it."""
    return tuple(f"{may}!server={account_of(name)}/" for may in ("access:servers", "servers"))


def rooms_of(settings: Settings) -> tuple[Room, ...]:
    """The rooms of a site, with every default filled in."""
    if settings.rooms == EACH_GROUP:
        named = (RoomSettings.model_construct(name=escape(group), group=group, title=group)
                 for group in settings.sharing_groups)  # fmt: skip
        return tuple(_room(each, settings) for each in named)
    return tuple(_room(each, settings) for each in settings.rooms)


def _room(room: RoomSettings, settings: Settings) -> Room:
    image = room.image if "/" in room.image else OURS + room.image
    memory, cpus = room.memory or settings.sizes.memory[0], room.cpus or settings.sizes.cpus[0]
    return Room(room.name, room.group, room.title or room.name, image, memory, cpus, room.gpus, room.idle)
