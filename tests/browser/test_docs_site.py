"""The documentation as a web site: it is built without a warning, and every link and anchor in it leads somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from bs4 import BeautifulSoup
from support.places import CHECKOUT

pytestmark = pytest.mark.browser
WIDTHS = (390, 1360)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder with the pages."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([CHECKOUT / "docs/build", folder], capture_output=True, text=True,
                          env={**os.environ, "PYTHON": sys.executable})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(), "html.parser")


def pages(site: Path) -> list[Path]:
    """All that were written, without those that Sphinx makes for itself and the way from the top to the first page."""
    made = {site / name for name in ("genindex.html", "search.html", "index.html")}
    return sorted(set(site.rglob("*.html")) - made)


def test_every_page_is_there(site):
    written = {path.relative_to(site).with_suffix(".md") for path in pages(site)}
    assert {path.relative_to(CHECKOUT) for path in CHECKOUT.glob("docs/**/*.md")} <= written
    assert {Path("README.md"), Path("SECURITY.md"), Path("CHANGELOG.md")} <= written


def test_every_link_and_every_anchor_leads_somewhere(site):
    wrong = []
    for page in pages(site):
        for tag in soup(page).find_all(["a", "img", "link", "script"]):
            address = tag.get("href") or tag.get("src") or ""
            if urlsplit(address).scheme or not address or address == "#":
                continue
            path, anchor = urldefrag(address)
            there = (page.parent / unquote(urlsplit(path).path)).resolve() if path else page
            if not there.is_file() or (anchor and not soup(there).find(id=unquote(anchor))):
                wrong.append(f"{page.relative_to(site)}: {address}")
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site):
    for page in pages(site):
        loaded = soup(page).select("script[src], img[src], link[rel=stylesheet], link[rel=icon]")
        assert [tag for tag in loaded if urlsplit(tag.get("src") or tag.get("href")).netloc] == [], page


def test_every_page_fits_the_screen_and_search_finds(site, chromium):
    """Without a page that is to be moved sideways; and the site works from a folder, without a server."""
    page = chromium.new_page()
    try:
        for path, width in ((path, width) for path in pages(site) for width in WIDTHS):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path.name} at {width}"
        page.goto((site / "index.html").as_uri())
        page.wait_for_url((site / "docs/index.html").as_uri())
        page.goto(f"{(site / 'search.html').as_uri()}?q=live-restore")
        page.get_by_role("link", name="Install, upgrade, take away").last.wait_for()
    finally:
        page.close()
