"""The section `cvmfs` of mlinfn.yaml, and what an image may want of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from .settings_types import Clashes, Memory, Model, text_like, twice
from .settings_words import Words

IN_LABS = "/cvmfs"
"""Where labs see the repositories: software in them carries absolute paths."""
FOLDER_WORDS = "an absolute path, such as /cvmfs"
Repository = text_like(r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)+$",
                       "the full name of a repository, such as sft.cern.ch")
Proxies = text_like(r"^[A-Za-z0-9][A-Za-z0-9.:/;|_~%@\[\]-]*$",
                    "DIRECT, or HTTP proxies in CVMFS's own notation, such as http://squid.example.org:3128;DIRECT")
View = text_like(r"^(|/cvmfs/[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*)+)$",
                 "the folder of a view, such as /cvmfs/sft.cern.ch/lcg/views/LCG_106/x86_64-el9-gcc13-opt")


class CVMFS(Model):
    repositories: tuple[Repository, ...] = ()
    """Repositories that labs see below /cvmfs. Empty: labs have no /cvmfs."""
    proxy: Proxies = "DIRECT"
    """The HTTP proxies of the client container."""
    cache: Memory = "20G"
    """Most that the client container keeps on disk, under `root`."""
    client: Literal["auto", "container", "host"] = "auto"
    """Who mounts the repositories: a container of ours, or the machine's own client (host), which is left as it is.
    auto: the machine's own where there is one, else the container."""
    folder: Annotated[Path, Words(FOLDER_WORDS)] = Path(IN_LABS)
    """Where they are mounted on this machine. Labs see it as /cvmfs."""

    def clashes(self) -> Clashes:
        yield from twice(self.repositories, "repositories")
        if not self.folder.is_absolute() or len(self.folder.parts) < 2:
            yield ("folder",), f"this is {self.folder}, but it has to be {FOLDER_WORDS}."


def repository_of(view: str) -> str:
    """The repository that a view lies in."""
    return view.split("/")[2]


def view_clashes(view: str, needed: Iterable[str]) -> Clashes:
    """A clash if the view lies in a repository that its image does not name: nobody would watch it."""
    if view and repository_of(view) not in needed:
        yield ("view",), f"it lies in {repository_of(view)}, so write `cvmfs: [{repository_of(view)}]` beside it."


def image_clashes(cvmfs: CVMFS, images: Iterable[Any]) -> Clashes:
    """A clash for each repository that an image needs and the site does not have."""
    for index, image in enumerate(images):
        for number, name in enumerate(image.cvmfs):
            if name not in cvmfs.repositories:
                yield ("images", index, "cvmfs", number), f"{name} {_not_there(name, cvmfs.repositories)}"


def _not_there(name: str, repositories: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, repositories, n=1, cutoff=0.6)
    meant = f" Did you mean {close[0]}?" if close else " Add it there, or remove it here."
    return f"is not among `cvmfs.repositories`.{meant}"
