"""The key `rooms` of mlinfn.yaml: labs that belong to a group."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from .settings_errors import STAND_IN
from .settings_types import WHICH_KIND, Clashes, CPUs, Duration, Group, Memory, Model, Reference, as_text, text_like
from .settings_words import Words

EACH_GROUP = "each-group"
ACCOUNT = "room-"
"""What the names of rooms' accounts begin with, and no person's."""
RoomName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9]|-[a-z0-9])*$", max_length=26), Words(
    "up to 26 small letters, digits and single hyphens that begin with a letter, such as cms")]
RoomGPUs = Annotated[str, BeforeValidator(as_text), Field(pattern=r"^([a-z0-9]+([.-][a-z0-9]+)*:)?(0|[1-9]\d{0,2})$"),
                     Words("a number of GPUs such as 1, or of a class such as t4:1")]
RoomTitle = text_like(r"^[^\x00-\x1f\x7f]{0,60}$", "a text of one line, up to 60 characters")
WITHOUT_SUBDOMAINS = (
    "with `subdomains: false` a page in a room can act as whoever opens it, in their own lab too. Take `subdomains: "
    "true`, or write `rooms_without_subdomains: accepted` if everybody in a room trusts everybody.")  # fmt: skip


class RoomSettings(Model):
    name: RoomName
    """Short name: in addresses, as folder, on labels."""
    group: Group
    """Whose room it is: one of the groups that share a folder. Its members enter, start it and stop it."""
    title: RoomTitle = ""
    """What members read. Empty: the name."""
    image: Reference = "collab"
    """Our image `collab`, or the full reference of one that was made from it."""
    memory: Memory | None = None
    """Its memory. Empty: the first of `sizes`."""
    cpus: CPUs | None = None
    """Its CPUs. Empty: the first of `sizes`."""
    gpus: RoomGPUs = "0"
    """The GPUs that it may be started with, such as 1 or t4:1. Members choose with or without."""
    idle: Duration | None = None
    """Idle time after which it stops. Empty: that of `culling`."""


def _kind(value: Any) -> str:
    return WHICH_KIND[0] if isinstance(value, str) else WHICH_KIND[1]


Rooms = Annotated[
    Annotated[Literal["each-group"], Tag(WHICH_KIND[0])] | Annotated[tuple[RoomSettings, ...], Tag(WHICH_KIND[1])],
    Discriminator(_kind),
    Words(f"{EACH_GROUP}, or a list of rooms, each with the keys {', '.join(RoomSettings.model_fields)}"),
]


def room_clashes(rooms: Any, sharing: Iterable[str], has_subdomains: bool, accepted: str) -> Clashes:
    """A clash for each room that cannot be. `sharing`: the groups that share a folder."""
    if rooms and not has_subdomains and not accepted:
        yield ("rooms",), WITHOUT_SUBDOMAINS
    listed = () if rooms == EACH_GROUP else rooms
    names = [room.name for room in listed]
    for index, room in enumerate(listed):
        if room.name in names[:index]:
            yield ("rooms", index, "name"), f"{room.name} is the name of rooms[{names.index(room.name)}] already."
        if room.group not in sharing and not room.group.startswith(STAND_IN):
            yield ("rooms", index, "group"), f"{room.group} {_not_sharing(sharing)}"


def _not_sharing(sharing: Iterable[str]) -> str:
    there = ", ".join(sharing)
    return f"shares no folder. These do: {there}. `groups` names them." if there else (
        "shares no folder: no group does. Name it under `groups`.")
