"""Whether a page is fit to be shown."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

NARROW, WIDE = {"width": 320, "height": 700}, {"width": 1280, "height": 900}


def assert_looks_well(page: Page, known: tuple[str, ...] = ()) -> None:
    """Fails with what axe-core says but for these rules, or with what sticks out of a narrow screen."""
    found = {v["id"]: [node["html"] for node in v["nodes"]] for v in Axe().run(page).response["violations"]
             if v["id"] not in known}  # fmt: skip
    assert found == {}, f"{page.url}: {found}"
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.set_viewport_size(WIDE)
