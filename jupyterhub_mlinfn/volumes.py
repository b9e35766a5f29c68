"""What of the host's folders a lab sees, and where. Touches nothing: `folders` makes them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .identity import Person
from .settings import CVMFS, Storage
from .settings_cvmfs import IN_LABS

SHARED = "/shared"
"""Where a lab sees what everybody shows to everybody."""
GROUPS = "/groups"
"""Where a lab sees the folders of its member's groups."""
NO_SOFTWARE = CVMFS()


@dataclass(frozen=True)
class Mount:
    """One bind mount or, with `volume`, one of Docker's named volumes. A lab starts without an `optional` one whose
    source is not there."""

    source: str
    target: str
    read_only: bool = False
    volume: bool = False
    optional: bool = False
    propagation: str = ""
    """How mounts made below it later get in: "rslave", or empty for Docker's default, not at all."""

    def as_docker(self) -> dict:
        """The Engine's API object, for HostConfig.Mounts."""
        kind = "volume" if self.volume else "bind"
        more = {"BindOptions": {"Propagation": self.propagation}} if self.propagation else {}
        return {"Type": kind, "Source": self.source, "Target": self.target, "ReadOnly": self.read_only, **more}


def of_person(root: Path, person: Person) -> tuple[Mount, ...]:
    """A member's own folders, at the paths that the contract fixes: home, shared, and those of their groups.

    Everybody's shared folders are read-only, but for the member's own among them.
    """
    mine = f"{SHARED}/{person.safe_name}"
    return (
        Mount(f"{root}/users/{person.safe_name}", person.home),
        Mount(f"{root}/shared", SHARED, read_only=True),
        Mount(f"{root}{mine}", mine),
        *_of_groups(root, person),
    )


def of_room(root: Path, person: Person) -> tuple[Mount, ...]:
    """What the lab of a room sees: its own folder, that of its group, and to read what everybody shares."""
    mine, shared = Mount(f"{root}{person.home}", person.home), Mount(f"{root}/shared", SHARED, read_only=True)
    return (mine, shared, *_of_groups(root, person))


def _of_groups(root: Path, person: Person) -> tuple[Mount, ...]:
    return tuple(Mount(f"{root}{group.folder}", group.folder) for group in person.groups)


def of_site(storage: Storage, groups: Collection[str]) -> tuple[Mount, ...]:
    """The site's own folders that a member of these groups sees."""
    return tuple(
        Mount(str(extra.source), str(extra.target), read_only=extra.mode == "ro", optional=True)
        for extra in storage.extra if not extra.groups or set(extra.groups) & set(groups)
    )  # fmt: skip


def software(cvmfs: CVMFS) -> tuple[Mount, ...]:
    """The repositories of CVMFS, also those that are mounted, or mounted again, while the lab runs."""
    if not cvmfs.repositories:
        return ()
    return (Mount(str(cvmfs.folder), IN_LABS, read_only=True, propagation="rslave"),)


def links(person: Person, cvmfs: CVMFS = NO_SOFTWARE) -> dict[str, str]:
    """Names in a home -> where they lead: JupyterLab's file browser shows nothing outside the home."""
    software = {"cvmfs": IN_LABS} if cvmfs.repositories else {}
    return {"shared": SHARED, **({"groups": GROUPS} if person.groups else {}), **software}
