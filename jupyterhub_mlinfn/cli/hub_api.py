"""Asking the hub, with a token that lists labs and stops them, and can do nothing else."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from .. import login, network
from ..errors import OperatorError
from ..settings import Settings
from .direct import DIRECT

TOKEN = "command_token"
"""Among the hub's secrets: root reads it, as it reads everything there."""
ANSWER_S = 10
PAGE = 200
PAGES = "application/jupyterhub-pagination+json"


def servers(settings: Settings, page: int = PAGE) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Person and name of the server -> what the hub says of it, for all that run, start or stop.

    Raises OperatorError if the hub does not answer.
    """
    people = _people(settings, page)
    return {(each["name"], name): server for each in people for name, server in each["servers"].items()}


def _people(settings: Settings, page: int) -> Iterator[Mapping[str, Any]]:
    """Who has a lab, however many they are: the hub answers in pages of at most 200."""
    offset = 0
    while offset is not None:
        answer = ask(settings, "GET", f"/users?state=active&limit={page}&offset={offset}")
        yield from answer["items"]
        following = answer["_pagination"]["next"]
        offset = following["offset"] if following else None


def stop(settings: Settings, user: str, server: str) -> None:
    """The hub stops the lab from now on; one that is gone already is as well. Raises OperatorError."""
    path = f"/users/{quote(user, safe='')}/" + (f"servers/{quote(server, safe='')}" if server else "server")
    ask(settings, "DELETE", path)


def ask(settings: Settings, method: str, path: str) -> Any:
    """What the hub answers, directly and not through the proxy. Raises OperatorError."""
    url = f"http://{network.gateway(settings)}:{settings.port + 2}/hub/api{path}"
    headers = {"Authorization": f"token {login.secret(settings, TOKEN)}", "Accept": PAGES}
    try:
        with DIRECT.open(urllib.request.Request(url, headers=headers, method=method), timeout=ANSWER_S) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise OperatorError(f"The hub answers {error.code}: {_said(error)} See: mlinfn logs hub") from error
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "reason", error)
        raise OperatorError(f"The hub does not answer ({why}). See: mlinfn status") from error


def _said(error: urllib.error.HTTPError) -> str:
    """The hub's own words."""
    try:
        return f"{json.loads(error.read())['message'].rstrip('.')}."
    except (ValueError, LookupError, TypeError):
        return f"{error.reason}."
