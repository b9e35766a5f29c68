"""The service of a page as a process beside a hub, and people who open it with a browser and without its script."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import requests
from bs4 import BeautifulSoup

from jupyterhub_mlinfn.pages import Page
from jupyterhub_mlinfn.settings import Settings
from support import secrecy
from support.client import Visitor
from support.hub import Hub
from support.process import Program
from support.wait import until


def make_secret(folder: Path, page: Page) -> None:
    """The page's token is where hub and service look for it."""
    secret = folder / "secrets/hub" / page.secret
    secret.parent.mkdir(parents=True)
    secret.write_text(secrecy.run.keep(secrets.token_hex(32)) + "\n")


class PageService(Program):
    """The service beside a hub. The hub runs when this is made; the service does not yet."""

    def __init__(self, page: Page, module: str, hub: Hub, settings: Settings, **variables: str):
        self.page, self.hub, self.settings, self.url = page, hub, settings, page.url(settings)
        self.itself = f"http://127.0.0.1:{page.port(settings)}{page.prefix}"
        folder = settings.root
        variables |= {
            "MLINFN_PAGE_PORT": str(page.port(settings)), "MLINFN_PAGE_API": f"http://127.0.0.1:{hub.port + 2}/hub/api",
            "MLINFN_PAGE_HUB": f"http://localhost:{hub.port}", "MLINFN_PAGE_URL": self.url,
            "MLINFN_CONTACT": "help@example.org",
        }  # fmt: skip
        argv = [sys.executable, "-m", module, str(folder / "secrets/hub" / page.secret)]
        super().__init__(argv, folder / "page.log", variables, folder)

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        until(self.answers, 30, f"the page {self.page.prefix}")

    def answers(self) -> bool:
        """Whether the service itself answers."""
        try:
            return requests.get(f"{self.itself}health", timeout=5).ok
        except requests.ConnectionError:
            return False


class PageMember:
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

    def ask(self, path: str, method: str = "GET", **options) -> requests.Response:
        """The answer to a question of the page's script."""
        headers = {"X-XSRFToken": self.xsrf, "Sec-Fetch-Mode": "cors", **options.pop("headers", {})}
        return self.browser.session.request(method, f"{self.url}api/{path}", headers=headers, timeout=60, **options)
