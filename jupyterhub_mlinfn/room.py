"""The lab of a room: it belongs to a group, so it holds nothing of a person, and is offered in one way only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from traitlets import Tuple

from . import folders, options, volumes
from .folders import Folder
from .identity import Person
from .member import MemberSpawner
from .options import Offer
from .rooms import Room
from .volumes import Mount

ENVIRONMENT: Mapping[str, str] = {"JUPYTERHUB_DISABLE_USER_CONFIG": "1"}
"""What one visitor put into the room's folder must not run as the server of all."""


class RoomSpawner(MemberSpawner):
    """How a lab is a room's, where it is: everything else goes as for members' labs."""

    rooms = Tuple(config=True, help="The rooms (`jupyterhub_mlinfn.rooms.Room`), each of which is a hub user's lab.")

    @property
    def room(self) -> Room | None:
        """The room that this is the lab of; None for a member's lab."""
        return next((room for room in self.rooms if room.account == self.user.name), None)

    @property
    def room_name(self) -> str:
        """Its name, empty for a member's lab."""
        return self.room.name if self.room else ""

    def person(self) -> Person:
        """Who the lab runs as: a room has numbers of its own, and its folder as home."""
        person = super().person()
        return replace(person, place=self.room.folder) if self.room else person

    def folders_of(self, person: Person) -> tuple[Folder, ...]:
        """What is made for the lab, its home first."""
        return folders.of_room(Path(self.root), person) if self.room else super().folders_of(person)

    def mounts_of(self, person: Person) -> tuple[Mount, ...]:
        """What of this service's own folders the lab sees."""
        return volumes.of_room(Path(self.root), person) if self.room else super().mounts_of(person)

    @property
    def has_root(self) -> bool:
        """Nobody is root in a room: whoever enters next could not know what that changed."""
        return not self.room and super().has_root

    @property
    def carries_token(self) -> bool:
        """A room has no token: it is nobody."""
        return not self.room and super().carries_token

    def get_env(self) -> dict[str, str]:
        """JupyterHub's variables; in a room, also which it is."""
        environment = super().get_env()
        return {**environment, **ENVIRONMENT, "MLINFN_ROOM": self.room_name} if self.room else environment

    def room_offer(self, room: Room) -> Offer:
        """The one way in which a room is started, with its GPUs or without."""
        profiles = options.parse_profiles([options.room_profile(room)])
        gpus = () if room.gpus == "0" else (("0", "None"), (room.gpus, room.gpus))
        return options.offer(options.with_gpus(profiles, gpus), self.in_groups)
