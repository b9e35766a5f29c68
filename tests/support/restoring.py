"""Members whose files are put back through the hub's API, and the tars that come for them."""

from __future__ import annotations

import io
import itertools
import os
import tarfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from support.engine import containers_of
from support.places import test_name as new_name
from support.site import Site, closing_site
from support.wait import until

DATE = "2026-11-24T03.00"
IDLE_S = 4
# As a site may in a file of jupyterhub_config.d.
SHORT = f"""
for _, _, *known in c.JupyterHub.extra_handlers:
    if known and "idle_s" in known[0]:
        known[0].update(idle_s={IDLE_S}, image={{image!r}})
c.JupyterHub.load_roles.append({{{{"name": "for-rooms", "services": ["tests"], "scopes": ["tokens"]}}}})
"""
_numbers = itertools.count(1)


class Member:
    """Somebody with a token of their own, and their home on the host, which is not there yet."""

    def __init__(self, site: Site, name: str):
        self.site, self.name = site, name
        self.token = site.logged_in(name).api().session.headers["Authorization"]
        self.home = site.root / "users" / name

    def restore(self, body: Any = b"", into: str = "home", token: str = "", **query: Any) -> requests.Response:
        """The answer to sending a tar, bytes or an iterator of them."""
        url = f"http://{self.site.hub_address}:{self.site.port + 2}/hub/api/mlinfn/restored"
        query = {"date": DATE, "into": into, **query}
        return requests.post(url, data=body, params=query, headers={"Authorization": token or self.token}, timeout=60)

    def place(self, into: str = "home") -> Path:
        """Where it goes on the host."""
        return self.home / "restored" / DATE / into

    def begin(self, into: str = "home", **headers: str) -> HTTPConnection:
        """A request whose body of ten megabytes is still to be sent."""
        connection = HTTPConnection(self.site.hub_address, self.site.port + 2, timeout=60)
        connection.putrequest("POST", f"/hub/api/mlinfn/restored?{urlencode({'date': DATE, 'into': into})}")
        for key, value in {"Authorization": self.token, "Content-Length": str(10**7), **headers}.items():
            connection.putheader(key, value)
        connection.endheaders()
        return connection

    def begun(self, **headers: str) -> HTTPConnection:
        """The same, with a container that waits for it."""
        connection = self.begin(**headers)
        until(lambda: list((self.home / "restored").glob(".partial-*")), 20, "the container to begin")
        return connection

    @property
    def container(self) -> Any:
        """The container that restores for them; None while there is none."""
        found = containers_of(self.site.engine, f"{self.site.instance}-restored_{self.name}")
        return found[0] if found else None

    def assert_nothing_is_left(self) -> None:
        """Nothing, once there is no container, and no half file."""
        until(lambda: self.container is None, 20, "the container to be gone")
        assert list((self.home / "restored").glob(".*")) == []


class Tar:
    """A tar in the making, with PAX headers, as libraries write it."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.archive = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: Any) -> Tar:
        """The same with one more member."""
        entry = tarfile.TarInfo(name)
        entry.type, entry.size, entry.mtime = kind, len(content), 1_000_000_000
        for key, value in more.items():
            setattr(entry, key, value)
        self.archive.addfile(entry, io.BytesIO(content))
        return self

    def link(self, name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> Tar:
        """The same with a link."""
        return self.add(name, kind=kind, linkname=to)

    def bytes(self) -> bytes:
        """All of it."""
        self.archive.close()
        return self.buffer.getvalue()


def head(size: int, name: str = "large") -> bytes:
    """How a tar with a file of that size begins."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf()


def large(size: int) -> Iterator[bytes]:
    """A tar with one such file, a multiple of 64 KB, piece by piece."""
    yield head(size)
    piece = os.urandom(2**16)
    for _ in range(size // len(piece)):
        yield piece
    yield bytes(1024)


@pytest.fixture(scope="module")
def restoring(images: dict[str, str], tmp_path_factory, proxy_command, engine, request) -> Iterator[Site]:
    """A running instance with a room, where clients may be silent for four seconds; nobody has a lab."""
    site = Site(tmp_path_factory.mktemp("restored"), new_name(), proxy_command, engine)
    image = f"mlinfn-test/hub:{site.instance}"  # whoever builds images meanwhile changes nothing
    engine.images.get(images["hub"]).tag(image)
    site.extra = SHORT.format(image=image)
    with closing_site(site, request):
        yield site.start(images=[{"slug": "lab", "title": "JupyterLab", "image": images["lab"]}], groups=["cms"],
                         rooms=[{"name": "cms", "group": "cms"}])  # fmt: skip
    engine.images.remove(image)


@pytest.fixture
def member(restoring: Site) -> Member:
    """A new one."""
    return Member(restoring, f"member{next(_numbers)}")
