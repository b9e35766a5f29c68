"""The section `storage` of mlinfn.yaml: folders of this machine that labs see besides those that are ours."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .settings_types import Clashes, Group, Model, overlap
from .settings_words import Words

SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/var")
"""Folders of a system, on the host as in a lab."""
OURS = ("/home", "/shared", "/groups", "/rooms", "/cvmfs", "/tmp")
"""Folders that a lab has from us."""
SECRET = (
    "/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/var/lib/docker", "/var/lib/containerd", "/var/run",
)  # fmt: skip
"""What of the host no lab may see: it holds secrets, or sockets that are as good as root."""


def _plain(path: PurePosixPath) -> PurePosixPath:
    """The path, which has to be absolute, below / and without `..`."""
    if not path.is_absolute() or len(path.parts) < 2 or ".." in path.parts:
        raise ValueError("an absolute path")
    return path


PATH_WORDS = "an absolute path below /, without `..`, such as /data/cms"
HostPath = Annotated[Path, AfterValidator(_plain), Words(PATH_WORDS)]
LabPath = Annotated[PurePosixPath, AfterValidator(_plain), Words(PATH_WORDS)]


class ExtraMount(Model):
    source: HostPath
    """Folder on this machine, such as a mounted NFS export or a data disk."""
    target: LabPath
    """Where labs see it."""
    mode: Literal["ro", "rw"] = "ro"
    """ro: to read, such as teaching material. rw: to write as well, where the folder's own rights allow it."""
    groups: tuple[Group, ...] = ()
    """Only labs of their members see it. Empty: all labs."""

    def clashes(self) -> Clashes:
        if secret := _around(self.source, SECRET):
            yield ("source",), f"{self.source} would show {secret} of this machine, which no lab may see."
        if own := _around(self.target, (*SYSTEM, *OURS)):
            yield ("target",), f"{self.target} is taken: labs have their own {own}. Take a name such as /data."


def _around(path: PurePosixPath, taken: tuple[str, ...]) -> str:
    """The one of `taken` that the path is, lies in, or holds; empty if there is none."""
    return next((each for each in taken if overlap(path, each)), "")


class Storage(Model):
    extra: tuple[ExtraMount, ...] = Field(())
    """More folders of this machine. A lab starts without one that is not there at the moment."""

    def clashes(self) -> Clashes:
        targets = [each.target for each in self.extra]
        for index, target in enumerate(targets):
            if target in targets[:index]:
                yield ("extra", index, "target"), f"{target} is the target of another one already."
