"""Every page of ours, light and dark, wide and 320 px: nothing that axe-core finds, nothing that scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from picker_look import assert_looks_well
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(params=["light", "dark"])
def anna(request, picker, new_page: Callable[..., Page]) -> Iterator[Page]:
    """A page of somebody who sees every image, without a lab before and after."""
    page = new_page(color_scheme=request.param)
    picker.sign_in(page, "anna")
    yield page
    page.goto(f"{picker.url}/hub/home")
    if page.is_visible("#stop"):
        page.click("#stop")
        page.wait_for_selector("text=It is not running.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signing_in(picker, new_page, scheme):
    page = new_page(color_scheme=scheme)
    page.goto(f"{picker.url}/hub/login")
    assert_looks_well(page)
    page.fill("#username_input", "anna")
    page.fill("#password_input", "wrong")
    page.click("#login_submit")
    page.wait_for_selector("[role=alert]")
    assert_looks_well(page)


def test_picking(picker, anna):
    assert_looks_well(anna)
    anna.check("[value=unlisted]")
    assert_looks_well(anna)
    anna.fill("[name$=unlisted-choice]", "no image")
    anna.click("#start")
    anna.wait_for_selector(".spawn-error-msg")
    assert_looks_well(anna)
    anna.goto(f"{picker.url}/hub/spawn?opt-profile=lab&opt-memory=900G")
    assert_looks_well(anna)


def test_nothing_to_pick(picker, new_page):
    page = new_page()
    page.goto(f"{picker.url}/hub/login")
    page.fill("#username_input", "nobody")
    page.fill("#password_input", "nobody")
    page.click("#login_submit")
    page.wait_for_selector("text=No image is offered to you yet")
    assert page.locator("#start").count() == 0
    assert_looks_well(page)


def test_starting(picker, anna):
    picker.start(anna, "slow")
    anna.wait_for_selector("text=Starting the container")
    anna.click("summary")
    assert_looks_well(anna)
    anna.goto(f"{picker.url}/hub/home")
    assert_looks_well(anna)


def test_running(picker, anna):
    picker.start(anna, "lab")
    anna.wait_for_selector("text=the lab of the test")
    anna.goto(f"{picker.url}/hub/home#no-answer")
    assert_looks_well(anna)


def test_failing(picker, anna):
    picker.start(anna, "broken")
    anna.wait_for_selector("pre")
    assert_looks_well(anna)


@pytest.mark.parametrize(
    "path", ["home", "user/anna/lab", "nosuch", "admin", "error/503", "error/404", "error/500", "logout"]
)
def test_other_pages(picker, anna, path):
    anna.goto(f"{picker.url}/hub/{path}")
    assert_looks_well(anna)
