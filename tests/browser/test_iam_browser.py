"""The four demo people in a browser, and what they see when they, their groups or the identity service go away.

A real hub, engine and identity service, as in a fresh install; only the labs are small.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from picker_look import assert_looks_well
from playwright.sync_api import Page, expect
from support.browser import screenshot
from support.institute import CONTACT, LIFE_S, REFRESH_S, Institute
from support.wait import until

pytestmark = [pytest.mark.browser, pytest.mark.docker]

WAIT_MS = 20_000
JUPYTERHUBS = ("button-name",)
"""What axe-core finds in JupyterHub's own admin page: the arrow that unfolds somebody's row has no name."""
LOG_IN = re.compile("^Log in with")


@pytest.fixture(scope="module")
def running(found) -> Institute:
    """One hub with `login: demo` for all tests of the module."""
    return found("demo")


@pytest.fixture
def institute(running):
    """The same; after the test the member has no lab, and all is as it was."""
    groups = {name: person["groups"] for name, person in running.service._read("people.json").items()}
    yield running
    if not running.service.is_running:
        running.service.start()
    running.secret.write_text(running.service.client_secret_file.read_text())
    running.service.switch(aup=[])
    for name, theirs in groups.items():
        running.service.set_groups(name, theirs)
    if running.api.user("demo-member").get("servers"):
        running.api.stop("demo-member")


def url(institute: Institute, path: str = "") -> str:
    """An address as people type it."""
    return f"http://localhost:{institute.site.port}/{path}"


def log_in(page: Page, institute: Institute, name: str, password: str = "") -> None:
    """Whatever page comes after the form of the demo identity service."""
    page.goto(url(institute))
    page.get_by_role("link", name=LOG_IN).click()
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password or institute.service.people[name])
    page.get_by_role("button", name="Sign in").click()


def start_lab(page: Page, institute: Institute) -> None:
    """The page of a member is their lab."""
    log_in(page, institute, "demo-member")
    page.get_by_role("button", name=re.compile("^start", re.IGNORECASE)).click()
    page.wait_for_url(f"http://demo-member.localhost:{institute.site.port}/**", timeout=WAIT_MS)
    expect(page.locator("body")).to_contain_text("MLINFN", timeout=WAIT_MS)


def is_inside(page: Page, institute: Institute) -> bool:
    """Whether the hub shows its home page without asking who it is."""
    page.goto(url(institute, "hub/home"))
    return page.url == url(institute, "hub/home") and page.locator("#stop, #start").count() > 0


def assert_says_no_secret(page: Page, institute: Institute) -> None:
    """The page has nothing that was handed out."""
    assert [secret[:4] for secret in institute.service.issued() if secret in page.content()] == []


def picture(page: Page, name: str, height: int) -> None:
    """A picture for the documentation, without the empty rest of the page."""
    page.set_viewport_size({"width": 1000, "height": height})
    screenshot(page, name)


def in_both_schemes(page: Page, known: tuple[str, ...] = ()) -> None:
    """The page looks well by day and by night, but for these known faults."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # colours that change slowly are neither
        assert_looks_well(page, known)


def test_member_gets_a_lab(institute, page):
    start_lab(page, institute)
    assert institute.site.lab_of("demo-member").status == "running"
    page.goto(url(institute, "hub/home"))
    assert page.get_by_role("link", name="Admin").count() == 0
    page.goto(url(institute, "hub/admin"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("not open to you")


def test_keeper_is_admin(institute, page):
    log_in(page, institute, "demo-keeper")
    page.get_by_role("link", name="Admin").click()
    expect(page.get_by_text("demo-keeper").first).to_be_visible()
    assert institute.api.user("demo-keeper")["admin"]
    in_both_schemes(page, JUPYTERHUBS)
    page.goto(url(institute, "hub/token"))
    expect(page.get_by_role("button", name=re.compile("token", re.IGNORECASE)).first).to_be_visible()
    assert_says_no_secret(page, institute)
    in_both_schemes(page)


@pytest.mark.parametrize(("name", "called"), [("demo-other", "Demo Other"), ("demo-nobody", "Demo Nobody")])
def test_who_is_in_no_group_that_may_enter_reads_why(institute, page, name, called):
    log_in(page, institute, name)
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not in a group that may log in")
    if name == "demo-other":
        picture(page, "refused", 510)
    for words in (called, f"({name})", "demo/keepers", CONTACT):
        expect(page.get_by_role("main")).to_contain_text(words)
    assert_says_no_secret(page, institute)
    in_both_schemes(page)
    assert not is_inside(page, institute)
    assert institute.api.request("GET", f"/users/{name}").status_code == 404


def test_group_taken_away_while_the_browser_is_closed(institute, new_page: Callable[..., Page]):
    page = new_page()
    start_lab(page, institute)
    cookies = page.context.storage_state()
    page.close()
    institute.service.set_groups("demo-member", ["other"])
    until(lambda: institute.site.lab_of("demo-member") is None, REFRESH_S + 15, "the lab to be gone")
    again = new_page(storage_state=cookies)
    assert not is_inside(again, institute)
    log_in(again, institute, "demo-member")
    expect(again.get_by_role("heading", level=1)).to_have_text("You are not in a group that may log in")


def test_outage_disturbs_nobody_who_is_in_and_strangers_only_wait(institute, new_page: Callable[..., Page]):
    page, stranger = new_page(), new_page()
    start_lab(page, institute)
    lab = page.url
    institute.service.stop()
    until(lambda: not institute.state()["ok"], 20, "the trouble to be seen")
    stranger.goto(url(institute, "hub/login"))
    expect(stranger.get_by_role("status")).to_contain_text("unreachable, retrying")
    picture(stranger, "unreachable", 410)
    in_both_schemes(stranger)
    until(lambda: time.time() - institute.state()["since"] > 3 * REFRESH_S, 30, "three refreshes to fail")
    assert not institute.state()["ok"]
    assert page.goto(lab).ok
    assert is_inside(page, institute)
    institute.service.start()
    expect(stranger.get_by_role("link", name=LOG_IN)).to_be_visible(timeout=WAIT_MS)
    institute.wait_renewed("demo-member")
    assert is_inside(page, institute)


def test_client_secret_that_was_wrong_for_a_while_logs_nobody_out(institute, page):
    start_lab(page, institute)
    lab, new = page.url, institute.service.rotate_client_secret()
    until(lambda: institute.state()["reason"] == "invalid_client", LIFE_S + 10, "the wrong secret to be seen")
    assert is_inside(page, institute)
    assert page.goto(lab).ok
    institute.secret.write_text(new)
    institute.wait_renewed("demo-member")
    assert page.goto(lab).ok
    assert is_inside(page, institute)


def test_pages_on_the_way_in_look_well(institute, page):
    page.goto(url(institute))
    page.get_by_role("link", name=LOG_IN).hover()
    picture(page, "login", 420)
    in_both_schemes(page)
    page.get_by_role("link", name=LOG_IN).click()
    page.get_by_text("Who is there?").click()
    picture(page, "demo-login", 800)
    in_both_schemes(page)
    log_in(page, institute, "demo-member", "not a password at all")
    expect(page.get_by_role("alert")).to_contain_text("not the right name and password")
    picture(page, "login-refused", 660)
    in_both_schemes(page)


def test_policy_that_has_to_be_signed_has_its_page(institute, page):
    institute.service.switch(aup=["demo-member"])
    log_in(page, institute, "demo-member")
    expect(page.get_by_role("link", name="Sign it at the identity service")).to_be_visible()
    picture(page, "aup", 460)
    assert_says_no_secret(page, institute)
    in_both_schemes(page)
