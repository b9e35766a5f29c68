"""What a person reads who cannot log in: who they are, why, and what to do. Nothing in it came from a URL."""

from __future__ import annotations

from collections.abc import Iterable

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from tornado.web import HTTPError

from .. import discovery
from ..form import TEMPLATES

_environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, auto_reload=False)


class Refusal(HTTPError):
    """Ends a login with a page of its own; JupyterHub's own error page shows it as `jupyterhub_html_message`."""

    def __init__(self, status: int, why: str, **words: object):
        super().__init__(status, f"Login refused: {why}")
        self.jupyterhub_message = ""
        self.page = Markup(_environment.get_template("mlinfn/refused.html").render(why=why, **words))
        self.jupyterhub_html_message = self.page


def not_allowed(name: str, called: str, groups: Iterable[str], contact: str) -> Refusal:
    """For somebody who is in none of the groups that may log in."""
    return Refusal(403, "groups", name=name, called=called, groups=sorted(groups), contact=contact)


def denied(why: str, issuer: str, contact: str, text: str = "") -> Refusal:
    """For a refusal of the identity service, or of its answer; `text` is a sentence of our own."""
    return Refusal(403, why, issuer=issuer, contact=contact, text=text)


def outage(reason: str, contact: str) -> Refusal:
    """For anybody, while the identity service or our registration there does not work."""
    return Refusal(503, "outage", trouble=discovery.WORDS[reason], reason=reason, contact=contact)


def retrying(is_known: bool) -> str:
    """What stands where the login button would be, until the identity service answers; reloads by itself."""
    return _environment.get_template("mlinfn/retrying.html").render(is_known=is_known)
