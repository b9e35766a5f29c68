"""Pages of services beside the hub, each a process of its own: who comes in, how it looks, what is said of trouble.

They have no powers of their own: whatever a page asks, it asks with its visitor's token. This module is for the hub and
the command line, the others are what such a service is made of.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .. import login
from ..settings import Settings

CALLBACK = "oauth_callback"


@dataclass(frozen=True)
class Page:
    """A page at /services/NAME/, and the service that serves it."""

    name: str
    """What JupyterHub calls the service."""
    offset: int
    """How far its port is from that of the hub."""
    uid: int
    secret: str
    """The file with the service's own token, which the hub and the service each have a copy of."""
    callback: str = CALLBACK
    """Where below the page the hub sends people back to, with a code for the service."""

    @property
    def prefix(self) -> str:
        """The path of the page."""
        return f"/services/{self.name}/"

    @property
    def access(self) -> str:
        """The scope of who may come in."""
        return f"access:services!service={self.name}"

    def port(self, settings: Settings) -> int:
        """Where the service listens, on loopback."""
        return settings.port + self.offset

    def url(self, settings: Settings) -> str:
        """Where people find the page: with subdomains JupyterHub gives each service its own."""
        there = urlsplit(login.public_url(settings))
        host = f"{self.name}--service.{there.netloc}" if settings.subdomains else there.netloc
        return there._replace(netloc=host, path=self.prefix).geturl()

    def configure(self, c: Any, settings: Settings, scopes: Collection[str]) -> None:
        """The hub knows the page and lets everybody on it. `scopes` are what a visitor's token may be good for."""
        url = self.url(settings)
        c.JupyterHub.services += [{
            "name": self.name, "url": f"http://127.0.0.1:{self.port(settings)}", "display": False,
            "timeout": 0,  # the hub does not wait for the page at its start
            "api_token": login.secret(settings, self.secret), "oauth_no_confirm": True,
            "oauth_redirect_uri": f"{url}{self.callback}", "oauth_client_allowed_scopes": list(scopes),
        }]  # fmt: skip
        c.JupyterHub.extra_user_scopes |= {self.access}
        c.JupyterHub.extra_handlers += _short_address(self.prefix, url) if settings.subdomains else []


def callback_url(page: str) -> str:
    """Where the hub sends people back to, with a code for the service."""
    return f"{page}{CALLBACK}"


def _short_address(prefix: str, url: str) -> list[tuple]:
    """The hub's own host sends /services/NAME/ on to the subdomain; without subdomains the proxy knows it there."""
    from tornado.web import RedirectHandler  # the command line reads this module, and needs no web server

    return [(rf"{prefix.rstrip('/')}(?:/.*)?", RedirectHandler, {"url": url, "permanent": False})]
