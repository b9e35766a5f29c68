"""Asking a lab whether it computes, whatever it answers."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jupyterhub_mlinfn.activity import kernels, started_with

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part


class Lab:
    """A server that gives one answer to everything, and keeps what it was sent."""

    def __init__(self, status: int, body: bytes, location: str = ""):
        self.seen: list[tuple[str, str | None]] = []
        lab = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lab.seen.append((self.path, self.headers["Authorization"]))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words) -> None:
                """Say nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/user/anna/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *error) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, b'[{"execution_state": "idle"}, {"execution_state": "busy"}]', "busy"),
        (200, b'[{"execution_state": "idle"}]', "idle"),
        (200, b"[]", "idle"),
        (200, b"<html>an editor without kernels</html>", "idle"),
        (200, b'{"execution_state": "busy"}', "idle"),
        (200, b'[null, 1, "busy", {}]', "idle"),
        (200, b"[" * 100_000, "idle"),
        (404, b"", "idle"),
        (500, b"", "unknown"),
        (503, b"", "unknown"),
        (403, b"", "unknown"),
        (200, b" " * (2**20 + 1), "unknown"),
    ],
    ids=["busy", "idle", "none", "a page", "no list", "strange kernels", "too deep", "no such thing", "broken",
         "starved", "refused", "too long"],
)  # fmt: skip
async def test_only_what_a_lab_says_itself_counts(status, body, state):
    with Lab(status, body) as lab:
        assert await kernels(lab.url, "its-own") == state
        assert lab.seen == [("/user/anna/api/kernels", "token its-own")]


async def test_a_lab_sends_the_hub_nowhere():
    with Lab(200, b"secret") as elsewhere, Lab(302, b"", elsewhere.url) as lab:
        assert await kernels(lab.url, "its-own") == "idle"
        assert elsewhere.seen == []


async def test_a_lab_that_says_nothing_may_compute():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert await kernels(f"http://127.0.0.1:{port}/", "its-own", answer_s=0.3) == "unknown"
    assert await kernels(f"http://127.0.0.1:{port}/", "its-own", answer_s=0.3) == "unknown"


def test_what_a_lab_was_started_with_is_on_its_container():
    labels = {"it.infn.mlinfn.profile": "lab-ml", "it.infn.mlinfn.gpus": "GPU-1", "it.infn.mlinfn.room": "cms"}
    container = {"Config": {"Labels": labels}, "HostConfig": {"Memory": 2**33}}
    assert started_with(container) == {"profile": "lab-ml", "memory": 2**33, "gpus": True, "room": "cms"}
    assert started_with({"Config": {}, "HostConfig": {}}) == {"profile": "", "memory": 0, "gpus": False, "room": ""}
