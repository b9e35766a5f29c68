"""Chromium, driven by Playwright; a picture of the page is kept when a test fails."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from support.places import CACHE, CHECKOUT

CHROMIUM = "/usr/bin/chromium"
# Root cannot use the sandbox; the rest keeps Chromium from calling its maker.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
# Playwright's own 5 s are short on two cores that do other things as well.
expect.set_options(timeout=15_000)
SHOTS = CACHE / "shots"
OPEN_SOCKET = """url => new Promise(done => {
  const socket = new WebSocket(url);
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})"""
"""What a page says of a websocket that it tries: open, or refused."""
FOR_DOCS = CHECKOUT / "docs/screenshots"
UNDER_WAY: WeakKeyDictionary[Page, dict] = WeakKeyDictionary()
"""The requests of each page that were not answered yet."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium for a module's tests; each page has its own cookies.

    Playwright's event loop runs for as long as it is open, and a coroutine test after it would find a loop running.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def chromium_that_finds(host: str, chromium: Browser) -> Iterator[Browser]:
    """Another Chromium, to which this host and all under it are this machine."""
    rule = f"--host-resolver-rules=MAP *.{host} 127.0.0.1, MAP {host} 127.0.0.1"
    own = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, rule])
    try:
        yield own
    finally:
        own.close()


def log_in(page: Page, hub: str, name: str, password: str) -> None:
    """The page is where the hub at this address sends somebody who logged in with a password."""
    page.goto(f"{hub}login")
    page.get_by_label(re.compile("user ?name", re.IGNORECASE)).fill(name)
    page.get_by_label(re.compile("^password", re.IGNORECASE)).fill(password)
    page.get_by_role("button", name=re.compile("sign in|log in", re.IGNORECASE)).click()
    page.wait_for_url(lambda url: "/hub/login" not in url)


@pytest.fixture
def new_page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Call it, with options of Browser.new_context, for the page of one more person."""
    pages: list[Page] = []

    def make(**options) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        page = context.new_page()
        page.set_default_timeout(30_000)
        _watch(page)
        pages.append(page)
        return page

    yield make
    for number, page in enumerate(pages):
        if getattr(request.node, "failed", False) and not page.is_closed():
            _keep(page, request.node.name, number)
        page.context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """The page of a person with no cookies yet."""
    return new_page()


def under_way(page: Page) -> list[str]:
    """What the page has asked for and not been answered, without what stands behind a ?, which may be secret."""
    return [request.url.partition("?")[0] for request in UNDER_WAY.get(page, ())]


def _watch(page: Page) -> None:
    waits = UNDER_WAY[page] = {}
    page.on("request", lambda request: waits.setdefault(request))
    for event in ("requestfinished", "requestfailed"):
        page.on(event, lambda request: waits.pop(request, None))


def _keep(page: Page, test: str, number: int) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', test)}-{number}.png"
    page.screenshot(path=path, full_page=True)
    print(f"--- {page.url}: {path}", *(f"    waits for {url}" for url in under_way(page)), sep="\n")


def screenshot(page: Page, name: str) -> Path | None:
    """A picture for the documentation under docs/, made only where MLINFN_SCREENSHOTS asks for it."""
    if not os.environ.get("MLINFN_SCREENSHOTS"):
        return None
    FOR_DOCS.mkdir(parents=True, exist_ok=True)
    path = FOR_DOCS / f"{name}.png"
    page.screenshot(path=path)
    return path
