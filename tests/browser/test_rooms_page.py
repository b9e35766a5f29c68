"""The page of rooms in a browser, beside a real hub; where only looks matter, the hub's list of rooms is written by the
test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

import pytest
from picker_look import assert_looks_well
from playwright.sync_api import Page, expect
from support.browser import screenshot
from support.rooms_hub import REFUSED
from support.rooms_page import RoomsPage

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
LONG = "Averylongnamewithoutanyspaceinit" * 8
ANNA = {"name": "anna", "display_name": "Anna Rossi", "initials": "AR", "color": "#1f77b4"}
BORIS = {"name": "boris", "display_name": "Boris Novak", "initials": "BN", "color": "#2ca02c"}
CARLA = {"name": "carla", "display_name": "Carla Ferrari", "initials": "CF", "color": "#ff7f0e"}
NAMES = ("Dora Weiss", "Elif Demir", "Finn Olsen", "Gina Conti", "Hugo Marchand", *(f"P {n}" for n in range(15)))
COLOURS = ("#9467bd", "#e377c2", "#17becf", "#d62728", "#bcbd22")
CROWD = [{"name": name.lower(), "display_name": name, "initials": name[0] + name.split()[1][0],
          "color": COLOURS[index % 5]} for index, name in enumerate(NAMES)]  # fmt: skip


def room(name: str, state: str = "stopped", **more) -> dict:
    """A room as the hub tells of it."""
    return {"name": name, "title": name.upper(), "group": "cms", "state": state, "memory": 2**33, "cpus": 2.0,
            "url": f"http://localhost/user/room-{name}/", "image": "mlinfn/collab:0.1.0", "since": None, "inside": [],
            "gpus": {"offered": "0", "held": 0}, **more}  # fmt: skip


EVERY_STATE = [
    room("cms", "running", title="Higgs to two photons", inside=[ANNA, BORIS], since="2026-11-24T09:12:00Z",
         gpus={"offered": "1", "held": 1}),
    room("atlas", title="Trigger menu", group="atlas", gpus={"offered": "a100-sxm4-80gb:2", "held": 0}),
    room("ml", "starting", title="ML reading group", group="ml-infn/readers"),
    room("course", "running", title="Data analysis course", group="teaching", inside=CROWD, cpus=0.5),
    room("night", "stopping", title="Night shift", group="ml-infn/keepers"),
]  # fmt: skip


class Script:
    """The hub's list of rooms, as the test wants it."""

    def __init__(self, page: RoomsPage):
        self.file = page.folder / "rooms.json"

    def tell(self, rooms: Sequence[dict]) -> None:
        """From now on there are these."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"rooms": rooms}))
        new.replace(self.file)


@pytest.fixture
def script(rooms_page: RoomsPage) -> Iterator[Script]:
    """Call its `tell`; after the test the hub tells the truth again."""
    made = Script(rooms_page)
    yield made
    made.file.unlink(missing_ok=True)


@pytest.fixture
def member(rooms_page: RoomsPage, new_page: Callable[..., Page]) -> Callable[..., Page]:
    """Call it with a name for that person's browser, with the page of rooms open."""

    def make(name: str, **options) -> Page:
        page = new_page(**options)
        page.complaints = []
        page.on("console", lambda said: page.complaints.append(said.text) if "Security" in said.text else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(f"http://localhost:{rooms_page.hub.port}/hub/login")
        page.fill("#username_input", name)
        page.fill("#password_input", name)
        page.press("#password_input", "Enter")
        page.click("#rooms")
        expect(page.locator("#looking")).to_be_hidden()
        return page

    return make


@pytest.fixture
def anna(member: Callable[..., Page], rooms_page: RoomsPage) -> Iterator[Page]:
    """A member of cms on the page, and afterwards no room of theirs runs."""
    page = member("anna")
    yield page
    for name in ("room-cms", "room-broken"):
        if rooms_page.hub.api.server(name):
            rooms_page.hub.api.stop(name)
    (rooms_page.folder / "go").unlink(missing_ok=True)
    assert page.complaints == []


def card(page: Page, name: str):
    """The card of a room."""
    return page.locator(f"#room-{name}")


def look(page: Page) -> None:
    """The page asks now, and not in some seconds."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_looks_well(member, script, scheme):
    script.tell(EVERY_STATE)
    page = member("anna", color_scheme=scheme)
    expect(card(page, "cms")).to_contain_text("Anna Rossi and Boris Novak are inside.")
    assert_looks_well(page)
    card(page, "cms").get_by_role("button", name="Stop").click()
    expect(page.locator("#stopping")).to_contain_text("Anna Rossi and Boris Novak are inside.")
    assert_looks_well(page)


def test_picture_for_the_documentation(member, script):
    script.tell([{**EVERY_STATE[0], "since": None}, *EVERY_STATE[1:]])
    page = member("anna", viewport={"width": 1280, "height": 920})
    expect(card(page, "course")).to_contain_text("and 15 others are inside.")
    screenshot(page, "rooms")


def test_hostile_and_endless_names_are_text(member, script):
    people = [{"name": LONG, "display_name": LONG, "initials": LONG, "color": "red;background:url(//example.org)"},
              {"name": HOSTILE, "display_name": HOSTILE, "initials": "<b>", "color": "url(//example.org)"}]  # fmt: skip
    bad = room("bad", "running", title=HOSTILE, group=HOSTILE, inside=people, url="javascript:document.title='pwned'")
    script.tell([bad, room("long", title=LONG, group=LONG, gpus={"offered": f"{LONG}:2", "held": 0})])
    page = member("anna")
    expect(card(page, "bad").get_by_role("heading")).to_have_text(HOSTILE)
    assert card(page, "bad").locator("img, script").count() == 0
    expect(card(page, "bad").locator(".room-enter")).to_be_hidden()
    assert_looks_well(page)
    assert page.title() == "Rooms · ML-INFN"
    assert page.complaints == []


def test_thirty_rooms_fit(member, script):
    script.tell([room(f"r{number}", "running" if number % 2 else "stopped", inside=CROWD) for number in range(30)])
    page = member("anna")
    expect(page.locator(".room")).to_have_count(30)
    assert_looks_well(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_who_has_no_room_reads_why_and_whom_to_ask(member, scheme):
    page = member("dora", color_scheme=scheme)
    expect(page.locator("#none")).to_contain_text("None is for you, because you are in no group.")
    assert page.get_by_role("link", name="help@example.org").first.get_attribute("href") == "mailto:help@example.org"
    assert_looks_well(page)


def test_nothing_is_written_again_while_nothing_changes(member, script):
    script.tell(EVERY_STATE)
    page = member("anna")
    expect(page.locator(".room")).to_have_count(5)
    page.evaluate("""() => {
        window.changes = 0;
        new MutationObserver((seen) => { window.changes += seen.length; })
            .observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
    }""")
    for _ in range(3):
        with page.expect_response(re.compile("api/rooms$")):
            look(page)
    assert page.evaluate("window.changes") == 0
    script.tell(EVERY_STATE[1:])
    look(page)
    expect(page.locator(".room")).to_have_count(4)


def test_list_is_asked_for_every_few_seconds_and_not_while_nobody_looks(member, script):
    script.tell(EVERY_STATE[:1])
    page = member("anna")
    script.tell([{**EVERY_STATE[0], "inside": [CARLA]}])
    expect(card(page, "cms")).to_contain_text("Carla Ferrari is inside.", timeout=8000)
    page.evaluate("Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'})")
    look(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(6000)
    assert asked == []


def test_start_shows_how_far_it_is_and_goes_in(anna, member, rooms_page):
    boris = member("boris")
    card(anna, "cms").get_by_role("button", name="Start without a GPU").click()
    expect(card(anna, "cms")).to_contain_text("Fetching the image: 20 of 100 MB")
    expect(card(anna, "cms").get_by_role("progressbar", name="CMS")).to_have_attribute("aria-valuenow", "20")
    expect(anna.locator("#said")).to_have_text("CMS: Fetching the image: 20 of 100 MB")
    look(boris)
    expect(card(boris, "cms")).to_contain_text("Fetching the image: 20 of 100 MB")
    assert_looks_well(anna)
    rooms_page.let_go()
    anna.wait_for_url("**/user/room-cms/**")
    expect(anna).to_have_title("Lab")
    expect(card(boris, "cms")).to_contain_text("Running")
    assert boris.url == rooms_page.url, "who only looked on stays"
    card(boris, "cms").get_by_role("link", name="Enter").click()
    boris.wait_for_url("**/user/room-cms/**")
    anna.go_back()
    expect(card(anna, "cms")).to_contain_text("Running")
    anna.wait_for_timeout(1000)
    assert anna.url == rooms_page.url, "it goes in once, and not again when somebody comes back"


@pytest.mark.parametrize(("button", "gpus"), [("Start without a GPU", "0"), ("Start with 1 GPU", "1")])
def test_room_with_gpus_starts_with_or_without(anna, button, gpus):
    with anna.expect_request("**/start") as asked:
        card(anna, "cms").get_by_role("button", name=button).click()
    assert asked.value.post_data_json == {"gpus": gpus}
    expect(card(anna, "cms").get_by_role("button", name="Cancel")).to_be_enabled()
    card(anna, "cms").get_by_role("button", name="Cancel").click()
    expect(card(anna, "cms")).to_contain_text("Not running")
    expect(card(anna, "cms").get_by_role("alert")).to_be_hidden()


def test_start_that_fails_says_why_on_the_card(anna, rooms_page):
    card(anna, "broken").get_by_role("button", name="Start").click()
    rooms_page.let_go()
    expect(card(anna, "broken").get_by_role("alert")).to_have_text(REFUSED)
    expect(card(anna, "broken")).to_contain_text("Not running")
    assert_looks_well(anna)
    look(anna)
    expect(card(anna, "broken").get_by_role("alert")).to_have_text(REFUSED)
    card(anna, "broken").get_by_role("button", name="Start").click()
    expect(card(anna, "broken").get_by_role("alert")).to_be_hidden()


def test_keyboard_alone_starts_enters_and_stops(anna, rooms_page):
    start = card(anna, "cms").get_by_role("button", name="Start without a GPU: CMS")
    while not start.evaluate("button => button === document.activeElement"):
        anna.keyboard.press("Tab")
    anna.keyboard.press("Enter")
    rooms_page.let_go()
    anna.wait_for_url("**/user/room-cms/**")
    anna.goto(rooms_page.url)
    stop = card(anna, "cms").get_by_role("button", name="Stop")
    stop.focus()
    anna.keyboard.press("Enter")
    expect(anna.get_by_role("dialog", name="Stop CMS?")).to_contain_text("boris is inside.")
    expect(anna.get_by_role("button", name="Leave it running")).to_be_focused()
    anna.keyboard.press("Escape")
    expect(anna.locator("#stopping")).to_be_hidden()
    expect(stop).to_be_focused()
    anna.keyboard.press("Enter")
    anna.locator("#stopping").dispatch_event("close")  # that of the first time may come so late
    anna.keyboard.press("Shift+Tab")
    anna.keyboard.press("Enter")
    expect(card(anna, "cms")).to_contain_text("Not running")
    expect(anna.locator("#said")).to_have_text("CMS: stopping.")


def test_who_logs_out_elsewhere_is_sent_to_log_in(anna, rooms_page):
    other = anna.context.new_page()
    other.goto(f"http://localhost:{rooms_page.hub.port}/hub/logout")
    look(anna)
    anna.wait_for_url("**/hub/login**")


def test_page_goes_on_by_itself_when_there_is_an_answer_again(anna, rooms_page):
    rooms_page.stop()
    look(anna)
    expect(anna.locator("#trouble")).to_contain_text("The hub does not answer at the moment")
    expect(anna.locator(".room")).to_have_count(2)
    assert_looks_well(anna)
    rooms_page.start()
    expect(anna.locator("#trouble")).to_be_hidden(timeout=8000)
