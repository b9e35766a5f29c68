"""What of the host's folders a lab sees, and making them before it starts."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from .errors import OperatorError
from .identity import Person


@dataclass(frozen=True)
class Mount:
    """One bind mount or, with `volume`, one of Docker's named volumes."""

    source: str
    target: str
    read_only: bool = False
    volume: bool = False

    def as_docker(self) -> dict:
        """The Engine's API object, for HostConfig.Mounts."""
        kind = "volume" if self.volume else "bind"
        return {"Type": kind, "Source": self.source, "Target": self.target, "ReadOnly": self.read_only}


def home(root: Path, person: Person) -> Mount:
    """The person's own folder, at the path that the contract fixes."""
    return Mount(str(root / "users" / person.safe_name), person.home)


def make_home(root: Path, person: Person) -> None:
    """The home folder is there, belongs to its person, and nobody else enters it (mode 0700).

    Made and given away through descriptors without following links, so that nothing planted there is touched.
    Raises OperatorError if the folder belongs to somebody else or the disk refuses.
    """
    users = root / "users"
    try:
        parent = os.open(users, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OperatorError(f"The folder {users} cannot be opened: {error.strerror}. Run `mlinfn up`.") from error
    try:
        _make_owned(parent, person)
    except OSError as error:
        raise OperatorError(f"The home {users / person.safe_name} cannot be made: {error.strerror}.") from error
    finally:
        os.close(parent)


def _make_owned(parent: int, person: Person) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(person.safe_name, 0o700, dir_fd=parent)
    folder = os.open(person.safe_name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        _give_away(folder, person)
    finally:
        os.close(folder)


def _give_away(folder: int, person: Person) -> None:
    owner = os.fstat(folder).st_uid
    if owner == person.uid:
        return
    # Root's means: made by us just now, or by a start that was cut off between mkdir and chown.
    if owner != os.geteuid() or os.listdir(folder):
        raise OperatorError(f"The home of {person.name!r} belongs to uid {owner}, not {person.uid}.")
    os.fchown(folder, person.uid, person.uid)
