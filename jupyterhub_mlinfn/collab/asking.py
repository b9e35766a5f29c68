"""What the service asks of the hub, always with the token of the visitor that it is about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from jupyterhub.httpclient import fetch
from tornado.web import HTTPError

from ..rooms import account_of

AWAY = "The hub does not answer at the moment. This page goes on by itself when it is back."
LOGGED_OUT = "You are logged out. Load this page again."
ANSWER = aiohttp.ClientTimeout(total=20)
"""A start or a stop that takes longer comes back before that, and goes on."""
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


class Hub:
    """The hub's API, for one visitor."""

    def __init__(self, api: str, token: str):
        self.api, self.token = api, token

    async def rooms(self) -> str:
        """The rooms of the visitor and how they are, as JSON."""
        return await self._ask("GET", "/mlinfn/rooms")

    async def start(self, room: str, options: dict[str, Any]) -> None:
        """The room is starting or runs."""
        await self._ask("POST", _server(room), options)

    async def stop(self, room: str) -> None:
        """The room is stopping or stopped."""
        await self._ask("DELETE", _server(room))

    async def _ask(self, method: str, path: str, body: Any = None) -> str:
        """What the hub says. Raises Refusal, with the hub's own words if it has some."""
        try:
            answer = await fetch(f"{self.api}{path}", method=method, json=body, headers=self._headers,
                                 raise_for_status=False, timeout=ANSWER)  # fmt: skip
            text = await answer.text()
        except FAILED:
            raise Refusal(503, AWAY) from None
        check(answer.status, text)
        return text

    @asynccontextmanager
    async def progress(self, room: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The events of a start, as they come. Raises Refusal where there are none."""
        try:
            answer = await fetch(f"{self.api}{_server(room)}/progress", headers=self._headers,
                                 raise_for_status=False, timeout=STREAM)  # fmt: skip
        except FAILED:
            raise Refusal(503, AWAY) from None
        async with answer:
            if answer.status != 200:
                check(answer.status, await answer.text())
            yield answer.content.iter_any()

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}


def _server(room: str) -> str:
    return f"/users/{account_of(room)}/server"


def check(status: int, text: str) -> None:
    """Nothing if that is an answer. Raises Refusal with what a member can read."""
    if status < 400:
        return
    if status == 403:  # what a visitor may do was looked up before, so it is the token that is no good any more
        raise Stale
    raise Refusal(status, words(text) or AWAY)


def words(text: str) -> str:
    """The sentence in an error of the hub; empty without one."""
    try:
        told = json.loads(text)
    except ValueError:
        return ""
    message = told.get("message") if isinstance(told, dict) else None
    return message if isinstance(message, str) else ""
