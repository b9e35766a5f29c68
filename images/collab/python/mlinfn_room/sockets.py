"""The websockets that are open in a room: none from a foreign page, and none of who may not enter any more.

JupyterHub and Jupyter Server ask who somebody is when a websocket is opened, and never again. Kernels, terminals,
documents and what people run behind the server's proxy all use tornado's, so this is the one place for all of them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from urllib.parse import urlparse

import aiohttp
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

EVERY_S = 10
"""How often everybody with something open is asked for again."""
FORBIDDEN = 4403


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether a websocket was opened by a page of another host. Programs send no Origin; they bring a token."""
    return origin is not None and urlparse(origin).netloc.lower() != host.lower()


class Sockets:
    """The open websockets of this server."""

    def __init__(self, hub_auth, log):
        self.hub_auth, self.log = hub_auth, log
        self.open: set[WebSocketHandler] = set()
        self._looking: asyncio.Task | None = None

    def watch(self) -> None:
        """From now on all websockets are known, and their people asked for again every EVERY_S seconds."""
        serve = WebSocketHandler.get

        async def get(handler: WebSocketHandler, *args, **kwargs) -> None:
            if is_foreign(handler.request.headers.get("Origin"), handler.request.host):
                raise HTTPError(403, "Websockets are opened by pages of this room alone.")
            self.open.add(handler)
            try:
                await serve(handler, *args, **kwargs)  # until it is closed
            finally:
                self.open.discard(handler)

        WebSocketHandler.get = get
        self._looking = asyncio.ensure_future(self._look_again())

    def stop(self) -> None:
        """Nobody is asked for any more."""
        if self._looking:
            self._looking.cancel()

    def people(self) -> list[str]:
        """User names of who has something open, each once."""
        return sorted({handler.current_user.username for handler in self.open if handler.current_user})

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            by_token = defaultdict(list)
            for handler in self.open:
                by_token[self.hub_auth.get_token(handler), self.hub_auth.get_session_id(handler)].append(handler)
            await asyncio.gather(*(self._look(*key, handlers) for key, handlers in by_token.items()))

    async def _look(self, token: str, session: str, handlers: list[WebSocketHandler]) -> None:
        """Closes these websockets, all of one token, if it does not let anybody in any more."""
        try:
            user = token and await self.hub_auth.user_for_token(token, use_cache=False, session_id=session, sync=False)
        except (HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            # The hub is away or ill, which says nothing about anybody; new websockets are not opened meanwhile.
            self.log.warning("Nobody could be asked for again: %s", error)
            return
        if user and self.hub_auth.check_scopes(self.hub_auth.access_scopes, user):
            return
        for handler in handlers:
            self.log.warning("%s may not enter any more: closing %s", handler.current_user, type(handler).__name__)
            handler.close(FORBIDDEN, "You may not enter this room any more.")
