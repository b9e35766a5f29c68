"""The page of rooms beside a real hub, asked as its script asks: who comes in, what is refused, what happens when."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.rooms_hub import REFUSED
from support.rooms_page import Member, RoomsPage, running_rooms
from support.wait import until

# With the browser's tests of this page, whose hub they share, and not in the part that is to take seconds.
pytestmark = pytest.mark.browser
AWAY = "The hub does not answer at the moment"


@pytest.fixture
def anna(rooms_page: RoomsPage) -> Member:
    """A member of cms who has opened the page."""
    return rooms_page.member("anna")


@pytest.fixture
def running(rooms_page: RoomsPage, anna: Member) -> Iterator[str]:
    """A room that runs, started from the page."""
    anna.start("cms")
    rooms_page.let_go()
    until(lambda: anna.rooms()["cms"]["state"] == "running", 30, "the room to run")
    yield "cms"
    if anna.rooms()["cms"]["state"] != "stopped":
        anna.stop("cms")


def stranger_of(page: RoomsPage) -> Member:
    """Somebody who is not logged in."""
    return Member(page.hub.port, page.url, "")


def test_member_comes_in_through_the_hub_and_no_address_has_a_token(rooms_page, anna):
    assert anna.answer.ok
    assert anna.answer.url == rooms_page.url
    assert urlsplit(anna.answer.url).hostname == "collab--service.localhost"
    assert set(anna.rooms()) == {"cms", "broken"}
    hops = [hop.url for hop in anna.answer.history]
    assert any("code_challenge" in url for url in hops)
    for cookie in anna.browser.session.cookies:
        assert cookie.value not in " ".join(hops)
    assert set(rooms_page.member("carla").rooms()) == {"atlas"}
    assert rooms_page.member("dora").rooms() == {}


def test_address_on_the_hubs_own_host_leads_there(rooms_page, anna):
    assert anna.browser.get("/services/collab/").url == rooms_page.url
    assert anna.browser.get("/services/collab").url == rooms_page.url


def test_hubs_pages_link_to_the_page(rooms_page, anna):
    for path in ("/hub/home", "/hub/token"):
        assert f'href="{rooms_page.url}"' in anna.browser.get(path).text


def test_page_may_not_be_framed_nor_kept_and_runs_no_script_but_its_own(anna):
    headers = anna.answer.headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers
    assert "<script>" not in anna.answer.text
    for name in anna.browser.session.cookies:
        if name.name == "service-collab":
            assert (name.has_nonstandard_attr("HttpOnly"), name.path) == (True, "/services/collab/")


@pytest.mark.parametrize("what", ["start", "stop"])
@pytest.mark.parametrize("headers", [
    {"X-XSRFToken": ""}, {"X-XSRFToken": "2|1:0|10:forged"}, {"Origin": "http://evil.example.org"}, {"Origin": "null"},
    {"Origin": "http://anna.localhost"},
])  # fmt: skip
def test_order_of_another_page_is_refused(anna, what, headers):
    answer = anna.ask(f"/cms/{what}", "POST", json={}, headers=headers)
    assert answer.status_code == 403
    assert anna.rooms()["cms"]["state"] == "stopped"


def test_token_of_another_person_is_no_help_against_that(rooms_page, anna):
    boris = rooms_page.member("boris")
    assert anna.ask("/cms/start", "POST", json={}, headers={"X-XSRFToken": boris.xsrf}).status_code == 403


def test_list_is_for_the_page_alone(anna):
    assert anna.ask(headers={"X-XSRFToken": ""}).status_code == 401
    assert anna.ask(headers={"Origin": "http://evil.example.org"}).status_code == 403


@pytest.mark.parametrize("path", ["/atlas/start", "/atlas/stop", "/nothing/start", "/cms%2Fx/start", "/..%2Fadmin/stop",
                                  "/CMS/start"])  # fmt: skip
def test_room_that_is_not_yours_or_not_there_is_not_found(anna, path):
    answer = anna.ask(path, "POST", json={})
    assert answer.status_code == 404
    assert "users" not in answer.text


def test_progress_of_a_room_of_others_is_not_told(anna):
    assert anna.ask("/atlas/progress").status_code == 404


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"gpus": 1}', b'{"image": "x"}', b'{"gpus": "%s"}' % (b"9" * 100)])
def test_order_that_is_none_is_refused_in_words(anna, body):
    answer = anna.ask("/cms/start", "POST", data=body)
    assert (answer.status_code, "gpus" in answer.json()["message"]) == (400, True)


def test_order_that_is_too_long_is_cut_off(anna):
    assert not anna.ask("/cms/start", "POST", data=b"x" * 2**17).ok
    assert anna.rooms()["cms"]["state"] == "stopped"


def test_who_is_not_signed_in_is_sent_to_the_hub(rooms_page):
    stranger = stranger_of(rooms_page)
    assert urlsplit(stranger.open().url).path == "/hub/login"
    for headers in ({}, {"Cookie": "service-collab=forged"}):
        assert stranger.ask(headers=headers).status_code == 401
    assert stranger.ask("/cms/start", "POST").status_code == 403


def test_token_that_is_not_in_our_cookie_does_not_count(rooms_page, anna):
    token = anna.browser.api().session.headers["Authorization"]
    stranger = stranger_of(rooms_page)
    assert stranger.ask(headers={"Authorization": token}).status_code == 401
    assert stranger.ask(f"?token={token.split()[1]}", headers={"Sec-Fetch-Mode": "websocket"}).status_code == 401


def test_start_is_told_as_it_goes_and_ends_in_a_room_that_runs(rooms_page, anna):
    anna.start("cms")
    events = anna.events("cms")
    assert next(each for each in events if each["progress"]) == {
        "progress": 20, "message": "Fetching the image: 20 of 100 MB"}  # fmt: skip
    assert anna.rooms()["cms"]["state"] == "starting"
    assert rooms_page.member("boris").rooms()["cms"]["state"] == "starting"
    rooms_page.let_go()
    assert list(events)[-1]["ready"] is True
    room = anna.rooms()["cms"]
    assert (room["state"], [each["name"] for each in room["inside"]]) == ("running", ["boris"])
    assert anna.browser.session.get(room["url"]).text.endswith("the lab of the room")
    anna.stop("cms")


def test_start_that_fails_says_why(rooms_page, anna):
    anna.start("broken")
    rooms_page.let_go()
    last = list(anna.events("broken"))[-1]
    assert last["failed"]
    assert REFUSED in last["message"]
    assert anna.ask("/broken/progress").headers["Content-Type"].startswith("text/event-stream"), "told to who asks late"


def test_refusal_of_the_hub_is_told_in_its_words(anna, running):
    answer = anna.ask("/cms/start", "POST", json={})
    assert (answer.status_code, "already running" in answer.json()["message"]) == (400, True)


def test_start_that_is_under_way_can_be_cancelled(anna):
    anna.start("cms")
    anna.stop("cms")


def test_who_logs_out_at_the_hub_is_out_here(anna):
    anna.browser.get("/hub/logout")
    assert anna.ask().status_code == 401
    assert urlsplit(anna.open().url).path == "/hub/login"


def test_login_that_was_used_already_is_told_in_words(rooms_page, anna):
    answer = anna.browser.session.get(f"{rooms_page.url}oauth_callback?code=old&state=old")
    assert answer.status_code in (200, 403)
    stranger = stranger_of(rooms_page)
    answer = stranger.browser.session.get(f"{rooms_page.url}oauth_callback?code=old&state=old")
    assert (answer.status_code, "Start again" in answer.text) == (403, True)


def test_other_addresses_are_not_there(rooms_page, anna):
    for path in ("nothing", "static/rooms.html", "api/rooms/cms"):
        answer = anna.browser.session.get(f"{rooms_page.url}{path}")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-store")
    assert anna.ask("/cms/start").status_code == 405


def test_who_comes_into_a_group_later_gets_its_rooms_without_logging_out(rooms_page):
    dora = rooms_page.member("dora")
    assert dora.rooms() == {}
    rooms_page.hub.api.request("POST", "/groups/atlas/users", json={"users": ["dora"]})
    rooms_page.stop()  # or what the hub said last counts for half a minute
    rooms_page.start()
    until(lambda: dora.ask().status_code == 401, 30, "the page to be told that it has to be loaded again")
    assert urlsplit(dora.open().url).path == "/services/collab/"
    assert set(dora.rooms()) == {"atlas"}
    rooms_page.hub.api.request("DELETE", "/groups/atlas/users", json={"users": ["dora"]})
    assert dora.rooms() == {}


def test_token_of_the_service_is_in_no_environment_and_no_command(rooms_page):
    token = (rooms_page.folder / "secrets/hub/collab_token").read_text().strip().encode()
    process = Path("/proc") / str(rooms_page.process.pid)
    assert token not in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    assert token not in rooms_page.text().encode()
    assert "code=" not in rooms_page.text()


def test_page_waits_for_a_hub_that_is_away_and_its_own_restart_logs_nobody_out(rooms_page, anna):
    rooms_page.stop()
    rooms_page.start()
    rooms_page.hub.stop()
    direct = {"Host": urlsplit(rooms_page.url).netloc}  # the hub of the test has taken its proxy with it
    at = f"http://127.0.0.1:{rooms_page.settings.port + 7}/services/collab/"
    cookies = "; ".join(f"{each.name}={each.value}" for each in anna.browser.session.cookies if "collab" in each.path)
    answer = anna.browser.session.get(at, headers={**direct, "Cookie": cookies})
    assert (answer.status_code, AWAY in answer.text) == (503, True)
    assert 'http-equiv="refresh"' in answer.text
    answer = anna.browser.session.get(f"{at}api/rooms", headers={**direct, "Cookie": cookies})
    assert (answer.status_code, answer.json()["message"].startswith(AWAY)) == (503, True)
    rooms_page.hub.start()  # which is there before its proxy knows the way to the page
    until(lambda: "json" in anna.ask().headers["Content-Type"], 30, "the proxy to lead to the page")
    assert set(anna.rooms()) == {"cms", "broken"}


def test_service_ends_at_once_when_it_is_told_to(rooms_page, anna):
    anna.start("cms")
    next(anna.events("cms"))
    rooms_page.process.send_signal(signal.SIGTERM)
    assert rooms_page.wait(10) == 0
    rooms_page.start()
    assert anna.rooms()["cms"]["state"] == "starting"
    anna.stop("cms")


def test_without_subdomains_the_page_is_on_the_hubs_host_and_only_for_whom_the_hub_lets(tmp_path, proxy_command):
    extra = "c.JupyterHub.extra_user_scopes = set()\nc.JupyterHub.load_roles += [{'name': 'some', 'users': ['anna'], "
    extra += "'scopes': ['access:services!service=collab']}]"
    with running_rooms(tmp_path, proxy_command, subdomains=False, extra=extra) as page:
        anna = page.member("anna")
        assert anna.answer.url == f"http://localhost:{page.hub.port}/services/collab/"
        assert set(anna.rooms()) == {"cms", "broken"}
        carla = page.member("carla")
        assert carla.answer.status_code == 403
        assert carla.ask().status_code == 401
