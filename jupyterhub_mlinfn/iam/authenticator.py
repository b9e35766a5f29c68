"""IAMAuthenticator: oauthenticator's GenericOAuthenticator with one address instead of four, and stricter."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oauthenticator.generic import GenericOAuthenticator
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPInputError
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from traitlets import Bool, Float, Integer, List, Set, Unicode, default, validate

from .. import claims, discovery, passwords
from ..discovery import Denied, Endpoints, Outage
from ..errors import UserError
from ..identity import Subjects
from . import id_tokens, pages, state
from .handlers import CallbackHandler, LoginHandler, state_id
from .refresh import Refreshing
from .service import IdentityService, Trouble

LONGEST_ANSWER = 2**20


class IAMAuthenticator(Refreshing, GenericOAuthenticator):
    """Logs in people of INDIGO IAM, or of another OpenID provider, by their groups there.

    Every endpoint is found from `issuer`. With no group allowed and no owner, nobody can log in.
    """

    login_handler = LoginHandler
    callback_handler = CallbackHandler

    issuer = Unicode(config=True, help="""
        Address of the identity service, such as https://iam.example.org, with or without a slash at its end. Its
        endpoints are found from there (OpenID Connect Discovery).
        """)
    owner_subject = Unicode("", allow_none=True, help="""
        `sub` of one person who may always log in and is an admin, such as who set this hub up.
        """).tag(config=True, allow_config=True)
    identity_book = Unicode("identity.sqlite", config=True, help="""
        File that remembers which person had a user name first; nobody else can log in with it later. Empty: nothing is
        remembered, for identity services whose user names never change hands.
        """)
    client_id_file = Unicode(config=True, help="File that holds the client id, instead of `client_id`.")
    client_secret_file = Unicode(config=True, help="""
        File that holds the client secret, instead of `client_secret`. It is read again whenever it changes.
        """)
    contact = Unicode(config=True, help="Whom to write to: an address or a link, shown to who cannot log in.")
    refresh_s = Integer(300, min=1, config=True, help="Seconds after which a person's groups are asked for again.")
    timeout_s = Float(10, min=0.1, config=True, help="Longest that one answer of the identity service may take.")
    retry_s = List(Float(min=0.01), [1.0, 60.0], minlen=2, maxlen=2, config=True, help="""
        First and longest pause, in seconds, before an identity service that did not answer is asked again.
        """)
    without_identity = Set(Unicode(), config=True, help="""
        Hub users who are nobody at the identity service, such as accounts of rooms. They are never asked for.
        """)

    login_service = Unicode("INDIGO IAM", config=True, help="What the login button calls the identity service.")
    manage_groups = Bool(True, config=True, help="The hub's groups are those of the identity service.")
    basic_auth = Bool(True, config=True, help="""
        Send client id and secret in a header, which every provider takes, instead of in the request's body.
        """)
    scope = List(Unicode(), ["openid", "profile", "email", "offline_access"], config=True, help="""
        What is asked for at login. Clients with WLCG tokens also need wlcg.groups.
        """)

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.service = IdentityService(self.issuer, self.httpfetch, self.log)
        self.service.retry_s = tuple(self.retry_s)
        self._client_read: dict[str, float] = {}

    @default("enable_auth_state")
    def _enable_auth_state(self) -> bool:
        return True

    @default("auth_refresh_age")
    def _auth_refresh_age(self) -> int:
        return self.refresh_s

    @default("auth_refresh_strict")
    def _auth_refresh_strict(self) -> bool:
        return True  # who is out is out with tokens as well

    @default("refresh_pre_spawn")
    def _refresh_pre_spawn(self) -> bool:
        return True

    @default("any_allow_config")
    def _any_allow_config(self) -> bool:
        return bool(self.admin_groups) or self._default_any_allowed()

    @default("auth_state_groups_key")
    def _groups_key(self):
        return lambda auth_state: claims.groups(auth_state[self.user_auth_state_key])

    @default("reconcile_auth_state_hook")
    def _reconcile(self):
        return lambda authenticator, model, existing: authenticator.keep_newest(model, existing)

    @default("http_client")
    def _default_http_client(self):
        defaults = {"validate_cert": self.validate_server_cert}
        return SimpleAsyncHTTPClient(
            force_instance=True, max_clients=100, max_body_size=LONGEST_ANSWER, defaults=defaults
        )

    @validate("allowed_groups", "admin_groups")
    def _without_slash(self, proposal) -> set[str]:
        return {group.removeprefix("/") for group in proposal.value}

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the identity service now, None if nothing is known to be."""
        return self.service.book.trouble

    def get_handlers(self, app) -> list:
        """The pages of a login. From now on the identity service is looked for."""
        with contextlib.suppress(RuntimeError):  # no loop: nothing but the configuration is wanted
            self.service.keep_looking()
        return super().get_handlers(app)

    def get_custom_html(self, base_url: str) -> str:
        """What stands on the login page instead of the button while the identity service cannot be reached."""
        if not self.service.is_down:
            return super().get_custom_html(base_url)
        self.service.keep_looking()
        return pages.retrying(is_known=self.trouble is not None)

    async def find_service(self, again: bool = True) -> Endpoints:
        """The endpoints, put where oauthenticator reads them. Raises Outage. `again`: old ones are looked up anew."""
        known = self.service.endpoints
        found = await self.service.found() if again or known is None else known
        self.authorize_url, self.token_url, self.userdata_url = found.authorization, found.token, found.userinfo
        return found

    async def fetch(self, req: HTTPRequest, label: str = "", parse_json: bool = True, **kwargs: Any) -> dict:
        """The JSON object that the identity service answers with. Raises Outage, Denied or TokenRefused.

        Answers are never logged. Redirects are not followed: the request may carry a token or the client's secret.
        """
        part = self.service.part_of(req.url)
        try:
            words = await self._answer(req)
        except Outage as outage:
            self.service.failed(part, outage)
            raise
        except Denied:
            self.service.book.works(part)
            raise
        self.service.book.works(part)
        return words

    async def _answer(self, req: HTTPRequest) -> dict:
        req.connect_timeout = req.request_timeout = self.timeout_s
        req.follow_redirects = False
        try:
            response = await self.http_client.fetch(req, raise_error=False)
        except (OSError, HTTPClientError, HTTPInputError):
            raise Outage("unreachable") from None
        is_token = req.method == "POST"
        words = discovery.answer(response.code, response.body or b"", to_client=is_token)
        return state.received(words, time.time()) if is_token else words

    def normalize_username(self, username: str) -> str:
        """The one spelling of a name; see passwords.normalise."""
        return super().normalize_username(passwords.normalise(username))

    def validate_username(self, username: str) -> bool:
        """True if JupyterHub and we can both work with the name."""
        if username in self.without_identity:
            return True
        try:
            return passwords.check_name(username) == username and super().validate_username(username)
        except UserError:
            return False

    def user_info_to_username(self, user_info: dict) -> str:
        """The user name in the claims. Raises UserError."""
        return claims.user_name(user_info)

    def build_access_tokens_request_params(self, handler, data=None) -> dict:
        """What a code is exchanged with."""
        self.read_client()
        return super().build_access_tokens_request_params(handler, data)

    def build_refresh_token_request_params(self, refresh_token: str) -> dict:
        """What a refresh token is exchanged with."""
        self.read_client()
        return super().build_refresh_token_request_params(refresh_token)

    def read_client(self) -> None:
        """Client id and secret as their files have them now: a wrong one that was put right needs no restart."""
        for trait in ("client_id", "client_secret"):
            path = Path(getattr(self, f"{trait}_file"))
            try:
                changed = path.stat().st_mtime_ns if path.name else None
                if changed != self._client_read.get(trait):
                    setattr(self, trait, path.read_text(encoding="utf-8").strip())
                    self._client_read[trait] = changed
            except (OSError, UnicodeDecodeError):
                self.service.failed("token", Outage("invalid_client"))
                raise Outage("invalid_client") from None

    async def get_token_info(self, handler, params: dict) -> dict:
        """The tokens for a code or a refresh token; see state.received. After a login with the person's `subject`."""
        info = await super().get_token_info(handler, params)
        if params["grant_type"] == "authorization_code":
            nonce = id_tokens.nonce(state_id(handler.get_state_cookie()) or "")
            info["subject"] = await self.proven(info, nonce)
            self.service.came(with_refresh_token="refresh_token" in info)
        return info

    async def proven(self, info: dict, nonce: str | None = None) -> str:
        """The subject that the id token proves. Raises Denied or Outage."""
        try:
            found = await self.service.verified(info.get("id_token"), self.client_id)
        except Outage as outage:
            if outage.reason == "clock":
                self.service.failed("id_token", outage)
            raise
        if nonce is not None and found.get("nonce") != nonce:
            raise Denied("id_token")
        self.service.book.works("id_token")
        return claims.subject(found)

    async def token_to_user(self, token_info: dict) -> dict:
        """The person's claims. Raises Denied if they are somebody else's than the id token's."""
        user_info = await super().token_to_user(token_info)
        subject = claims.subject(user_info)
        if not subject:
            raise Outage("server_error")
        if subject != token_info.get("subject"):
            raise Denied("mismatch")
        return user_info

    def build_auth_state_dict(self, token_info: dict, user_info: dict) -> dict:
        """What is remembered of the login; see state.py."""
        return state.dated(super().build_auth_state_dict(token_info, user_info))

    async def update_auth_model(self, auth_model: dict) -> dict:
        """The model with what JupyterLab shows, and with the admin's right of the owner."""
        known = auth_model["auth_state"][self.user_auth_state_key]
        is_owner = bool(self.owner_subject) and claims.subject(known) == self.owner_subject
        admin = auth_model["admin"] or is_owner
        decides = self.owner_subject or self.admin_groups
        return {**auth_model, "admin": admin if admin or decides else None,
                "user_info": claims.user_info(known, auth_model["name"])}  # fmt: skip

    async def authenticate(self, handler, data=None, **kwargs: Any) -> dict | None:
        """The person who comes back from the identity service; the handler is told who, for who is not allowed."""
        await self.find_service(again=False)
        handler.refused_model = await super().authenticate(handler, data, **kwargs)
        return handler.refused_model

    async def run_post_auth_hook(self, handler, auth_model: dict) -> dict:
        """The model of somebody who is allowed, and is who had the name first. Raises UserError."""
        await self.ask_book(Subjects.claim, auth_model)
        return await super().run_post_auth_hook(handler, auth_model)

    async def ask_book(self, question: Callable[..., None], model: dict) -> None:
        """Nothing if the book of names has nothing against this person; `question` is a method of Subjects.

        Raises UserError or OperatorError.
        """
        if self.identity_book:
            book, subject = Subjects(self.identity_book), claims.subject(model["auth_state"][self.user_auth_state_key])
            await asyncio.to_thread(question, book, model["name"], discovery.bare(self.issuer), subject)
