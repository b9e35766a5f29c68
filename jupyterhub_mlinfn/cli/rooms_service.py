"""Rooms on the machine: whether their images are here, so that somebody can start them."""

from __future__ import annotations

from collections.abc import Collection

from .. import __version__, collab
from ..references import OURS, with_tag
from ..rooms import rooms_of
from ..settings import Settings
from .finding import Finding
from .output import counted

PAGE = collab.PAGE.name
"""The service that shows them."""


def images(settings: Settings, there: Collection[str]) -> Finding | None:
    """Whether rooms can start; nothing where the site has none. `there` are the images on this machine, with tags."""
    named = [with_tag(room.image, __version__) for room in rooms_of(settings)]
    if not named:
        return None
    missing = sorted({image for image in named if image not in there})
    ours = [image.removeprefix(OURS).partition(":")[0] for image in missing if image.startswith(OURS)]
    if ours:
        return Finding("amber", "Rooms", f"None starts that needs {', '.join(missing)}: not on this machine.",
                       f"sudo mlinfn images build {' '.join(ours)}")
    if missing:
        return Finding("amber", "Rooms", f"Not on this machine yet: {', '.join(missing)}. Whoever starts such a room "
                       "first waits for it.", f"docker pull {missing[0]}")
    return Finding("green", "Rooms", f"{counted(len(named), 'is', 'are')} listed at {collab.PAGE.url(settings)}.")
