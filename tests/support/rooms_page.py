"""The page of rooms beside a real hub: the service as a process, rooms whose labs are small programs.

anna and boris are in cms, carla is in atlas, dora in no group. Everybody's password is their name.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from bs4 import BeautifulSoup

from jupyterhub_mlinfn import collab
from jupyterhub_mlinfn.settings import Settings
from support import secrecy
from support.client import Visitor
from support.hub import Hub, running_stock_hub
from support.process import Program
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


class RoomsPage(Program):
    """The service beside a hub. The hub runs when this is made; the service does not yet."""

    def __init__(self, folder: Path, hub: Hub, settings: Settings):
        self.folder, self.hub, self.settings, self.url = folder, hub, settings, collab.page_url(settings)
        variables = {
            "MLINFN_COLLAB_PORT": str(collab.port(settings)), "MLINFN_COLLAB_API": f"{self._hub_itself}/hub/api",
            "MLINFN_COLLAB_HUB": f"http://localhost:{hub.port}", "MLINFN_COLLAB_PAGE": self.url,
            "MLINFN_COLLAB_ROOMS": collab.written(settings), "MLINFN_CONTACT": "help@example.org",
        }  # fmt: skip
        secret = folder / "secrets/hub" / collab.SECRET
        argv = [sys.executable, "-m", "jupyterhub_mlinfn.collab", str(secret)]
        super().__init__(argv, folder / "page.log", variables, folder)

    @property
    def _hub_itself(self) -> str:
        return f"http://127.0.0.1:{self.hub.port + 2}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        until(self.answers, 30, "the page of rooms")

    def answers(self) -> bool:
        """Whether the service itself answers."""
        try:
            return requests.get(f"http://127.0.0.1:{collab.port(self.settings)}{collab.PREFIX}health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def let_go(self) -> None:
        """Starts that wait for it go on."""
        (self.folder / "go").touch()

    def member(self, name: str) -> Member:
        """Somebody who is logged in at the hub and has opened the page."""
        member = Member(self.hub.port, self.url, name)
        member.open()
        return member


class Member:
    """A person with a browser and what the page's script would do."""

    def __init__(self, port: int, url: str, name: str, password: str = ""):
        self.url, self.xsrf = url, ""
        self.browser = Visitor(port)
        self.browser.log_in(name, password or name)

    def open(self) -> requests.Response:
        """The page, after all redirects."""
        self.answer = self.browser.session.get(self.url, timeout=30)
        found = BeautifulSoup(self.answer.text, "html.parser").select_one("meta[name=xsrf]")
        self.xsrf = found["content"] if found else ""
        return self.answer

    def ask(self, path: str = "", method: str = "GET", **options) -> requests.Response:
        """The answer to a question of the page's script."""
        headers = {"X-XSRFToken": self.xsrf, "Sec-Fetch-Mode": "cors", **options.pop("headers", {})}
        return self.browser.session.request(method, f"{self.url}api/rooms{path}", headers=headers,
                                            timeout=60, **options)  # fmt: skip

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
    secret = folder / "secrets/hub" / collab.SECRET
    secret.parent.mkdir(parents=True)
    secret.write_text(secrecy.run.keep(secrets.token_hex(32)) + "\n")
    config = CONFIG.format(here=str(Path(__file__).parent), folder=str(folder), rooms=list(rooms),
                           subdomains=subdomains, extra=extra)  # fmt: skip
    with running_stock_hub(folder, proxy_command, config) as hub:
        page = RoomsPage(folder, hub, settings_of(folder, hub.port, rooms, subdomains))
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
