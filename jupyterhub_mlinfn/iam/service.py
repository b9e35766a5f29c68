"""The identity service as the hub sees it: where its endpoints are, its keys, and whether it is well."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from .. import discovery
from ..discovery import Denied, Endpoints, Outage
from ..errors import OperatorError
from . import id_tokens

FRESH_S = 20
"""An answer so young says that the service is there."""
KEYS_FRESH_S = 3600
"""Older keys are asked for again before they are believed."""
KEYS_PAUSE_S = 20.0
"""Keys are asked for at most so often, whatever id tokens say about them."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the identity service: one of discovery.REASONS, and since when (epoch seconds)."""

    reason: str
    since: float


@dataclass
class Book:
    """Who of the service's parts is in trouble. The log says each reason once, and once that all is well again."""

    log: logging.Logger
    parts: dict[str, Trouble] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    @property
    def trouble(self) -> Trouble | None:
        return min(self.parts.values(), key=lambda trouble: trouble.since, default=None)

    def failed(self, part: str, reason: str) -> None:
        """The part (discovery, keys, token, id_token, userinfo, renewal) is in trouble for that reason."""
        if part not in self.parts or self.parts[part].reason != reason:
            since = self.parts[part].since if part in self.parts else time.time()
            self.parts[part] = Trouble(reason, since)
        if reason not in self.told:
            self.told.add(reason)
            self.log.error("The identity service is in trouble: %s. Sessions and labs go on.", discovery.WORDS[reason])

    def works(self, part: str) -> None:
        """The part answered as it should."""
        was = self.parts.pop(part, None)
        if part == "discovery" and was:  # what the others failed of is probably over too; they will say if not
            self.parts = {name: t for name, t in self.parts.items() if t.reason in discovery.LASTING}
        if not self.parts and self.told:
            self.told.clear()
            self.log.warning("The identity service is well again.")


class IdentityService:
    """What is known of the service at `issuer`. `get` fetches an address and returns the JSON object there."""

    def __init__(self, issuer: str, get: Callable[[str], Awaitable[dict[str, Any]]], log: logging.Logger):
        self.issuer, self.get, self.log = issuer, get, log
        self.book = Book(log)
        self.endpoints: Endpoints | None = None
        self.retry_s, self.keys_pause_s = (1.0, 60.0), KEYS_PAUSE_S
        self.gives_refresh_tokens: bool | None = None
        """Whether the last login came with one, None before the first."""
        self.accepted = "", float("-inf")
        """Whose token was good last at a look-up, and when (time.monotonic)."""
        self.keys: list[jwt.PyJWK] = []
        self._keys_seen = self._seen = float("-inf")
        self._asking = asyncio.Lock()
        self._task: asyncio.Task | None = None
        self._look_task: asyncio.Task | None = None

    def part_of(self, url: str) -> str:
        """Which part of the service answers at that address."""
        known = self.endpoints
        parts = {known.token: "token", known.userinfo: "userinfo", known.keys: "keys"} if known else {}
        return parts.get(url.partition("?")[0], "discovery")

    @property
    def is_down(self) -> bool:
        """True while the service has not answered since it was last found silent, or at all."""
        return self.endpoints is None or self.is_silent

    @property
    def is_silent(self) -> bool:
        """True while the service is known not to answer."""
        return "discovery" in self.book.parts

    async def found(self) -> Endpoints:
        """The endpoints, asked for again if the last answer is old. Raises Outage."""
        if self.is_down or time.monotonic() - self._seen > FRESH_S:
            if self._look_task is None or self._look_task.done():  # everybody who asks meanwhile waits for the same
                self._look_task = asyncio.get_running_loop().create_task(self._look())
            await asyncio.shield(self._look_task)
        return self.endpoints

    async def _look(self) -> None:
        try:
            self.endpoints = discovery.endpoints(self.issuer, await self.get(discovery.well_known(self.issuer)))
        except OperatorError as error:
            if "metadata" not in self.book.told:
                self.log.error("%s", error)
            self.failed("discovery", Outage("metadata"))
            raise Outage("metadata") from None
        self._seen = time.monotonic()
        self.book.works("discovery")

    def failed(self, part: str, outage: Outage) -> None:
        """Notes the trouble, and looks whether the service answers at all until it does."""
        self.book.failed(part, outage.reason)
        self._seen = float("-inf")
        self.keep_looking()

    def keep_looking(self) -> None:
        """Starts, if it is not under way, to ask for the endpoints with growing pauses until they are there."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._until_found())

    async def _until_found(self) -> None:
        pause, longest = self.retry_s
        while True:
            try:
                await self.found()
                return
            except Outage:
                await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    def refused(self, name: str, within_s: float) -> None:
        """Notes that a token that had just been given was refused, unless that of somebody else is taken meanwhile."""
        whose, at = self.accepted
        if whose == name or time.monotonic() - at > within_s:
            self.failed("userinfo", Outage("refused"))

    def came(self, with_refresh_token: bool) -> None:
        """Notes whether a login can be renewed. Without that nobody can be looked up for longer than a token lives."""
        self.gives_refresh_tokens = with_refresh_token
        if with_refresh_token:
            self.book.works("renewal")
        else:
            self.book.failed("renewal", "no_refresh_token")

    async def verified(self, token: Any, client_id: str) -> Mapping[str, Any]:
        """The claims that an id token proves. Raises Denied or Outage.

        One that does not fit the known keys is tried once more with those of now: the service may have changed them.
        """
        kid = id_tokens.key_id(token)
        tried = await self._keys(KEYS_FRESH_S)
        try:
            return id_tokens.verified(token, self._known_key(kid), self.issuer, client_id)
        except Denied:
            if await self._keys(self.keys_pause_s, tried) == tried:
                raise
        return id_tokens.verified(token, self._known_key(kid), self.issuer, client_id)

    async def _keys(self, longest_s: float, tried: float | None = None) -> float:
        """When the known keys came; now, if those were older, and nobody asked since those that were `tried`."""
        async with self._asking:
            is_old = time.monotonic() - self._keys_seen > longest_s
            if is_old and tried in (None, self._keys_seen):
                self.keys = await self._published()
                self._keys_seen = time.monotonic()
            return self._keys_seen

    async def _published(self) -> list[jwt.PyJWK]:
        published = await self.get((self.endpoints or await self.found()).keys)
        try:
            return jwt.PyJWKSet.from_dict(published).keys
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            self.failed("keys", Outage("metadata"))
            raise Outage("metadata") from None

    def _known_key(self, kid: str | None) -> jwt.PyJWK | None:
        fitting = [key for key in self.keys if key.public_key_use != "enc" and kid in (None, key.key_id)]
        return fitting[0] if len(fitting) == 1 or (fitting and kid) else None
