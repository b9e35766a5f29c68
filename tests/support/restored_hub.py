"""A small hub: it knows people by their tokens, and takes the files that are given back to them."""

from __future__ import annotations

import asyncio
import io
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from support.places import free_ports

ACCESS = "access:services!service=backup"


@dataclass
class Received:
    """One restore, as far as it came."""

    words: Mapping[str, str]
    token: str
    data: bytearray = field(default_factory=bytearray)
    end: str = ""
    """whole, or broken."""

    def files(self) -> dict[str, tarfile.TarInfo]:
        """Name -> what the archive says of it."""
        return {each.name: each for each in self._archive()}

    def content(self, name: str) -> bytes:
        """What is in a file."""
        archive = self._archive()
        return archive.extractfile(name).read()

    def _archive(self) -> tarfile.TarFile:
        return tarfile.open(fileobj=io.BytesIO(bytes(self.data)))


class RestoredHub:
    """The part of the hub's API that the backup service asks."""

    def __init__(self) -> None:
        self.port = free_ports()
        self.people: dict[str, dict[str, Any]] = {}
        self.asked = 0
        """How often somebody asked who has a token."""
        self.received: list[Received] = []
        self.refusal: tuple[int, str] | None = None
        """What is said to a restore before any of it was taken."""
        self.closes_after = 0
        """Bytes after which it goes away; 0 for never."""
        self.takes = threading.Event()
        """While it is not set, nothing more is taken."""
        self.takes.set()
        self.answer = {"folder": "restored/x", "files": 1, "kept": 0, "kept_names": [], "failed": 0, "failed_names": []}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def api(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/hub/api"

    def person(self, name: str, *groups: str, **changes: Any) -> str:
        """A token of somebody."""
        token = f"token-of-{name}_{len(self.people)}"
        self.people[token] = {"kind": "user", "name": name, "groups": [*groups], "scopes": [ACCESS], **changes}
        return token

    def start(self) -> None:
        """It answers."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _listen(self) -> None:
        application = Application([("/hub/api/user", _User), ("/hub/api/mlinfn/restored", _Restored)], hub=self,
                                  log_function=lambda handler: None)  # fmt: skip
        self._server = HTTPServer(application, max_body_size=2**40)
        self._server.listen(self.port, "127.0.0.1")

    def stop(self) -> None:
        """It is away, and closes what is open."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()


def running() -> Iterator[RestoredHub]:
    """One that answers."""
    hub = RestoredHub()
    hub.start()
    try:
        yield hub
    finally:
        hub.takes.set()
        hub.stop()


class _Ours(RequestHandler):
    @property
    def hub(self) -> RestoredHub:
        return self.settings["hub"]

    @property
    def token(self) -> str:
        return self.request.headers.get("Authorization", "").removeprefix("token ")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs["exc_info"][1]
        self.finish({"status": status_code, "message": getattr(error, "log_message", None) or "No."})


class _User(_Ours):
    def get(self) -> None:
        self.hub.asked += 1
        if self.token not in self.hub.people:
            raise HTTPError(403)
        self.finish(self.hub.people[self.token])


@stream_request_body
class _Restored(_Ours):
    def prepare(self) -> None:
        if self.hub.refusal:
            raise HTTPError(*self.hub.refusal)
        assert self.request.headers["Transfer-Encoding"] == "chunked"
        words = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        self.taken = Received(words, self.token)
        self.hub.received.append(self.taken)

    async def data_received(self, chunk: bytes) -> None:
        while not self.hub.takes.is_set():
            await asyncio.sleep(0.01)
        self.taken.data += chunk
        if 0 < self.hub.closes_after <= len(self.taken.data):
            self.request.connection.stream.close()

    def on_connection_close(self) -> None:
        self.taken.end = "broken"

    def post(self) -> None:
        self.taken.end = "whole"
        self.finish(self.hub.answer)
