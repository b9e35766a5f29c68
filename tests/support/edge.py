"""What a machine asks over the network, on loopback: a hub, a guard, an identity service, a registry, a resolver."""

from __future__ import annotations

import json
import os
import socket
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time

import pytest

from support.places import free_ports


class Web(ThreadingHTTPServer):
    """A server on loopback that says what it is told to, and has a clock of its own."""

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), Answer)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        self.place = f"127.0.0.1:{self.server_port}"
        self.be_well()

    def be_well(self) -> None:
        """Everything is there, at the right time."""
        self.status, self.said, self.ahead_s = 200, {}, 0

    def end(self) -> None:
        """Nobody listens any more."""
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    """The same for every question, with a date."""

    def do_GET(self):
        """The answer."""
        body = json.dumps(self.server.said).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def date_time_string(self, timestamp=None):
        """The time that the server thinks it is."""
        return formatdate(time() + self.server.ahead_s, usegmt=True)

    def log_message(self, *words):
        """Nothing is logged."""


class Resolver:
    """Answers each question of the DNS with itself, on an address of loopback that no other test has."""

    def __init__(self):
        self.address = f"127.{os.getpid() >> 8 & 127}.{os.getpid() & 255}.53"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, who = self.socket.recvfrom(512)
            self.socket.sendto(question, who)


class Edge:
    """What stays from test to test: servers, and the ports of the instance."""

    def __init__(self, port: int):
        self.port, self.hub, self.guard = port, Web(port), Web(port + 3)
        self.issuer, self.registry, self.resolver = Web(), Web(), Resolver()

    def be_well(self) -> None:
        """All answer as they should."""
        for web in (self.hub, self.guard, self.issuer, self.registry):
            web.be_well()
        address = f"http://{self.issuer.place}"
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        self.issuer.said = {"issuer": address, **{name: f"{address}/{name}" for name in names},
                            "scopes_supported": ["openid", "profile", "email", "offline_access"]}  # fmt: skip

    def end(self) -> None:
        """Nobody listens any more."""
        for web in (self.hub, self.guard, self.issuer, self.registry):
            web.end()


@pytest.fixture(scope="session")
def edge():
    """The servers around machines."""
    edge = Edge(free_ports())
    yield edge
    edge.end()
