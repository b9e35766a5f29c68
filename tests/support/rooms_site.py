"""A whole instance with rooms: hub, labs of the real image, the page of rooms, and browsers that find it.

anna and boris are in cms, carla is in atlas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
from playwright.sync_api import Browser, Page

from jupyterhub_mlinfn.settings import load
from support.browser import chromium_that_finds, log_in
from support.hub import show_log
from support.places import test_name
from support.rooms_page import RoomsPage
from support.site import Site, closing_site

HOST = "hub.test"
"""To browsers its subdomains are one site, as those of an institute's host are; those of localhost are not."""
GROUPS = {"anna": "cms", "boris": "cms", "carla": "atlas"}


class SitesPage(RoomsPage):
    """The page of rooms of a whole instance."""

    def __init__(self, site: Site):
        super().__init__(site.hub, load(site.folder / "mlinfn.yaml"))
        self.environment |= {"MLINFN_PAGE_HUB": f"http://{HOST}:{site.port}",
                             "MLINFN_PAGE_API": f"http://{site.hub_address}:{site.port + 2}/hub/api"}  # fmt: skip


@pytest.fixture(scope="module")
def rooms_site(collab_image, tmp_path_factory, proxy_command, engine, request) -> Iterator[Site]:
    """The instance; everybody's password is in its `words`, and a token of theirs in its `apis`."""
    site = Site(tmp_path_factory.mktemp("rooms"), test_name(), proxy_command, engine)
    rooms = [{"name": name, "group": name, "memory": "1G"} for name in ("cms", "atlas")]
    images = [{"slug": "lab", "title": "JupyterLab", "image": collab_image}]
    with closing_site(site, request):
        site.start(images=images, groups=["cms", "atlas"], rooms=rooms, host=HOST, tls={"plain_http": "accepted"})
        site.words = {name: site.add_user(name, groups=(group,)) for name, group in GROUPS.items()}
        with running_page(site, request):
            yield site


@contextmanager
def running_page(site: Site, request: pytest.FixtureRequest) -> Iterator[SitesPage]:
    """The page of rooms beside the hub."""
    page = SitesPage(site)
    try:
        page.start()
        yield page
    finally:
        page.stop()
        show_log(page, request)


@pytest.fixture(scope="module")
def browsers(chromium: Browser) -> Iterator[Browser]:
    """A Chromium that finds the instance on this machine."""
    with chromium_that_finds(HOST, chromium) as own:
        yield own


@pytest.fixture
def visitor(rooms_site: Site, browsers: Browser) -> Iterator[Callable[[str], Page]]:
    """Call it with a name for a browser of theirs, in which they are logged in at the hub."""
    opened = []

    def make(name: str) -> Page:
        page = browsers.new_context(viewport={"width": 1280, "height": 800}).new_page()
        opened.append(page.context)
        page.set_default_timeout(30_000)
        log_in(page, f"http://{HOST}:{rooms_site.port}/hub/", name, rooms_site.words[name])
        return page

    yield make
    for context in opened:
        context.close()


def answer_of(page: Page, url: str) -> requests.Response:
    """What a program gets that has all cookies of this browser and is held back by no browser's rules."""
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies(url))
    host, path = re.fullmatch(r"http://([^/]+)(/.*)", url).groups()
    there = f"http://127.0.0.1:{host.rpartition(':')[2]}{path}"
    return requests.get(there, headers={"Host": host, "Cookie": cookies}, allow_redirects=False, timeout=30)
