"""No room has the name of a person who is known here: whoever reads it would take the one for the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from . import passwords
from .errors import OperatorError
from .identity import Subjects
from .rooms import Room, rooms_of
from .settings import Settings
from .settings_errors import Problem, Steps, parsed, report, shown, text_of


def check(site_file: Path, settings: Settings) -> None:
    """Nothing, if no room in the file of these settings is named like a person. Raises OperatorError with each line."""
    known = people(settings.root)
    wrong = {found for number, room in enumerate(rooms_of(settings)) for found in _taken(number, room, known, settings)}
    if wrong:
        document = parsed(site_file, text_of(site_file))
        raise OperatorError(report(site_file, {Problem(document.line(at), shown(at), text) for at, text in wrong}))


def people(root: Path) -> frozenset[str]:
    """Everybody who has logged in by an identity service or has a password here; nobody where that cannot be read."""
    folder = root / "hub"
    if not os.access(folder, os.R_OK | os.X_OK):
        return frozenset()
    book = folder / "identity.sqlite"
    by_service = Subjects(book).names() if book.exists() else frozenset()
    return by_service | passwords.read(folder / "passwords.json").keys()


def _taken(number: int, room: Room, known: frozenset[str], settings: Settings) -> Iterator[tuple[Steps, str]]:
    is_listed = not isinstance(settings.rooms, str)
    at = ("rooms", number, "name") if is_listed else ("rooms",)
    remedy = "Take another name." if is_listed else "List the rooms that you want, with other names."
    if room.name in known:
        yield at, f"{room.name} is the user name of a person here. {remedy}"
    if room.account in known:
        yield at, f"the account of this room, {room.account}, is the user name of a person here. {remedy}"
