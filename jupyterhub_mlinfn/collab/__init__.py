"""The service `collab`: a page of the rooms that somebody may enter, which starts them, stops them and sends people in.

It has no powers of its own: whatever it asks of the hub, it asks with the visitor's token. `configure` is for the hub,
the other modules are the service.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from .. import login, rooms
from ..settings import Settings

NAME = "collab"
PREFIX = f"/services/{NAME}/"
UID = 69005
SECRET = "collab_token"
"""The file with the service's own token, which the hub and the service each have a copy of."""
ACCESS = f"access:services!service={NAME}"
ANSWER_S = 2
"""The hub waits so long for the page before it starts without; the page may come later."""


def port(settings: Settings) -> int:
    """Where the service listens, on loopback."""
    return settings.port + 7


def page_url(settings: Settings) -> str:
    """Where people find the page: with subdomains JupyterHub gives each service its own."""
    there = urlsplit(login.public_url(settings))
    host = f"{NAME}--service.{there.netloc}" if settings.subdomains else there.netloc
    return there._replace(netloc=host, path=PREFIX).geturl()


def callback_url(page: str) -> str:
    """Where the hub sends people back to, with a code for the service."""
    return f"{page}oauth_callback"


def written(settings: Settings) -> str:
    """Rooms and their groups as a variable for the service: cms=cms,night=ml-infn/keepers."""
    return ",".join(f"{room.name}={room.group}" for room in rooms.rooms_of(settings))


def configure(c: Any, settings: Settings) -> None:
    """The hub knows the page, lets everybody on it, and shows where it is. Nothing where there are no rooms."""
    there = rooms.rooms_of(settings)
    if not there:
        return
    c.JupyterHub.services += [{
        "name": NAME, "url": f"http://127.0.0.1:{port(settings)}", "timeout": ANSWER_S, "display": False,
        "api_token": login.secret(settings, SECRET), "oauth_no_confirm": True,
        "oauth_redirect_uri": callback_url(page_url(settings)),
        "oauth_client_allowed_scopes": [scope for room in there for scope in room.scopes],
    }]  # fmt: skip
    c.JupyterHub.extra_user_scopes = {ACCESS}
    c.JupyterHub.template_vars["rooms_url"] = page_url(settings)
    c.JupyterHub.extra_handlers += _short_address(settings)


def _short_address(settings: Settings) -> list[tuple]:
    """The hub's own host sends /services/collab/ on to the subdomain; without subdomains the proxy knows it there."""
    from tornado.web import RedirectHandler  # the command line reads this module, and needs no web server

    here = rf"{PREFIX.rstrip('/')}(?:/.*)?"
    return [(here, RedirectHandler, {"url": page_url(settings), "permanent": False})] if settings.subdomains else []
