"""Two people in two browsers edit one notebook in their group's room; a third, of another group, is kept out."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect
from support.browser import OPEN_SOCKET, screenshot
from support.editors import write_notebook
from support.rooms_site import HOST

pytestmark = [pytest.mark.browser, pytest.mark.docker, pytest.mark.timeout(300)]
ROOM = "room-cms"
TEXT = ".jp-Notebook .jp-Cell:first-child .cm-content"
OUTPUT = ".jp-Notebook .jp-OutputArea-output"
# The hub's API, as a page of the hub may use it.
ASK = """async ([method, path]) => {
  const headers = {"X-XSRFToken": window.jhdata.xsrf_token};
  const answer = await fetch("/hub/api/" + path, {method, headers});
  return [answer.status, await answer.text()];
}"""


def see_rooms(page: Page) -> None:
    """From the hub's home to the page of rooms."""
    page.goto(page.url.split("/hub/")[0] + "/hub/home")
    page.click("#rooms")


def enter(page: Page) -> None:
    """Through the page of rooms into the room, which is started if it does not run."""
    see_rooms(page)
    card = page.locator(f"#{ROOM}")
    card.get_by_role("link", name="Enter").or_(card.get_by_role("button", name="Start")).first.click()
    page.wait_for_url(re.compile(rf"//{ROOM}\.{HOST}:\d+/user/{ROOM}/lab"), timeout=60_000)


def open_notebook(page: Page) -> None:
    """The notebook, ready to be typed in."""
    page.goto(page.url.split("/lab")[0] + "/lab/tree/shared.ipynb")
    page.wait_for_selector(TEXT)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Idle")


@pytest.fixture(scope="module")
def together(rooms_site):
    """Whoever enters first starts the room; then the notebook is there."""

    def make(*pages: Page) -> None:
        for page in pages:
            enter(page)
        write_notebook(rooms_site.api.lab(ROOM), "shared.ipynb", "print(6 * 7)\n")
        for page in pages:
            open_notebook(page)

    return make


def test_two_people_see_each_other_type_and_one_output(visitor, together, rooms_site):
    anna, boris = visitor("anna"), visitor("boris")
    together(anna, boris)
    assert "token" not in anna.url
    anna.click(TEXT)
    anna.keyboard.press("Control+End")
    expect(boris.locator(".jp-remote-userFlag-name")).to_have_text("anna")
    boris.click(TEXT)
    boris.keyboard.press("Control+Home")
    expect(anna.locator(".jp-remote-userFlag-name")).to_have_text("boris")
    for left, right in zip("# boris was here", "# anna was here ", strict=True):
        boris.keyboard.type(left)
        anna.keyboard.type(right)
    boris.keyboard.press("Enter")
    lines = ["# boris was here", "print(6 * 7)", "# anna was here "]
    for page in (anna, boris):
        expect(page.locator(f"{TEXT} .cm-line")).to_have_text(lines)
    screenshot(boris, "together")
    anna.keyboard.press("Control+Enter")
    for page in (anna, boris):
        expect(page.locator(OUTPUT)).to_have_text(["42\n"])
    rooms = rooms_site.api.request("GET", "/mlinfn/rooms").json()["rooms"]
    inside = {room["name"]: [person["name"] for person in room["inside"]] for room in rooms}
    assert inside["cms"] == ["anna", "boris"]


def test_who_is_not_of_the_group_is_refused_everywhere(visitor, together, rooms_site):
    anna, carla = visitor("anna"), visitor("carla")
    together(anna)
    base = f"http://{ROOM}.{HOST}:{rooms_site.port}/user/{ROOM}/"
    kernel = rooms_site.api.lab(ROOM).request("POST", "api/kernels", json={"name": "python3"}).json()["id"]
    socket = f"{base.replace('http', 'ws')}api/kernels/{kernel}/channels"
    assert anna.evaluate(OPEN_SOCKET, socket) == "open"
    see_rooms(carla)
    expect(carla.locator("#room-atlas")).to_be_visible()
    expect(carla.locator(f"#{ROOM}")).to_have_count(0)
    answer = carla.goto(base + "lab")
    assert answer.status == 403
    expect(carla.locator("body")).not_to_contain_text("shared.ipynb")
    assert carla.evaluate(OPEN_SOCKET, socket) == "refused"
    carla.goto(f"http://{HOST}:{rooms_site.port}/hub/home")
    server = f"users/{ROOM}/server"
    assert [carla.evaluate(ASK, [method, server])[0] for method in ("POST", "DELETE")] == [404, 404]
    status, text = carla.evaluate(ASK, ["GET", "mlinfn/rooms"])
    assert (status, [room["name"] for room in json.loads(text)["rooms"]]) == (200, ["atlas"])
    assert rooms_site.api.server(ROOM)["ready"]
