"""What the addresses of all pages have in common: who comes in, what is refused, and the files that pages load."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated, UserNotAllowed
from tornado.web import HTTPError, RequestHandler

from .asking import AWAY, LOGGED_OUT, Refusal, Stale
from .look import Look
from .place import Place

FRESH_S = 3
"""A token that is younger holds all that its owner may; a new one would be no better."""
A_DAY_S = 86400
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
log = logging.getLogger("mlinfn.pages")


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

    @property
    def look(self) -> Look:
        """How the page looks."""
        return self.settings["look"]

    def show(self, template: str, **words: Any) -> None:
        """Answers with a template of ours."""
        self.finish(self.look.render(template, hub=self.place.hub, contact=self.place.contact, **words))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The page of an error; called by tornado."""
        error = kwargs.get("exc_info", (None, None))[1]
        self.show("service_trouble.html", words=words_of(error, status_code), away=status_code in (502, 503))

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
    def token(self) -> str:
        """The visitor's."""
        return self.hub_auth.get_token(self)

    @property
    def is_fresh(self) -> bool:
        """Whether the token was made just now."""
        return bool(self.get_secure_cookie(self.hub_auth.cookie_name, max_age_days=FRESH_S / A_DAY_S))

    @property
    def needs_token(self) -> bool:
        """Whether a new token would give more: there is none, or it lacks what its owner may have got since."""
        return self.current_user is None or (self.lacks(self.current_user) and not self.is_fresh)

    def lacks(self, user: Mapping[str, Any]) -> bool:
        """Whether the token of this person lacks something that the page needs."""
        raise NotImplementedError


class PageHandler(Visitor):
    """The page, for who is signed in; others are sent to the hub, which sends them back."""

    template: str

    async def get(self) -> None:
        """Called by tornado."""
        if self.needs_token:
            self.redirect(self.get_login_url())
            return
        self.show(self.template, user=self.current_user, xsrf=self.xsrf_token.decode())


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
        asset = self.look.assets.get(name)
        if not asset:
            raise HTTPError(404)
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
