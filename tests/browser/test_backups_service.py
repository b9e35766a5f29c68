"""The page of backups beside a real hub, asked as its script asks: who comes in, what is refused, what is passed on."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from support.backups_page import BackupsPage
from support.members_api import restored
from support.service_page import PageMember
from support.wait import until

pytestmark = pytest.mark.browser
SNAPSHOT = "5c1f0a77" * 8
ODD = " a&b=c#d?%41+é/'\"<b>\n\t/‮.ipynb "
WANTED = {"place": "home", "snapshot": SNAPSHOT, "path": ODD}


@pytest.fixture(scope="module")
def anna(backups_page: BackupsPage) -> PageMember:
    """A member who has opened the page."""
    return backups_page.member("anna")


@pytest.fixture(autouse=True)
def _nothing_happened(backups_page: BackupsPage) -> None:
    api = backups_page.api
    api.places, api.restores, api.wanted, api.refusals = [{"name": "home", "title": "My home"}], [], [], {}


def test_member_comes_in_through_the_hub_and_no_address_has_a_token(backups_page, anna):
    assert (anna.answer.status_code, anna.answer.url) == (200, backups_page.url)
    assert urlsplit(backups_page.url).hostname == "backup--service.localhost"
    assert anna.ask("places").json() == {"places": [{"name": "home", "title": "My home"}]}
    hops = " ".join(hop.url for hop in anna.answer.history)
    assert not any(cookie.value in hops for cookie in anna.browser.session.cookies)


def test_hubs_pages_and_its_own_host_lead_there(backups_page, anna):
    assert anna.browser.get("/services/backup/").url == backups_page.url
    for path in ("/hub/home", "/hub/token"):
        assert f'href="{backups_page.url}"' in anna.browser.get(path).text


def test_page_runs_no_script_but_its_own_and_is_in_no_frame(anna):
    headers = anna.answer.headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert (policy["script-src"], headers["Cache-Control"]) == ("'self'", "no-store")


@pytest.mark.parametrize("headers", [
    {"X-XSRFToken": ""}, {"X-XSRFToken": "2|1:0|10:forged"}, {"Origin": "http://evil.example.org"}, {"Origin": "null"},
    {"Origin": "http://anna.localhost"},
])  # fmt: skip
def test_order_of_another_page_is_refused(backups_page, anna, headers):
    backups_page.api.restores = [restored("r1", "running")]
    assert anna.ask("restores", "POST", json=WANTED, headers=headers).status_code == 403
    assert anna.ask("restores/r1", "DELETE", headers=headers).status_code == 403
    assert (backups_page.api.wanted, backups_page.api.restores[0]["state"]) == ([], "running")


def test_answers_are_for_the_page_alone(backups_page, anna):
    assert anna.ask("places", headers={"X-XSRFToken": ""}).status_code == 401
    assert anna.ask("places", headers={"Origin": "http://evil.example.org"}).status_code == 403
    boris = backups_page.member("boris")
    assert anna.ask("restores", "POST", json=WANTED, headers={"X-XSRFToken": boris.xsrf}).status_code == 403


def test_who_is_not_signed_in_is_sent_to_the_hub(backups_page, anna):
    stranger = PageMember(backups_page.hub.port, backups_page.url, "")
    assert urlsplit(stranger.open().url).path == "/hub/login"
    assert stranger.ask("places").status_code == 401
    token = anna.browser.api().session.headers["Authorization"]
    assert stranger.ask("places", headers={"Authorization": token}).status_code == 401
    assert stranger.ask("restores", "POST", json=WANTED).status_code == 403


def test_who_logs_out_at_the_hub_is_out_here(backups_page):
    boris = backups_page.member("boris")
    boris.browser.get("/hub/logout")
    assert boris.ask("places").status_code == 401
    assert urlsplit(boris.open().url).path == "/hub/login"


def test_names_are_passed_on_as_they_are(backups_page, anna):
    backups_page.api.folders["home", SNAPSHOT, ODD] = {"entries": [], "more": False}
    words = "&".join(f"{name}={quote(word, safe='')}" for name, word in WANTED.items())
    assert anna.ask(f"folder?{words}").json() == {"entries": [], "more": False}
    assert anna.ask("restores", "POST", json=WANTED).status_code == 202
    assert backups_page.api.wanted == [WANTED]
    assert anna.ask("restores").json()["restores"][0]["state"] == "counting"
    assert anna.ask("restores/r1", "DELETE").status_code == 200
    assert backups_page.api.restores[0]["state"] == "stopped"


@pytest.mark.parametrize("body", [
    b"{", b"[]", b"\xff", b"{}", json.dumps({**WANTED, "path": 1}).encode(), json.dumps({**WANTED, "to": "/"}).encode(),
])  # fmt: skip
def test_order_that_is_none_is_refused_in_words(backups_page, anna, body):
    answer = anna.ask("restores", "POST", data=body)
    assert (answer.status_code, "snapshot" in answer.json()["message"]) == (400, True)
    assert backups_page.api.wanted == []


@pytest.mark.parametrize(("path", "status"), [
    ("folder?place=home&path=%ff", 400), (f"folder?place=home&path={'a' * 5000}", 400), ("folder", 404),
    ("restores/nothing", 405), ("restores/..%2Fplaces", 404), ("..%2Fplaces", 404), ("nothing", 404),
])  # fmt: skip
def test_question_that_is_none_is_refused_in_words(anna, path, status):
    answer = anna.ask(path)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (status, "no-store")
    assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize(("status", "told"), [(403, 403), (404, 404), (409, 409), (503, 503), (401, 401)])
def test_refusal_keeps_its_words_unless_it_is_of_the_token(backups_page, anna, status, told):
    backups_page.api.refusals["POST restores"] = status, "You could not read this where it was."
    answer = anna.ask("restores", "POST", json=WANTED)
    assert answer.status_code == told
    assert answer.json()["message"].startswith("You are logged out." if status == 401 else "You could not read this")


def test_token_of_the_service_is_in_no_environment_and_no_log(backups_page, anna):
    token = (backups_page.folder / "secrets/hub/backup_page_token").read_text().strip().encode()
    process = Path("/proc") / str(backups_page.process.pid)
    said = (process / "environ").read_bytes() + (process / "cmdline").read_bytes() + backups_page.text().encode()
    assert token not in said
    assert b"code=" not in said


def test_what_is_away_is_named_calmly(backups_page, anna):
    backups_page.api.stop()
    answer = anna.ask("places")
    assert (answer.status_code, answer.json()["message"][:22]) == (503, "The service of backups")
    backups_page.api.start()
    assert anna.ask("places").ok
    backups_page.stop()
    backups_page.start()  # or what the hub said last counts for half a minute
    backups_page.hub.stop()
    cookies = "; ".join(f"{each.name}={each.value}" for each in anna.browser.session.cookies if "backup" in each.path)
    answer = anna.browser.session.get(backups_page.itself, headers={
        "Host": urlsplit(backups_page.url).netloc, "Cookie": cookies})  # fmt: skip
    assert (answer.status_code, "The hub does not answer at the moment" in answer.text) == (503, True)
    backups_page.hub.start()  # which is there before its proxy knows the way to the page
    until(lambda: anna.ask("places").ok, 30, "the page to answer: nobody was logged out by that")
