"""A stand-in for the guard's health page, for hubs that run without the guard's container."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Guard:
    """Answers /health on a port of loopback: 200 while `is_well`, else 503."""

    def __init__(self, port: int):
        self.is_well = True
        guard = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if guard.is_well else 503)
                self.end_headers()
                self.wfile.write(b'{"well": true}' if guard.is_well else b'{"well": false, "problems": ["no rules"]}')

            def log_message(self, *words) -> None:
                """Say nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self.server.shutdown()
        self.server.server_close()
