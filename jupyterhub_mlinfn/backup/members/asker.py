"""Who asks: the person whom the hub names for a token, which has to be one for this service."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from ...errors import UserError
from ...settings_rooms import ACCOUNT
from ..service import DIRECT

ACCESS = "access:services!service=backup"
"""The scope that every token of the page's visitors has."""
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,500}")
KEPT_S, MOST = 30, 500
"""How long what the hub said counts, and of how many tokens it is kept."""
ANSWER_S = 10
NOT_YOU = "You may not do this. Load the page of backups again."
AWAY = "The hub does not answer at the moment. Try again in a minute."


@dataclass(frozen=True)
class Asker:
    """A member, their groups, and the token by which the hub knows them."""

    name: str
    groups: frozenset[str]
    token: str = field(repr=False)


class Askers:
    """Those of the last half minute, so that a page that asks every second does not ask the hub as often."""

    def __init__(self, hub: str):
        self.hub = hub
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Asker]] = OrderedDict()

    def of(self, token: str) -> Asker:
        """Who has the token. Raises UserError for who may not ask, and where the hub cannot say."""
        with self._lock:
            until, asker = self._known.get(token, (0.0, None))
        if asker is None or until < time.monotonic():
            asker = parsed(self._said(token), token)
            self._keep(asker)
        return asker

    def _keep(self, asker: Asker) -> None:
        with self._lock:
            now = time.monotonic()
            self._known[asker.token] = now + KEPT_S, asker
            self._known.move_to_end(asker.token)
            while len(self._known) > MOST or next(iter(self._known.values()))[0] < now:
                self._known.popitem(last=False)

    def _said(self, token: str) -> Any:
        """The hub's model of a user."""
        if not TOKEN.fullmatch(token):
            raise UserError(NOT_YOU, reason="rights")
        request = urllib.request.Request(f"{self.hub}/user", headers={"Authorization": f"token {token}"})
        try:
            with DIRECT.open(request, timeout=ANSWER_S) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code in (401, 403):
                raise UserError(NOT_YOU, reason="rights") from None
            raise UserError(AWAY, reason="away") from None
        except (OSError, HTTPException, ValueError):
            raise UserError(AWAY, reason="away") from None


def parsed(said: Any, token: str) -> Asker:
    """The person of a user model. Raises UserError for services, rooms, and tokens that are for something else."""
    model: Mapping[str, Any] = said if isinstance(said, dict) else {}
    name = model.get("name")
    if model.get("kind") != "user" or not isinstance(name, str) or name.startswith(ACCOUNT):
        raise UserError(NOT_YOU, reason="rights")
    if ACCESS not in model.get("scopes", ()) or not isinstance(model.get("groups"), list):
        raise UserError(NOT_YOU, reason="rights")
    return Asker(name, frozenset(map(str, model["groups"])), token)
