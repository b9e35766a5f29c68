"""The service `collab`: a page of the rooms that somebody may enter, which starts them, stops them and sends people in.

It has no powers of its own: whatever it asks of the hub, it asks with the visitor's token. `configure` is for the hub,
the other modules are the service.
"""

from __future__ import annotations

from typing import Any

from .. import rooms
from ..pages import Page
from ..settings import Settings

PAGE = Page("collab", offset=7, uid=69005, secret="collab_token")


def written(settings: Settings) -> str:
    """Rooms and their groups as a variable for the service: cms=cms,night=ml-infn/keepers."""
    return ",".join(f"{room.name}={room.group}" for room in rooms.rooms_of(settings))


def parsed(text: str) -> dict[str, str]:
    """Room -> its group, as `written` has it. Neither names nor groups have a comma or an equals sign."""
    return dict(each.split("=") for each in text.split(",") if each)


def configure(c: Any, settings: Settings) -> None:
    """The hub knows the page, lets everybody on it, and shows where it is. Nothing where there are no rooms."""
    there = rooms.rooms_of(settings)
    if not there:
        return
    PAGE.configure(c, settings, [scope for room in there for scope in room.scopes])
    c.JupyterHub.template_vars["rooms_url"] = PAGE.url(settings)
