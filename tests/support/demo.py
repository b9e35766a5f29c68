"""The demo identity service as people meet it: passwords on the installer's screen, and a form to log in with."""

from __future__ import annotations

import re

import requests
from bs4 import BeautifulSoup

from support import secrecy
from support.client import Visitor

PRINTED = re.compile(r"user name: (\S+).*\n\s+password: +(\S+)")


def passwords_in(output: str) -> dict[str, str]:
    """User name -> password, as install.sh printed them."""
    return {name: secrecy.run.keep(password) for name, password in PRINTED.findall(output)}


def log_in(visitor: Visitor, name: str, password: str) -> requests.Response:
    """The page after the demo's form was sent: one of the hub, or the form again."""
    page = visitor.get("/hub/oauth_login")
    form = BeautifulSoup(page.text, "html.parser").find("form")
    assert form, f"{page.status_code} {page.url}: {page.text[:2000]}"
    address = requests.compat.urljoin(page.url, form["action"])
    return visitor.session.post(address, data={"username": name, "password": secrecy.run.keep(password)}, timeout=60)
