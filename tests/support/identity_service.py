"""The demo identity service as a process, with people, passwords and faults of the test's own."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from support import secrecy
from support.hub import show_log
from support.npm import NODE, npm_program
from support.places import CHECKOUT, free_ports
from support.process import Program
from support.wait import until

PROGRAM = CHECKOUT / "images/iam-demo"
PEOPLE = {
    "demo-member": ("Demo Member", ["demo"]),
    "demo-keeper": ("Demo Keeper", ["demo", "demo/keepers"]),
    "demo-other": ("Demo Other", ["other"]),
    "demo-nobody": ("Demo Nobody", []),
}
FAST = {"n": 1024, "r": 8, "p": 1}


class IdentityService(Program):
    """The service on `port`, for a client that is called back at `redirect_uris`.

    Without `issuer` it is reached on its own port. Everything else (flavour, access_s, ...) goes to its configuration.
    """

    client_id = "mlinfn"

    def __init__(self, folder: Path, port: int, *, issuer: str = "", redirect_uris: tuple[str, ...] = (), **settings):
        self.issuer = issuer or f"http://localhost:{port}/demo-iam"
        self.port, self.files = port, folder / "identity-service"
        self.files.mkdir()
        self.client_secret_file = self.files / "client_secret"
        self.client_secret_file.write_text(secrets.token_hex(32))
        self.people = {name: secrets.token_urlsafe(16) for name in PEOPLE}
        self._handed_out = set(_forms(self.client_secret_file.read_text()))
        secrecy.run.keep_from(self.issued)
        self._switches = {"issued": str(self.files / "issued.txt")}
        self.config = {
            "issuer": self.issuer, "port": port, "redirect_uris": list(redirect_uris),
            "people": str(self.files / "people.json"), "state": str(self.files / "state.json"),
            "client_secret_file": str(self.client_secret_file), "switches": str(self.files / "switches.json"),
            **settings,
        }  # fmt: skip
        self._write("people.json", {name: self._person(name) for name in PEOPLE})
        self.switch()
        super().__init__([str(NODE / "bin/node"), str(_installed() / "server.mjs"), str(self.files / "config.json")],
                         folder / "identity-service.log")  # fmt: skip

    def start(self) -> None:
        """Start it, again perhaps, and wait until it answers. Raises AssertionError with its log if it ends instead."""
        self._write("config.json", self.config)
        super().start()
        until(lambda: self.answers() or not self.is_running, 20, "the identity service")
        assert self.is_running, self.text()

    def answers(self) -> bool:
        """Whether it is there, whatever is switched on."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/demo-iam/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def switch(self, **switches) -> None:
        """Change switches (images/iam-demo/switches.mjs has them); the others stay. It counts from the next request."""
        self._switches.update(switches)
        self._write("switches.json", self._switches)

    def set_groups(self, name: str, groups: list[str]) -> None:
        """Give a person these groups and no others; their next refresh or look-up says so."""
        self._change(name, groups=groups)

    def set_subject(self, name: str, subject: str) -> None:
        """Give the name to somebody else."""
        self._change(name, sub=subject)

    def subject(self, name: str) -> str:
        """A person's `sub`."""
        return self._read("people.json")[name]["sub"]

    def rotate_client_secret(self) -> str:
        """The new secret of the client, which the service has and the hub does not."""
        new = secrets.token_hex(32)
        self._handed_out.update(_forms(new))
        self.client_secret_file.write_text(new)
        return new

    def issued(self) -> set[str]:
        """Every token, code and client secret that was handed out, and every password: no log may have one."""
        written = self.files / "issued.txt"
        lines = written.read_text().split() if written.exists() else []
        return {*lines, *self._handed_out, *self.people.values()}

    def _person(self, name: str) -> dict:
        full_name, groups = PEOPLE[name]
        return {"hash": _hashed(self.people[name]), "sub": str(uuid.uuid4()), "name": full_name,
                "email": f"{name}@example.org", "groups": groups}  # fmt: skip

    def _change(self, name: str, **what) -> None:
        people = self._read("people.json")
        self._write("people.json", {**people, name: {**people[name], **what}})

    def _read(self, name: str) -> dict:
        return json.loads((self.files / name).read_text())

    def _write(self, name: str, content: dict) -> None:
        partial = self.files / f"{name}.new"
        partial.write_text(json.dumps(content))
        partial.replace(self.files / name)


def _forms(client_secret: str) -> tuple[str, str]:
    """The secret, and as it is sent to the service."""
    return client_secret, base64.b64encode(f"{IdentityService.client_id}:{client_secret}".encode()).decode()


def _hashed(password: str) -> str:
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, **FAST)
    return f"scrypt${FAST['n']}${FAST['r']}${FAST['p']}${salt.hex()}${key.hex()}"


def _installed() -> Path:
    """The folder of the program."""
    return npm_program("iam-demo", PROGRAM, "*.mjs", "*.css")


@pytest.fixture
def identity_service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., IdentityService]]:
    """Call it, with what IdentityService takes, for a running service; without `port` on one of its own."""
    with ExitStack() as stack:

        def make(port: int = 0, **settings) -> IdentityService:
            service = IdentityService(tmp_path, port or free_ports(), **settings)
            stack.callback(show_log, service, request)
            stack.callback(service.stop)
            service.start()
            return service

        yield make
