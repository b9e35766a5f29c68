"""The addresses of the service: the page of backups, and what its script asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from jupyterhub.services.auth import check_scopes
from tornado.web import HTTPError

from ..pages.asking import AWAY as HUB_AWAY
from ..pages.asking import Asked, Refusal, Stale
from ..pages.handlers import NOT_YOURS, PageHandler, Question, Visitor
from ..restored import SCOPE

AWAY = "The service of backups does not answer at the moment. This page goes on by itself when it is back."
ANSWER = aiohttp.ClientTimeout(total=90, sock_connect=5)
"""A folder that nobody looked into yet may have to come from far away."""
LONGEST = 4096
RESTORE_ID = r"([A-Za-z0-9_-]{1,64})"
WANTED = {"place", "snapshot", "path"}


class OfBackups(Visitor):
    """A visitor who may take files back."""

    def lacks(self, user: Mapping[str, Any]) -> bool:
        """Whether the token is of a time before there was this page."""
        return not check_scopes({SCOPE}, set(user["scopes"]))


class BackupsPage(OfBackups, PageHandler):
    """The page."""

    template = "backups.html"

    async def get(self) -> None:
        """Called by tornado."""
        if self.is_fresh and self.current_user and self.lacks(self.current_user):
            raise Refusal(403, NOT_YOURS)
        await super().get()


class OfBackup(OfBackups, Question):
    """A question to the service of backups."""

    async def pass_on(self, method: str, path: str, body: Any = None) -> None:
        """Answers what it says to the visitor. Raises Refusal, with its own words if it has some."""
        asked = Asked(self.settings["backup"], self.token, AWAY, stale=(401,), answer=ANSWER)
        try:
            self.finish(await asked.ask(method, path, body) or "{}")
        except Refusal as refusal:
            if refusal.status_code == 403 and not await self._is_known():
                raise Stale from None
            raise

    async def _is_known(self) -> bool:
        """Whether the hub takes the visitor's token: not if they have logged out meanwhile. Raises Refusal."""
        try:
            return bool(await self.hub_auth.user_for_token(self.token, use_cache=False, sync=False))
        except HTTPError:
            raise Refusal(503, HUB_AWAY) from None

    def query(self, *names: str) -> str:
        """These words of the address, to be sent on as they came. Raises Refusal."""
        return urlencode({name: self._word(name) for name in names}, quote_via=quote)

    def _word(self, name: str) -> str:
        """Tornado's own way would cut spaces off, with which names of files may begin."""
        try:
            word = self.request.query_arguments.get(name, [b""])[-1].decode()
        except UnicodeDecodeError:
            raise Refusal(400, f"`{name}` has to be text in UTF-8.") from None
        if len(word) > LONGEST:
            raise Refusal(400, f"`{name}` may have {LONGEST} characters.")
        return word


class Places(OfBackup):
    """Whose files there are: the visitor's own, their groups', their rooms'."""

    async def get(self) -> None:
        """Whose files there are copies of: the visitor's own, those of their groups, of their rooms.

        Answer: `{"places": [{"name": "home", "title": "My home"}]}`
        """
        await self.pass_on("GET", "/places")


class Dates(OfBackup):
    """When a place was copied."""

    async def get(self) -> None:
        """When a place was copied.

        Takes: `?place=home`
        Answer: `{"dates": [{"snapshot": "6b2f1c…", "time": "2026-11-24T03:00:00+01:00"}]}`
        """
        await self.pass_on("GET", f"/dates?{self.query('place')}")


class Folder(OfBackup):
    """What was in a folder."""

    async def get(self) -> None:
        """What was in a folder.

        Takes: `?place=home&snapshot=6b2f1c…&path=analysis`
        Answer: `{"entries": [{"name": "fit.ipynb", "type": "file", "size": 4096, "time":
            "2026-11-23T18:04:00+01:00", "may": true}], "more": false}`
        """
        await self.pass_on("GET", f"/folder?{self.query('place', 'snapshot', 'path')}")


class Restores(OfBackup):
    """What the visitor takes back now, and took back before."""

    async def get(self) -> None:
        """What the visitor takes back now, and took back within the last day.

        Answer: `{"restores": [{"id": "a81f…", "place": "home", "path": "analysis", "state": "running", "bytes": 4096,
            "of_bytes": 8192, "files": 1, "folder": "", "words": ""}]}`; state is counting, running, done, failed or
            stopped
        """
        await self.pass_on("GET", "/restores")

    async def post(self) -> None:
        """The id of a restore that has begun (202).

        Takes: `{"place": "home", "snapshot": "6b2f1c…", "path": "analysis/fit.ipynb"}`
        Answer: `{"id": "a81f…"}`
        Otherwise: 409 while another one of theirs goes on, 503 while too many people's do
        """
        self.set_status(202)
        await self.pass_on("POST", "/restores", self._wanted())

    def _wanted(self) -> dict[str, str]:
        try:
            sent = json.loads(self.request.body)
        except ValueError:
            sent = None
        is_one = isinstance(sent, dict) and set(sent) == WANTED
        if not is_one or not all(isinstance(word, str) for word in sent.values()):
            raise Refusal(400, 'Send {"place": "home", "snapshot": "...", "path": "analysis/fit.ipynb"}.')
        return sent


class Restore(OfBackup):
    """One of them."""

    async def delete(self, number: str) -> None:
        """The id of a restore that was told to stop.

        Answer: `{"id": "a81f…"}`
        """
        await self.pass_on("DELETE", f"/restores/{number}")


ROUTES = (
    ("", BackupsPage),
    ("api/places", Places),
    ("api/dates", Dates),
    ("api/folder", Folder),
    ("api/restores", Restores),
    (f"api/restores/{RESTORE_ID}", Restore),
)
