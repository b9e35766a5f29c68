"""Questions of members by HTTP, at the address at which the service tells how it is; few at a time, none large."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any

from ... import loopback
from .answers import PREFIX, Answer, Question

LARGEST = 2**14
"""Bytes of a body."""
AT_ONCE = 32
"""Connections, each with a thread."""
SCHEME = "token "


class Server(ThreadingHTTPServer):
    """One that closes connections beyond what it has threads for."""

    def __init__(self, *words: Any):
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(*words)

    def process_request(self, request: socket.socket, client_address: Any) -> None:
        """Called by the server for each connection."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # there is no thread to be had, which would give the place back
            self._places.release()
            raise

    def process_request_thread(self, request: socket.socket, client_address: Any) -> None:
        """Called in the connection's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


def server(members: Callable[[Question], Answer], others: loopback.Answer, port: int) -> Server:
    """The server on loopback, not yet running: members' questions, and those by path alone."""

    class Handler(loopback.handler(others)):
        def do_GET(self) -> None:
            if self.path.startswith(PREFIX):
                self.answer()
            else:
                super().do_GET()

        def do_POST(self) -> None:
            self.answer()

        def do_DELETE(self) -> None:
            self.answer()

        def answer(self) -> None:
            """Send what a member gets."""
            if (length := self.headers.get("Content-Length", "0")).isdecimal() and int(length) <= LARGEST:
                given = self.headers.get("Authorization", "")
                token = given.removeprefix(SCHEME) if given.startswith(SCHEME) else ""
                status, said = members(Question(self.command, self.path, token, self.rfile.read(int(length))))
            else:
                status, said = 400, {"message": f"A question has up to {LARGEST} bytes, and says how many."}
            self.say(status, json.dumps(said))

    return Server(("127.0.0.1", port), Handler)
