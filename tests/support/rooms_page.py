"""The page of rooms beside a real hub: the service as a process, rooms whose labs are small programs.

anna and boris are in cms, carla is in atlas, dora in no group. Everybody's password is their name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from jupyterhub_mlinfn import collab
from jupyterhub_mlinfn.settings import Settings
from support.hub import Hub, running_stock_hub
from support.service_page import PageMember, PageService, make_secret
from support.wait import until

ROOMS = [
    {"name": "cms", "group": "cms", "title": "CMS", "gpus": 1, "memory": "8G", "cpus": 2},
    {"name": "broken", "group": "cms", "title": "Broken", "memory": "2G", "cpus": 1},
    {"name": "atlas", "group": "atlas", "title": "ATLAS", "memory": "2G", "cpus": 1},
]
CONFIG = """
import json
import secrets
import sys
from pathlib import Path

sys.path.insert(0, {here!r})
import rooms_hub

rooms_hub.configure(c, Path({folder!r}), {rooms!r}, {subdomains!r})
{extra}
"""


class RoomsPage(PageService):
    """The service beside a hub with rooms."""

    def __init__(self, hub: Hub, settings: Settings):
        super().__init__(collab.PAGE, "jupyterhub_mlinfn.collab", hub, settings,
                         MLINFN_COLLAB_ROOMS=collab.written(settings))  # fmt: skip

    def let_go(self) -> None:
        """Starts that wait for it go on."""
        (self.folder / "go").touch()

    def member(self, name: str) -> Member:
        """Somebody who is logged in at the hub and has opened the page."""
        member = Member(self.hub.port, self.url, name)
        member.open()
        return member


class Member(PageMember):
    """A person with a browser and what the page's script would do."""

    def ask(self, path: str = "", method: str = "GET", **options) -> requests.Response:
        """The answer to a question about rooms."""
        return super().ask(f"rooms{path}", method, **options)

    def start(self, room: str, gpus: str = "0") -> None:
        """The hub has taken the start."""
        answer = self.ask(f"/{room}/start", "POST", json={"gpus": gpus})
        assert answer.status_code == 202, answer.text

    def stop(self, room: str) -> None:
        """The room is stopped."""
        answer = self.ask(f"/{room}/stop", "POST")
        assert answer.status_code == 202, answer.text
        until(lambda: self.rooms()[room]["state"] == "stopped", 30, f"{room} to stop")

    def events(self, room: str) -> Iterator[dict]:
        """What the page hears of a start."""
        with self.ask(f"/{room}/progress", stream=True) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream"), answer.text
            for line in answer.iter_lines(decode_unicode=True):
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def rooms(self) -> dict[str, dict]:
        """The rooms that this person sees, by name."""
        answer = self.ask()
        assert answer.ok, answer.text
        return {room["name"]: room for room in answer.json()["rooms"]}


@contextmanager
def running_rooms(folder: Path, proxy_command: list[str], rooms: Sequence[dict] = ROOMS, *,
                  subdomains: bool = True, extra: str = "") -> Iterator[RoomsPage]:  # fmt: skip
    """A hub with these rooms, the page beside it, and more lines of the hub's configuration."""
    make_secret(folder, collab.PAGE)
    config = CONFIG.format(here=str(Path(__file__).parent), folder=str(folder), rooms=list(rooms),
                           subdomains=subdomains, extra=extra)  # fmt: skip
    with running_stock_hub(folder, proxy_command, config) as hub:
        page = RoomsPage(hub, settings_of(folder, hub.port, rooms, subdomains))
        try:
            page.start()
            yield page
        finally:
            page.stop()


@pytest.fixture(scope="module")
def rooms_page(tmp_path_factory: pytest.TempPathFactory, proxy_command: list[str]) -> Iterator[RoomsPage]:
    """One for the tests of a module."""
    with running_rooms(tmp_path_factory.mktemp("rooms"), proxy_command) as page:
        yield page


def settings_of(folder: Path, port: int, rooms: Sequence[dict], subdomains: bool) -> Settings:
    """The settings of such a site."""
    return Settings(root=folder, port=port, groups=sorted({room["group"] for room in rooms}), rooms=list(rooms),
                    subdomains=subdomains, rooms_without_subdomains="" if subdomains else "accepted")  # fmt: skip
