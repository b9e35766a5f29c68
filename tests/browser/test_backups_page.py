"""The page of backups in a browser, beside a real hub; what is in the copies is written by the test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
from picker_look import assert_looks_well
from playwright.sync_api import Page, expect
from support.backups_page import BackupsPage
from support.browser import log_in, screenshot
from support.members_api import MembersAPI, entry, restored

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
ODD = "  a&b=c#d?%41+é 'x' \\ ‮txt.exe "
LONG = "Averylongnamewithoutanyspaceinit" * 7
DATES = [{"snapshot": f"{days:064x}", "time": (datetime.now(timezone.utc) - timedelta(days, hours=1)).isoformat()}
         for days in range(40)]  # fmt: skip
NEWEST, BEFORE, OLD = (each["snapshot"] for each in (DATES[0], DATES[1], DATES[39]))
HOME = [entry("analysis", "folder"), entry("thesis", "folder"), entry("cvmfs", "link"), entry("fit.ipynb", size=48213),
        entry("notes.md", size=812), entry("sample.root", size=3 * 2**30)]  # fmt: skip
RUNS = [entry(f"run-{number:02}.root", size=1000 * number) for number in range(30)]
GROUP = [entry("of boris alone", "folder", may=False), entry("socket", "other", may=False),
         entry("a\ufffdb", may=False), entry(LONG, size=12), entry(HOSTILE, "folder")]  # fmt: skip
FOLDER = "restored/2026-11-24T03.00/home"


@pytest.fixture
def api(backups_page: BackupsPage) -> MembersAPI:
    """What the service of backups tells: three places, of which one was never copied."""
    api = backups_page.api
    api.places = [{"name": "home", "title": "My home"}, {"name": "shared", "title": "What I share"},
                  {"name": "groups/cms", "title": "cms"}]  # fmt: skip
    api.dates = {"home": DATES, "groups/cms": DATES[:2]}
    api.folders = {("home", each["snapshot"], ""): {"entries": HOME, "more": False} for each in DATES}
    api.folders["home", NEWEST, "analysis"] = {"entries": [], "more": False}
    api.folders["home", BEFORE, "analysis"] = {"entries": [entry("plots", "folder"), *RUNS], "more": True}
    api.folders["groups/cms", NEWEST, ""] = {"entries": GROUP, "more": False}
    api.restores, api.wanted, api.refusals = [], [], {}
    return api


@pytest.fixture
def member(backups_page: BackupsPage, api: MembersAPI, new_page: Callable[..., Page]) -> Callable[..., Page]:
    """Call it with a name for that person's browser, on the hub's home page."""

    def make(name: str, **options) -> Page:
        page = new_page(**options)
        page.complaints = []
        page.on("console", lambda said: page.complaints.append(said.text) if "Security" in said.text else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        hub = f"http://localhost:{backups_page.hub.port}/hub/"
        log_in(page, hub, name, name)
        page.goto(f"{hub}home")
        return page

    return make


@pytest.fixture
def anna(member: Callable[..., Page]) -> Iterator[Page]:
    """A member on the page, which shows her home as it was at the newest date."""
    page = member("anna")
    page.click("#backups")
    expect(rows(page)).to_have_count(len(HOME))
    yield page
    assert page.complaints == []


def rows(page: Page):
    """What is in the folder that is shown."""
    return page.locator("#rows tr:visible")


def look(page: Page) -> None:
    """The page asks now, as when somebody comes back to it."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_every_state_looks_well(member, api):
    page = member("anna")
    assert_looks_well(page)
    page.click("#backups")
    page.get_by_role("button", name="Restore all of it").click()
    expect(page.locator("#result")).to_have_text("Looking how much it is…")
    api.goes_on(state="running", bytes=7 * 2**20, of_bytes=2**30)
    expect(page.locator("#result")).to_have_text("7 MB of 1 GB")
    assert_looks_well(page)
    api.restores.append(restored("r0", "failed", path="thesis", words="Your home has no room for it."))
    api.goes_on(state="done", files=12, kept=2, failed=1, folder=FOLDER)
    page.select_option("#places", "groups/cms")
    expect(rows(page)).to_have_count(len(GROUP))
    expect(page.locator("#what")).to_have_text("My home is restored")
    expect(page.locator("#copy")).to_contain_text("copy of ")
    page.click("#before summary")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_looks_well(page)
    page.select_option("#places", "shared")
    expect(page.locator("#none")).to_contain_text("No backup yet")
    assert_looks_well(page)


def test_picture_for_the_documentation(member, api):
    page = member("anna", viewport={"width": 1280, "height": 830})
    page.clock.set_fixed_time(datetime(2026, 11, 24, 12, tzinfo=timezone.utc))
    api.dates["home"] = [{"snapshot": snapshot, "time": f"2026-11-{day}T03:00:00"}
                         for snapshot, day in ((NEWEST, 24), (BEFORE, 23), (OLD, 22))]  # fmt: skip
    api.restores = [restored("r1", "running", path="thesis", bytes=312 * 2**20, of_bytes=2**30,
                             time="2026-11-23T03:00:00Z")]  # fmt: skip
    page.click("#backups")
    page.get_by_role("button", name="Earlier").click()
    expect(page.locator("#result")).to_have_text("312 MB of 1 GB")
    expect(page.locator("#dates option:checked")).to_have_text("Yesterday 03:00")
    screenshot(page, "backups")


def test_home_page_to_yesterdays_notebook_takes_under_five_clicks(member, api, backups_page):
    page = member("anna")
    backups_page.hub.api.start("anna")
    page.get_by_role("link", name="your backups").click()
    page.get_by_role("button", name="Earlier").click()
    expect(page.locator("#dates")).to_have_value(BEFORE)
    page.get_by_role("button", name="Restore fit.ipynb").click()
    expect(page.locator("#what")).to_have_text("Restoring fit.ipynb")
    assert api.wanted == [{"place": "home", "snapshot": BEFORE, "path": "fit.ipynb"}]
    api.goes_on(state="done", files=1, folder=FOLDER)
    expect(page.locator("#result")).to_have_text(f"1 file is back, in {FOLDER}.")
    expect(page.locator("#said")).to_have_text(f"fit.ipynb is restored. 1 file is back, in {FOLDER}.")
    page.get_by_role("link", name="Open the folder").click()
    page.wait_for_url(f"**/user/anna/lab/tree/{FOLDER}?*")
    expect(page).to_have_title("Lab")


def test_dates_are_words_and_keep_the_folder(anna):
    words = anna.locator("#dates option").all_text_contents()
    assert re.fullmatch(r"(Today|Yesterday) \d\d:\d\d", words[0])
    assert re.fullmatch(r"[A-Z][a-z]+day \d{1,2} [A-Z][a-z]+ (\d{4} )?\d\d:\d\d", words[39])
    assert anna.locator("#dates optgroup").first.get_attribute("label") == "Last seven days"
    anna.get_by_role("link", name="analysis", exact=True).click()
    expect(anna.locator("#words")).to_have_text("This folder is empty.")
    anna.get_by_role("button", name="Earlier").click()
    expect(rows(anna)).to_have_count(31)
    expect(anna.locator("#more")).to_contain_text("only 31 are shown")
    anna.select_option("#dates", OLD)
    expect(anna.locator("#words")).to_have_text("There is no such folder in this copy.")
    expect(anna.locator("#restore-folder")).to_be_hidden()
    expect(anna.get_by_role("button", name="Earlier")).to_be_disabled()
    anna.go_back()
    expect(rows(anna)).to_have_count(31)
    anna.reload()
    expect(rows(anna)).to_have_count(31)
    anna.get_by_role("searchbox", name="Find in this folder").fill("RUN-2")
    expect(rows(anna)).to_have_count(10)
    anna.locator("#find").fill("nothing")
    expect(anna.locator("#words")).to_have_text("Nothing here is called like that.")
    anna.get_by_role("link", name="My home").click()
    expect(rows(anna)).to_have_count(len(HOME))


def test_date_that_was_chosen_holds_before_its_files_are_in_view(anna, api):
    api.held.clear()
    anna.select_option("#dates", BEFORE)
    anna.get_by_role("button", name="Restore fit.ipynb").click()
    anna.get_by_role("link", name="analysis").click()
    api.held.set()
    expect(rows(anna)).to_have_count(31)
    expect(anna.locator("#what")).to_have_text("Restoring fit.ipynb")
    assert api.wanted == [{"place": "home", "snapshot": BEFORE, "path": "fit.ipynb"}]


def test_hostile_odd_and_endless_names_are_text(anna, api):
    api.folders["groups/cms", NEWEST, ""] = {"entries": [entry(HOSTILE), entry(ODD, "folder")], "more": False}
    api.folders["groups/cms", NEWEST, ODD] = {"entries": [entry(ODD), entry(LONG)], "more": False}
    api.places[2]["title"] = HOSTILE
    look(anna)
    expect(anna.locator("#places option").nth(2)).to_have_text(HOSTILE)
    anna.select_option("#places", "groups/cms")
    expect(rows(anna).first.locator(".backups-name")).to_have_text(HOSTILE)
    anna.locator("#rows a").click()
    expect(anna.locator("#here")).to_have_text(ODD)
    rows(anna).first.get_by_role("button").click()
    expect(anna.locator("#tray")).to_be_visible()
    assert api.wanted == [{"place": "groups/cms", "snapshot": NEWEST, "path": f"{ODD}/{ODD}"}]
    api.goes_on(state="done", files=1, folder=f"{FOLDER}/{ODD}", words=HOSTILE)
    expect(anna.locator("#result")).to_contain_text(HOSTILE)
    link = anna.locator("#open").get_attribute("href")
    assert link.endswith("/%20%20a%26b%3Dc%23d%3F%2541%2B%C3%A9%20'x'%20%5C%20%E2%80%AEtxt.exe%20")
    assert anna.locator("main img, main script").count() == 0
    assert_looks_well(anna)
    assert anna.title() == "Backups · ML-INFN"


def test_what_a_member_could_not_read_has_no_button(anna):
    anna.select_option("#places", "groups/cms")
    expect(rows(anna)).to_have_count(len(GROUP))
    said = rows(anna).locator(".backups-do").all_inner_texts()
    assert said == ["Not yours to read", "Not a file", "Comes with its folder", "Restore", "Restore"]
    expect(rows(anna).first.get_by_role("link")).to_have_count(0)


def test_restore_shows_how_far_it_is_stops_and_says_what_was_kept(anna, api):
    anna.get_by_role("link", name="analysis", exact=True).click()
    expect(anna.locator("#here")).to_have_text("analysis")
    anna.get_by_role("button", name="Earlier").click()
    anna.get_by_role("button", name="Restore this folder").click()
    api.goes_on(state="running", bytes=25, of_bytes=100)
    bar = anna.get_by_role("progressbar", name="Restoring analysis")
    expect(bar).to_have_attribute("aria-valuenow", "25")
    anna.reload()
    expect(bar).to_have_attribute("aria-valuenow", "25")
    api.refusals["POST restores"] = 409, "Another restore of yours is under way."
    anna.get_by_role("button", name="Restore plots").click()
    expect(anna.get_by_role("alert")).to_have_text("Another restore of yours is under way.")
    api.refusals.clear()
    anna.get_by_role("button", name="Stop").click()
    expect(anna.locator("#what")).to_have_text("Restoring analysis was stopped")
    expect(anna.locator("#result")).to_have_text("Nothing of it was kept.")
    anna.get_by_role("button", name="Restore this folder").click()
    expect(anna.get_by_role("alert")).to_be_hidden()
    api.goes_on(state="done", kept=31, kept_names=["a", "b", "c", "d"], folder=FOLDER)
    expect(anna.locator("#result")).to_have_text("31 files were there already and were kept: a, b, c and more.")
    anna.get_by_role("button", name="Restore plots").click()
    api.goes_on(state="failed", words="Your home has no room for it: 3 GB are wanted.")
    expect(anna.locator("#result")).to_have_text("Your home has no room for it: 3 GB are wanted.")
    expect(anna.get_by_role("link", name="Open the folder")).to_be_hidden()
    anna.get_by_role("button", name="Close").click()
    expect(anna.locator("#tray")).to_be_hidden()
    anna.get_by_text("Earlier restores").click()
    expect(anna.locator("#ended li")).to_have_count(3)


def test_keyboard_alone_finds_and_restores(anna, api):
    def tab_to(name: str, role: str) -> None:
        wanted = anna.get_by_role(role, name=name, exact=True)
        while not wanted.evaluate("each => each === document.activeElement"):
            anna.keyboard.press("Tab")

    tab_to("As they were", "combobox")
    anna.keyboard.press("ArrowDown")
    expect(anna.locator("#dates")).to_have_value(BEFORE)
    expect(anna.locator("#folder")).to_have_attribute("aria-busy", "false")
    tab_to("analysis", "link")
    anna.keyboard.press("Enter")
    expect(anna.locator("#here")).to_be_focused()
    tab_to("Restore run-00.root", "button")
    anna.keyboard.press("Enter")
    expect(anna.locator("#what")).to_have_text("Restoring run-00.root")
    tab_to("Stop", "button")
    anna.keyboard.press("Enter")
    tab_to("Close", "button")
    anna.keyboard.press("Enter")
    expect(anna.locator("#here")).to_be_focused()


def test_page_says_calmly_what_is_away_and_goes_on_by_itself(anna, api, backups_page):
    anna.get_by_role("button", name="Restore fit.ipynb").click()
    api.goes_on(state="running", bytes=1, of_bytes=4)
    expect(anna.locator("#progress")).to_have_attribute("aria-valuenow", "25")
    api.stop()
    expect(anna.locator("#trouble")).to_contain_text("The service of backups does not answer at the moment")
    expect(rows(anna)).to_have_count(len(HOME))
    backups_page.stop()
    api.start()
    backups_page.start()
    api.goes_on(state="done", files=1, folder=FOLDER)
    expect(anna.locator("#what")).to_have_text("fit.ipynb is restored")
    expect(anna.locator("#trouble")).to_be_hidden()


def test_a_restore_that_ended_with_the_service_is_not_kept_quiet(anna, api):
    anna.get_by_role("button", name="Restore fit.ipynb").click()
    api.goes_on(state="running", bytes=1, of_bytes=4)
    expect(anna.locator("#progress")).to_have_attribute("aria-valuenow", "25")
    api.restores = []
    expect(anna.locator("#what")).to_have_text("fit.ipynb was not restored")
    expect(anna.locator("#result")).to_contain_text("was started again")


def test_nothing_is_written_again_while_nothing_changes(anna):
    anna.evaluate("""() => {
        window.changes = 0;
        const isOurs = (change) => change.attributeName !== "aria-busy";
        new MutationObserver((seen) => { window.changes += seen.filter(isOurs).length; })
            .observe(document.querySelector("#folder"), {subtree: true, childList: true, attributes: true});
    }""")
    with anna.expect_response(re.compile("api/folder")):
        look(anna)
    expect(anna.locator("#folder")).to_have_attribute("aria-busy", "false")
    assert anna.evaluate("window.changes") == 0


def test_who_logs_out_elsewhere_is_sent_to_log_in(anna, backups_page):
    other = anna.context.new_page()
    other.goto(f"http://localhost:{backups_page.hub.port}/hub/logout")
    look(anna)
    anna.wait_for_url("**/hub/login**")
