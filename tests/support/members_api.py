"""What the service of backups tells members, over real HTTP, as a test wants it: it has no copies, only answers.

As the real one it asks the hub whose token it was given, and lets in only tokens that were made for the page.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from support.wait import until

NEEDED = {"access:services!service=backup", "custom:mlinfn:restore"}
Folder = tuple[str, str, str]
"""Place, snapshot and path."""


class MembersAPI:
    """The answers, and what was wanted. `start` and `stop` are as if the service came and went."""

    def __init__(self, port: int, hub_api: str):
        self.port, self.hub_api = port, hub_api
        self.places: list[dict] = []
        self.dates: dict[str, list[dict]] = {}
        self.folders: dict[Folder, dict] = {}
        self.restores: list[dict] = []
        self.refusals: dict[str, tuple[int, str]] = {}
        """Method and last part of an address -> what is refused, as "POST restores"."""
        self.wanted: list[dict] = []
        self.held = threading.Event()
        self.held.set()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """It answers."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Nobody answers."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def refusal(self, token: str) -> str:
        """Why a token opens nothing here; empty where it does."""
        answer = requests.get(f"{self.hub_api}/user", headers={"Authorization": f"token {token}"}, timeout=10)
        person = answer.json() if answer.ok else {}
        knows = {"name", "groups", "scopes"} <= set(person) and person["kind"] == "user"
        return "" if knows and set(person["scopes"]) >= NEEDED else "You may not do this."

    def answer(self, method: str, path: str, words: dict[str, str], body: Any) -> tuple[int, dict]:
        """Status and JSON."""
        self.held.wait(30)
        name = path.removeprefix("/members/")
        if refusal := self.refusals.get(f"{method} {name.split('/')[0]}"):
            return refusal[0], {"message": refusal[1]}
        if method == "DELETE":
            return self._stopped(name.removeprefix("restores/"))
        if method == "POST":
            return self._begun(body)
        found = {
            "places": lambda: {"places": self.places}, "restores": lambda: {"restores": self.restores},
            "dates": lambda: {"dates": self.dates.get(words["place"], [])},
            "folder": lambda: self.folders.get((words["place"], words["snapshot"], words["path"])),
        }[name]()  # fmt: skip
        return (200, found) if found else (404, {"message": "There is no such folder in this copy."})

    def _begun(self, body: dict) -> tuple[int, dict]:
        self.wanted.append(body)
        number = f"r{len(self.wanted)}"
        self.restores.insert(0, restored(number, "counting", place=body["place"], path=body["path"]))
        return 202, {"id": number}

    def _stopped(self, number: str) -> tuple[int, dict]:
        for each in self.restores:
            if each["id"] == number:
                each["state"] = "stopped"
                return 200, {}
        return 404, {"message": "There is no such restore."}

    def goes_on(self, **more: Any) -> None:
        """The restore that is under way changes so."""
        until(lambda: self.restores and self.restores[0]["state"] in ("counting", "running"), 15, "a restore to begin")
        self.restores[0] = {**self.restores[0], **more}


def restored(number: str, state: str, **more: Any) -> dict:
    """A restore as the service tells of it."""
    return {"id": number, "place": "home", "path": "", "time": "2026-11-24T03:00:00Z", "state": state, "bytes": 0,
            "of_bytes": 0, "files": 0, "kept": 0, "failed": 0, "kept_names": [], "failed_names": [], "folder": "",
            "words": "", **more}  # fmt: skip


def entry(name: str, kind: str = "file", size: int = 0, *, may: bool = True) -> dict:
    """Something in a folder."""
    return {"name": name, "type": kind, "size": size, "time": "2026-11-20T16:42:00Z", "may": may}


def _handler(api: MembersAPI) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            there = urlsplit(self.path)
            length = int(self.headers.get("Content-Length", 0))
            sent = self.rfile.read(length)
            kind, _, token = self.headers.get("Authorization", "").partition(" ")
            if kind != "token" or (why := api.refusal(token)):
                status, told = 403, {"message": why if kind == "token" else "There is no token."}
            else:
                words = dict(parse_qsl(there.query, keep_blank_values=True))
                status, told = api.answer(self.command, there.path, words, json.loads(sent or b"null"))
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _any

        def log_message(self, *args: object) -> None:
            """Nothing is logged."""

    return Handler
