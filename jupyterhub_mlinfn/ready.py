"""Waiting for a lab that was just started, and telling its member how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .errors import UserError

BETWEEN_TRIES_S = 0.05
BETWEEN_LOOKS_S = 0.5
"""Asking the lab costs nothing; asking the Engine whether it still lives costs the Engine."""
GUARD_PATIENCE_S = 8
"""A guard that is being recreated, or is slow on a busy machine, is asked again."""
_questions: dict[str, asyncio.Task[bool]] = {}


class Watched:
    """The messages of one start, kept so that a page that is loaded again shows them all."""

    def __init__(self):
        self._said: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    @property
    def last(self) -> Mapping[str, Any]:
        """The event that counts now; empty before the first."""
        return self._said[-1] if self._said else {}

    def say(self, percent: int, message: str, **more: Any) -> None:
        """One more event for the page, unless it is the last one again. `more` is for its script."""
        event = {"progress": percent, "message": message, **more}
        if self._said[-1:] != [event]:
            self._said.append(event)
            self._more.set()
            self._more = asyncio.Event()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Everything said so far and whatever comes. The reader ends it."""
        shown = 0
        while True:
            for event in self._said[shown:]:
                shown += 1
                yield event
            if shown == len(self._said):
                await self._more.wait()


async def answers(url: str) -> bool:
    """Whether something speaks HTTP there, whatever it says."""
    try:
        await AsyncHTTPClient().fetch(url, follow_redirects=False, connect_timeout=1, request_timeout=5)
    except HTTPClientError as error:
        return error.code != 599
    except OSError:
        return False
    return True


async def guard_is_well(url: str, patience_s: float = GUARD_PATIENCE_S) -> bool:
    """Whether the guard says that its rules are in place. Its "no" counts at once; silence is one after a while.

    One question serves all who start at the same moment.
    """
    question = _questions.get(url)
    if question is None or question.done():
        question = _questions[url] = asyncio.ensure_future(_ask_guard(url, patience_s))
    return await asyncio.shield(question)


async def _ask_guard(url: str, patience_s: float) -> bool:
    ends = time.monotonic() + patience_s
    while True:
        try:
            await AsyncHTTPClient().fetch(url, connect_timeout=2, request_timeout=5)
            return True
        except HTTPClientError as error:
            if error.code != 599:  # tornado's own, for no answer
                return False
        except OSError:
            pass
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(BETWEEN_TRIES_S)


async def until_ready(
    is_up: Callable[[], Awaitable[bool]], state: Callable[[], Awaitable[Mapping[str, Any]]], limit_s: float
) -> Mapping[str, Any] | None:
    """None once the lab answers; its container's state if that ended first.

    Raises UserError (reason "silent") if neither happened within the limit.
    """
    ends, look_at = time.monotonic() + limit_s, time.monotonic() + BETWEEN_LOOKS_S
    while time.monotonic() < ends:
        if await is_up():
            return None
        if time.monotonic() >= look_at:
            now = await state()
            if not now["Running"]:
                return now
            look_at = time.monotonic() + BETWEEN_LOOKS_S
        await asyncio.sleep(BETWEEN_TRIES_S)
    raise UserError(f"The lab runs but did not answer within {limit_s:.0f} s, so it was stopped.", reason="silent")
