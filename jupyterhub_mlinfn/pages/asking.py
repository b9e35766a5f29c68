"""What a page asks of the hub or another service, always with the token of the visitor that it is about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from jupyterhub.httpclient import fetch
from tornado.web import HTTPError

AWAY = "The hub does not answer at the moment. This page goes on by itself when it is back."
LOGGED_OUT = "You are logged out. Load this page again."
ANSWER = aiohttp.ClientTimeout(total=20)
"""What takes longer at the hub comes back before that, and goes on."""
STREAM = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
"""The hub writes something into a stream every 8 s."""
FAILED = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


class Refusal(HTTPError):
    """An answer that says in words why not."""

    def __init__(self, status: int, words: str):
        super().__init__(status)
        self.words = words


class Stale(Refusal):
    """The visitor's token is no good any more."""

    def __init__(self):
        super().__init__(401, LOGGED_OUT)


@dataclass(frozen=True)
class Asked:
    """An API, asked for one visitor."""

    api: str
    token: str = field(repr=False)
    away: str = AWAY
    """What is said when it does not answer."""
    stale: Collection[int] = (401, 403)
    """Statuses by which it says that the token is no good. What a visitor may do was looked up before."""
    answer: aiohttp.ClientTimeout = ANSWER

    async def ask(self, method: str, path: str, body: Any = None) -> str:
        """What it says. Raises Refusal, with its own words if it has some."""
        try:
            answer = await self._fetch(path, self.answer, method=method, json=body)
            text = await answer.text()
        except FAILED:
            raise Refusal(503, self.away) from None
        self.check(answer.status, text)
        return text

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """What it says, as it comes. Raises Refusal where there is nothing."""
        try:
            answer = await self._fetch(path, STREAM)
        except FAILED:
            raise Refusal(503, self.away) from None
        async with answer:
            if answer.status != 200:
                self.check(answer.status, await answer.text())
            yield answer.content.iter_any()

    def check(self, status: int, text: str) -> None:
        """Nothing if that is an answer. Raises Refusal with what a member can read."""
        if status < 400:
            return
        if status in self.stale:
            raise Stale
        raise Refusal(status, words(text) or self.away)

    async def _fetch(self, path: str, timeout: aiohttp.ClientTimeout, **options: Any) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"token {self.token}"}
        return await fetch(f"{self.api}{path}", headers=headers, raise_for_status=False, timeout=timeout, **options)


def words(text: str) -> str:
    """The sentence in an error; empty without one."""
    try:
        told = json.loads(text)
    except ValueError:
        return ""
    message = told.get("message") if isinstance(told, dict) else None
    return message if isinstance(message, str) else ""
