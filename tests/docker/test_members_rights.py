"""What members must not get out of copies: what they could not read live, what is others', what lies elsewhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.backups import DEEP
from support.members_site import Asked, Service
from support.restored_hub import RestoredHub

pytestmark = pytest.mark.docker
READABLE = {"shared.txt": b"ours\n", "for-zoe.txt": b"for zoe"}
NO_COPY = "There is no such copy. Load the page again, and pick another date."


def test_of_a_group_s_folder_only_what_could_be_read_live_is_shown_as_theirs(zoe):
    found = {name: each["may"] for name, each in zoe.folder("groups/cms").items()}
    assert found == {"closed": False, "open": True, "for-zoe.txt": True, "not-zoe.txt": False, "private.txt": False,
                     "shared.txt": True}  # fmt: skip
    assert {name: each["may"] for name, each in zoe.folder("groups/cms", "open").items()} == {
        "deeper": True, "mine.txt": False}  # fmt: skip


def test_of_a_group_s_folder_only_what_could_be_read_live_comes_back(zoe, small_hub):
    done = zoe.restore("groups/cms")
    (received,) = small_hub.received
    assert (done["state"], done["files"], received.end) == ("done", 1, "whole")
    assert received.words["into"] == "groups/cms"
    assert set(received.files()) == {*READABLE, "open", "open/deeper", "open/deeper/inside.txt"}
    assert {name: received.content(name) for name in READABLE} == READABLE
    assert received.files()["for-zoe.txt"].pax_headers["SCHILY.acl.access"].startswith("user::rw-\nuser:71001:r--")
    for secret in (b"of boris alone", b"for all but zoe", b"boris again"):
        assert secret not in received.data
    zoe.restore("groups/cms", "open/deeper")
    assert list(small_hub.received[1].files()) == ["inside.txt"]


@pytest.mark.parametrize("path", ["private.txt", "not-zoe.txt", "closed", "closed/deeper", "closed/deeper/inside.txt",
                                  "open/mine.txt"])  # fmt: skip
def test_what_could_not_be_read_live_is_refused_on_its_own(zoe, small_hub, path):
    refused = zoe.begin("groups/cms", path)
    assert (refused.status_code, "could not read this where it was" in refused.text) == (403, True)
    assert small_hub.received == []


def test_a_closed_folder_is_not_looked_into(zoe):
    for path in ("closed", "closed/deeper"):
        looked = zoe.ask("GET", "folder", params={"place": "groups/cms", "snapshot": zoe.newest("groups/cms"),
                                                  "path": path})  # fmt: skip
        assert looked.status_code == 403


def test_a_room_and_what_is_shared_come_as_they_are_seen_there(zoe, small_hub):
    assert zoe.folder("rooms/cms")["notebook.ipynb"]["may"]
    assert zoe.restore("rooms/cms")["state"] == "done"
    assert zoe.restore("shared")["state"] == "done"
    assert [(list(each.files()), each.words["into"]) for each in small_hub.received] == [
        (["notebook.ipynb"], "rooms/cms"), (["talk.pdf"], "shared")]  # fmt: skip


def test_who_is_in_no_group_has_a_home_alone(outsider, zoe):
    assert [each["name"] for each in outsider.get("places")["places"]] == ["home", "shared"]
    assert list(outsider.folder("home")) == []
    for place in ("groups/cms", "groups/theory", "rooms/cms", "homes", "home/../zoe", "groups/../homes/zoe", ""):
        words = {"place": place, "snapshot": zoe.newest("home"), "path": ""}
        for asked in (outsider.ask("GET", "folder", params=words), outsider.ask("POST", "restores", json=words)):
            assert (asked.status_code, asked.json()) == (404, {"message": "There is no such place of yours."}), place


def test_who_has_left_a_group_has_its_folder_no_more(members_service, small_hub):
    left = Asked(members_service.port, small_hub.person("zoe"))
    assert [each["name"] for each in left.get("places")["places"]] == ["home", "shared"]


def test_copies_of_other_kinds_and_other_instances_are_as_if_they_were_not_there(members_site, zoe):
    restic = members_site.place.restic(members_site.url)
    home = str(members_site.folder / "data/homes")
    for words in (("--host=elsewhere", "--tag=kind:homes"), ("--host=mlinfn",), ("--host=mlinfn", "--tag=kind:x")):
        restic.ask("backup", *words, home)
    said = restic.ask("snapshots")
    others = [each["id"] for each in said if each["hostname"] != "mlinfn" or "kind:homes" not in each.get("tags", ())]
    assert len(others) >= 6
    for snapshot in (*others, "0" * 64, "latest", others[0][:8], "", zoe.newest("home").upper()):
        words = {"place": "home", "snapshot": snapshot, "path": ""}
        for asked in (zoe.ask("GET", "folder", params=words), zoe.ask("POST", "restores", json=words)):
            assert (asked.status_code, asked.json()) == (404, {"message": NO_COPY}), snapshot


@pytest.mark.parametrize(("path", "status"), [
    ("../boris", 400), ("analysis/../../boris", 400), ("/etc", 400), ("analysis/", 400), ("analysis//plots", 400),
    (".", 400), ("an\0alysis", 400), ("/".join(["d" * 200] * 30), 400), ("d/" * 70 + "d", 400), (DEEP, 200),
    ("a" * 3990, 404), ("a" * 250 + "/" + "b" * 250 + "/c", 404), ("way", 404), ("way/notebook.ipynb", 404),
    ("closed", 404), ("link/x", 404), ("nothing", 404), ("analysis:/plots", 404), ("--help", 404), ("*", 404),
])  # fmt: skip
def test_paths_lead_into_the_home_or_nowhere(zoe, path, status):
    looked = zoe.ask("GET", "folder", params={"place": "home", "snapshot": zoe.newest("home"), "path": path})
    assert (looked.status_code, set(looked.json()) & {"message"}) == (status, {"message"} if status > 200 else set())
    if "/" in path and status != 200:
        assert zoe.begin("home", path).status_code == status


def test_who_the_hub_does_not_name_gets_nothing(members_service, small_hub):
    without = {"scopes": ["access:services!service=collab"]}
    for token in ("", "unknown", "bad token\t", small_hub.person("zoe", "cms", **without),
                  small_hub.person("zoe", "cms", kind="service"), small_hub.person("room-cms", "cms"),
                  small_hub.person("zoe", groups=None)):  # fmt: skip
        somebody = Asked(members_service.port, token)
        for method, path in (("GET", "places"), ("GET", "restores"), ("POST", "restores"), ("DELETE", "restores/x")):
            assert somebody.ask(method, path).status_code == 403


def test_the_hub_is_asked_once_in_a_while(members_site):
    hub = RestoredHub()
    hub.start()
    service = Service(members_site.of_hub(hub))
    zoe = Asked(service.port, hub.person("zoe"))
    try:
        for _ in range(5):
            assert zoe.get("restores") == {"restores": []}
        assert hub.asked == 1
        hub.stop()
        assert zoe.get("restores") == {"restores": []}
        away = Asked(service.port, "another").ask("GET", "places")
        assert (away.status_code, away.json()["message"]) == (
            503, "The hub does not answer at the moment. Try again in a minute.")  # fmt: skip
    finally:
        hub.stop()
        service.end()


def test_questions_that_make_no_sense_are_refused_in_words(zoe, members_service):
    snapshot = zoe.newest("home")
    for words in ({}, {"place": "home"}, {"place": ["home", "home"], "snapshot": snapshot, "path": ""}):
        assert zoe.ask("GET", "folder", params=words).json() == {"message": "Say place, snapshot, path, each once."}
    for body in (b"", b"[]", b"{", b"[" * 9000, b'{"place": 1, "snapshot": "", "path": ""}', b"\xff"):
        assert zoe.ask("POST", "restores", data=body).status_code == 400
    assert zoe.ask("POST", "restores", data=b"x" * 20000).status_code == 400
    for method, path in (("GET", "else"), ("POST", "places"), ("DELETE", "restores/1"), ("DELETE", "places")):
        assert zoe.ask(method, path).status_code == 404


def test_one_person_s_questions_do_not_take_all_turns(zoe):
    snapshot, paths = zoe.newest("home"), ["/".join(DEEP.split("/")[:depth]) for depth in range(1, 16)]

    def status(path: str) -> int:
        return zoe.ask("GET", "folder", params={"place": "home", "snapshot": snapshot, "path": path}).status_code

    with ThreadPoolExecutor(len(paths)) as threads:
        assert set(threads.map(status, paths)) == {200, 503}
    assert status(paths[-1]) == 200
