"""The two pages of a login: sending the browser to the identity service, and taking it back."""

from __future__ import annotations

import asyncio
import base64
import json

from jupyterhub.utils import new_token
from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLoginHandler
from tornado.web import HTTPError

from .. import claims, discovery
from ..discovery import Denied, Outage, TokenRefused
from ..errors import OperatorError, UserError
from . import id_tokens, pages

LONGEST_STATE = 500  # of one that came in a URL
END_S = 5
"""Longest that a start which is cut off is waited for."""


def state_id(state: str) -> str | None:
    """What a state says of which login it belongs to, None for anything that is not a state."""
    try:
        words = json.loads(base64.urlsafe_b64decode(state.encode()))
    except (ValueError, RecursionError):
        return None
    found = words.get("state_id") if isinstance(words, dict) else None
    return found if isinstance(found, str) else None


class LoginHandler(OAuthLoginHandler):
    """Sends the browser to the identity service, once that is known to be there."""

    async def get(self) -> None:
        """A redirect with state, nonce and PKCE challenge."""
        try:
            await self.authenticator.find_service()
            self.authenticator.read_client()
        except Outage as outage:
            raise pages.outage(outage.reason, self.authenticator.contact) from None
        super().get()

    def authorize_redirect(self, **options) -> None:
        """The redirect, with a nonce that the id token has to repeat."""
        extra = options.get("extra_params") or {}
        nonce = id_tokens.nonce(state_id(extra["state"]) or "")
        super().authorize_redirect(**{**options, "extra_params": {**extra, "nonce": nonce}})


class CallbackHandler(OAuthCallbackHandler):
    """Takes the browser back. Whatever the URL says in words is neither shown nor logged."""

    async def prepare(self) -> None:
        """Forgets the address: whatever logs it later, an error as well, has no code and no words of it."""
        self.request.uri = self.request.path
        await super().prepare()

    def check_arguments(self) -> None:
        """Nothing if this browser began this login here, and it ended well there. Raises Refusal."""
        self.check_state()
        self.check_error()
        if not self.given("code"):
            raise self._refusal("state")

    def check_state(self) -> None:
        """Nothing if the state is that of the cookie. Raises Refusal."""
        known, given = state_id(self.get_state_cookie()), state_id(self.given("state")[:LONGEST_STATE])
        issuer = self.given("iss") or self.authenticator.issuer  # RFC 9207
        if not known or known != given or discovery.bare(issuer) != discovery.bare(self.authenticator.issuer):
            raise self._refusal("state")

    def check_error(self) -> None:
        """Nothing if the identity service reports no error. Raises Refusal."""
        if self.given("error"):
            is_aup = discovery.AUP.search(self.given("error_description"))
            raise self._refusal("aup" if is_aup else "cancelled")

    def given(self, name: str) -> str:
        """What the URL has under that name, "" if nothing or no text. Tornado's own refusal would repeat it."""
        try:
            return self.get_argument(name, "")
        except HTTPError:
            return ""

    async def login_user(self, data=None):
        """The person who logged in. Raises Refusal with what to read for everybody else."""
        try:
            user = await super().login_user(data)
        except Outage as outage:
            raise pages.outage(outage.reason, self.authenticator.contact) from None
        except TokenRefused:
            raise pages.outage("server_error", self.authenticator.contact) from None
        except Denied as denied:
            raise self._refusal(denied.why) from None
        except UserError as error:
            raise self._refusal(error.reason, str(error)) from None
        except OperatorError as error:
            self.log.error("Nobody can log in: %s", error)
            raise pages.outage("server_error", self.authenticator.contact) from None
        if user is None:
            raise self._not_allowed()
        return user

    async def auth_to_user(self, authenticated, user=None):
        """The hub's user of who logged in. Nothing that another account had under the name goes on."""
        known = self.find_user(authenticated["name"])
        if known and await self._is_another(known, authenticated):
            self.log.warning("%s is another account from now on; sessions, tokens and labs of before end.", known.name)
            await self._end_all(known)
        return await super().auth_to_user(authenticated, user)

    async def _is_another(self, known, model: dict) -> bool:
        key = self.authenticator.user_auth_state_key
        before, now = ((state or {}).get(key) or {} for state in (await known.get_auth_state(), model["auth_state"]))
        return claims.subject(before) not in ("", claims.subject(now))

    async def _end_all(self, user) -> None:
        for lab in [lab for lab in user.spawners.values() if lab.active]:
            if starting := lab._spawn_future:
                starting.cancel()
                await asyncio.wait({starting}, timeout=END_S)
            if not lab.pending:
                await self.stop_single_user(user, lab.name)
        user.cookie_id = new_token()  # what browsers have of before is worth nothing now
        for token in list(user.api_tokens):
            self.db.delete(token)
        self.db.commit()

    def _refusal(self, why: str, text: str = "") -> pages.Refusal:
        return pages.denied(why, self.authenticator.issuer, self.authenticator.contact, text)

    def _not_allowed(self) -> pages.Refusal:
        model, ours = self.refused_model or {}, self.authenticator
        called = (model.get("user_info") or {}).get("display_name", "")
        return pages.not_allowed(model.get("name", ""), called, ours.allowed_groups | ours.admin_groups, ours.contact)

    refused_model: dict | None = None
    """Who it was, put here by the authenticator before it is decided whether they may enter."""
