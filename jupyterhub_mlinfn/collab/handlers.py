"""The addresses of the service: the page, what its script asks for, and the files that it loads."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated, UserNotAllowed, check_scopes
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from ..rooms import scopes_of
from . import page
from .asking import AWAY, FAILED, LOGGED_OUT, Hub, Refusal, Stale
from .place import Place

FRESH_S = 3
"""A token that is younger holds all that its owner may; a new one would be no better."""
A_DAY_S = 86400
LONGEST_WORD = 64
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip
NOT_YOURS = "You may not use this page. Ask whoever looks after this service."
FOREIGN = "This was asked by a page of another site."
BROKEN = "Something went wrong that is not your doing. Try again in a minute."
PLAIN_WORDS = {
    403: "This was not asked by the page itself. Load it again.",
    404: "There is no such page.",
    405: "This address is asked in another way.",
}
log = logging.getLogger("mlinfn.collab")


class Ours(RequestHandler):
    """What all have in common: headers, errors in words, and a log without what stands behind `?` in addresses."""

    def set_default_headers(self) -> None:
        """Called by tornado."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    @property
    def place(self) -> Place:
        """What the service was told."""
        return self.settings["place"]

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The page of an error; called by tornado."""
        error = kwargs.get("exc_info", (None, None))[1]
        away = status_code in (502, 503)
        self.finish(page.render("rooms_trouble.html", words=words_of(error, status_code), away=away,
                                contact=self.place.contact, hub=self.place.hub))  # fmt: skip

    def log_exception(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """A line and a traceback for a bug; called by tornado, whose own line has the query with its one-time codes."""
        if not isinstance(error, HTTPError):
            log.error("%s %s", self.request.method, self.request.path, exc_info=(kind, error, trace))


def words_of(error: BaseException | None, status: int) -> str:
    """What to tell of an error; nothing of its inside."""
    return error.words if isinstance(error, Refusal) else PLAIN_WORDS.get(status, BROKEN)


class ByCookie(HubOAuth):
    """The hub's OAuth, for people with browsers; a program with a token asks the hub itself."""

    def get_token(self, handler: RequestHandler, in_cookie: bool = True) -> str | None:
        """The visitor's token, which only a cookie of ours brings."""
        return self._get_token_cookie(handler) if in_cookie else None


class Visitor(HubOAuthenticated, Ours):
    """Somebody who is signed in, or is not: then `current_user` is None."""

    async def prepare(self) -> None:
        """Called by tornado before each method. Raises Refusal for other sites' pages and for who may not come in."""
        if self.request.headers.get("Origin", self.place_origin) != self.place_origin:
            raise Refusal(403, FOREIGN)
        try:
            model = await self.hub_auth.get_user(self, sync=False)
            self.current_user = self.check_hub_user(model) if model else None
        except UserNotAllowed:
            raise Refusal(403, NOT_YOURS) from None
        except HTTPError:  # its words are about addresses and settings
            raise Refusal(503, AWAY) from None

    @property
    def place_origin(self) -> str:
        """Scheme, host and port of the page."""
        there = urlsplit(self.place.page)
        return f"{there.scheme}://{there.netloc}"

    @property
    def needs_token(self) -> bool:
        """Whether a new token would give more: there is none, or its owner has come into the group of a room since."""
        if self.current_user is None:
            return True
        is_fresh = self.get_secure_cookie(self.hub_auth.cookie_name, max_age_days=FRESH_S / A_DAY_S)
        return not is_fresh and bool(lacking(self.place.groups, self.current_user))


def lacking(groups: Mapping[str, str], user: Mapping[str, Any]) -> list[str]:
    """Rooms of a person's groups that their token does not open."""
    mine = [room for room, group in groups.items() if group in user["groups"]]
    return [room for room in mine if not may(room, user)]


def may(room: str, user: Mapping[str, Any]) -> bool:
    """Whether the person's token may start, stop and enter the room."""
    return bool(check_scopes({scopes_of(room)[1]}, set(user["scopes"])))


class Page(Visitor):
    """The page, for who is signed in; others are sent to the hub, which sends them back."""

    async def get(self) -> None:
        """Called by tornado."""
        if self.needs_token:
            self.redirect(self.get_login_url())
            return
        self.finish(page.render("rooms.html", user=self.current_user, xsrf=self.xsrf_token.decode(), hub=self.place.hub,
                                contact=self.place.contact))  # fmt: skip


class Question(Visitor):
    """What the page's script asks; answers and errors are JSON."""

    async def prepare(self) -> None:
        """Called by tornado. Raises Refusal for who has to load the page again, too."""
        self.set_header("Content-Type", "application/json")
        await super().prepare()
        if self.needs_token:
            raise Refusal(401, LOGGED_OUT)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """{"message": ...}; called by tornado."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, Stale):  # what was kept of the hub's last answer is not so any more
            self.hub_auth.cache.clear()
        self.set_header("Content-Type", "application/json")
        self.finish({"message": words_of(error, status_code)})

    @property
    def hub_of_visitor(self) -> Hub:
        """The hub, asked as this person."""
        return Hub(self.place.api, self.hub_auth.get_token(self))

    def check_room(self, name: str) -> None:
        """Nothing if there is such a room for this person. Raises Refusal."""
        if name not in self.place.groups or not may(name, self.current_user):
            raise Refusal(404, f"There is no room {name[:LONGEST_WORD]} that you may use.")


class Rooms(Question):
    """The rooms of the visitor."""

    async def get(self) -> None:
        """Called by tornado."""
        self.finish(await self.hub_of_visitor.rooms())


class Start(Question):
    """Starts a room."""

    async def post(self, name: str) -> None:
        """202 once the hub has taken it."""
        self.check_room(name)
        await self.hub_of_visitor.start(name, {"gpus": self._gpus()})
        self.set_status(202)

    def _gpus(self) -> str:
        try:
            asked = json.loads(self.request.body or b"{}")
        except ValueError:
            asked = None
        gpus = asked.get("gpus", "0") if isinstance(asked, dict) and set(asked) <= {"gpus"} else None
        if not isinstance(gpus, str) or len(gpus) > LONGEST_WORD:
            raise Refusal(400, 'Send {"gpus": "0"}, or what the room offers instead of 0.')
        return gpus


class Stop(Question):
    """Stops a room, or a start of it that is under way."""

    async def post(self, name: str) -> None:
        """202 once the hub has taken it."""
        self.check_room(name)
        await self.hub_of_visitor.stop(name)
        self.set_status(202)


class Progress(Question):
    """The events of a start, as the hub tells them."""

    async def get(self, name: str) -> None:
        """Called by tornado."""
        self.check_room(name)
        async with self.hub_of_visitor.progress(name) as chunks:
            self.set_header("Content-Type", "text/event-stream")
            try:
                async for chunk in chunks:
                    self.write(chunk)
                    await self.flush()
            except (StreamClosedError, *FAILED):  # the visitor has gone, or the hub: the page asks again
                return


class Callback(HubOAuthCallbackHandler, Ours):
    """Where the hub sends people back to; what can go wrong there is mended by starting anew."""

    async def get(self) -> None:
        """Called by tornado."""
        try:
            await super().get()
        except HTTPError as error:
            if error.status_code >= 500:
                raise Refusal(503, AWAY) from None
            raise Refusal(error.status_code, "This login was not finished, or was used already. Start again.") from None


class Loaded(Ours):
    """A file that the page loads; browsers keep it until there is another version."""

    def get(self, name: str) -> None:
        """Called by tornado."""
        if name not in page.ASSETS:
            raise HTTPError(404)
        asset = page.ASSETS[name]
        self.set_header("Content-Type", asset.kind)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.finish(asset.content)


class Health(Ours):
    """Whether the service itself is well."""

    def get(self) -> None:
        """Called by tornado."""
        self.finish("ok\n")


class Nothing(Ours):
    """All other addresses."""

    def prepare(self) -> None:
        """Called by tornado."""
        raise HTTPError(404)
