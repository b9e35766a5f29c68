"""A small HTTP server on loopback, with which a service of ours tells the hub and the keeper how it is."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[str], "tuple[int, str]"]
"""Path -> status and text."""


PLAIN = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus wants to be told the version of its format; everybody else reads over it."""


def told(path: str, numbers: Callable[[], str]) -> tuple[int, str]:
    """Status and text of a service that has /metrics, and /health, which says that it is there."""
    if path == "/health":
        return 200, "ok\n"
    if path == "/metrics":
        return 200, numbers()
    return 404, "There is /health and /metrics.\n"


def handler(answer: Answer) -> type[BaseHTTPRequestHandler]:
    """What answers a GET. Text that looks like JSON goes out as such, other text as it is."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            self.say(*answer(self.path))

        def say(self, status: int, text: str) -> None:
            """Send an answer."""
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if text[:1] in ("{", "[") else PLAIN)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing is logged of requests: they come every few seconds."""

    return Handler


def server(answer: Answer, port: int) -> ThreadingHTTPServer:
    """The server, not yet running."""
    return ThreadingHTTPServer(("127.0.0.1", port), handler(answer))
