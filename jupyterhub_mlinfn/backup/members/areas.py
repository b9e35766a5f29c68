"""What of the copies is a member's: their home, what they share, their groups' folders and rooms. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import UserError
from ...identity import Person
from ...rooms import Room
from ...settings_backup import Kind
from .rights import Reader

LONGEST, DEEPEST = 4096, 64
"""Of a path: bytes, and folders."""


@dataclass(frozen=True)
class Area:
    """One of them, as the folder `folder` of a kind of data."""

    name: str
    title: str
    kind: Kind
    folder: str
    reader: Reader | None = None
    """Whose rights count in it; None where all in it is the member's."""


def of_member(member: Person, rooms: Iterable[tuple[Room, Person]]) -> dict[str, Area]:
    """Name -> area. In a room everybody acts as the room's account, so whoever may enter reads what that may."""
    reader = reader_of(member)
    found = [
        Area("home", "My home", "homes", member.safe_name),
        Area("shared", "What I share", "shared", member.safe_name),
        *(Area(f"groups/{each.safe_name}", each.name, "groups", each.safe_name, reader) for each in member.groups),
        *(Area(f"rooms/{room.name}", room.title, "rooms", room.name, reader_of(account)) for room, account in rooms),
    ]
    return {area.name: area for area in found}


def reader_of(person: Person) -> Reader:
    """The numbers that somebody's lab has."""
    gids = {group.gid for group in person.groups}
    return Reader(person.uid, frozenset(gids if person.uid is None else {person.uid, *gids}))


def parts_of(path: str) -> tuple[str, ...]:
    """The names in a path, none of them for the whole area. Raises UserError for what is no path in an area."""
    parts = tuple(path.split("/")) if path else ()
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        raise UserError("This name cannot be written. Restore the folder that it is in.") from None
    if not {"", ".", ".."}.isdisjoint(parts) or "\0" in path:
        raise UserError("A path has names with single slashes between them, such as analysis/plots, and no `..`.")
    if length > LONGEST or len(parts) > DEEPEST:
        raise UserError(f"A path has up to {LONGEST} bytes and {DEEPEST} names. Restore a folder further up.")
    return parts
