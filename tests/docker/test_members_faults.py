"""What goes wrong while members get files back: nothing half ends well, and nobody's work is held up."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
import requests
from support.members_site import HUGE, Asked, MembersSite, Service
from support.places import free_ports
from support.wait import until

from jupyterhub_mlinfn.backup import state
from jupyterhub_mlinfn.backup.members import answers, copies, restores, trees
from jupyterhub_mlinfn.backup.place import Place
from jupyterhub_mlinfn.backup.state import State
from jupyterhub_mlinfn.backup.target import Run
from jupyterhub_mlinfn.backup.trouble import Trouble
from jupyterhub_mlinfn.settings import Settings

pytestmark = pytest.mark.docker


def may_remove(site: MembersSite) -> bool:
    """Whether copies may be removed from the first target at this moment."""
    try:
        with state.removing(site.place.state, site.url):
            return True
    except Trouble:
        return False


@pytest.fixture
def served(small_hub) -> Iterator[Callable[[Place], Asked]]:
    """Call it for zoe, who asks another service than the others do."""
    services = []

    def serve(place: Place) -> Asked:
        services.append(Service(place))
        return Asked(services[-1].port, small_hub.person("zoe", "cms"))

    yield serve
    for service in services:
        service.end()


@pytest.fixture
def stuck(zoe: Asked, small_hub) -> str:
    """The id of a restore of which the hub takes no more."""
    small_hub.takes.clear()
    id_ = zoe.begin("home", "huge").json()["id"]
    zoe.runs(id_)
    return id_


def test_a_restore_that_is_stopped_ends_at_once_and_leaves_nothing(members_site, zoe, small_hub, stuck):
    going = zoe.one(stuck, "running")
    assert 0 < going["bytes"] < going["of_bytes"] == HUGE
    assert not may_remove(members_site)
    assert not os.listdir(Path(members_site.url) / "locks"), "it would outlive who is killed"
    assert zoe.ask("DELETE", f"restores/{stuck}").status_code == 200
    ended = zoe.ended(stuck)
    assert (ended["state"], ended["words"], ended["folder"]) == ("stopped", "Stopped.", "")
    small_hub.takes.set()
    (received,) = small_hub.received
    until(lambda: received.end, 10, "the hub to see the end")
    assert received.end == "broken"
    until(lambda: may_remove(members_site), 10, "its end")
    assert zoe.ask("DELETE", f"restores/{stuck}").status_code == 200, "stopping twice is no fault"


def test_a_restore_is_stopped_while_it_is_counted(members_site, zoe, small_hub):
    with members_site.held():
        id_ = zoe.begin("home").json()["id"]
        assert zoe.one(id_, "counting")
        zoe.ask("DELETE", f"restores/{id_}")
        assert zoe.ended(id_)["state"] == "stopped"
    assert small_hub.received == []


def test_one_restore_for_a_person_and_few_for_all(members_service, zoe, outsider, small_hub, stuck):
    refused = zoe.begin("home", "analysis")
    assert (refused.status_code, refused.json()["message"]) == (
        409, "You are getting files back already. Wait until that is done, or stop it.")  # fmt: skip
    assert outsider.ask("DELETE", f"restores/{stuck}").status_code == 404
    assert outsider.get("restores") == {"restores": []}
    second = outsider.begin("home").json()["id"]
    third = Asked(members_service.port, small_hub.person("dora"))
    refused = third.begin("home")
    assert (refused.status_code, refused.json()["message"]) == (
        503, "Other people get files back at the moment. Try again in a few minutes.")  # fmt: skip
    small_hub.takes.set()
    assert (zoe.ended(stuck)["state"], outsider.ended(second)["state"]) == ("done", "done")
    assert third.restore("home")["state"] == "done"


def test_a_prune_holds_up_a_restore_and_not_who_looks(members_site, zoe):
    with members_site.held():
        assert zoe.folder("shared")["talk.pdf"]["may"]
        id_ = zoe.begin("shared").json()["id"]
        with pytest.raises(TimeoutError):
            until(lambda: zoe.one(id_, "running", "done", "failed"), 3, "a restore beside a prune")
    assert zoe.ended(id_)["state"] == "done"


def test_a_run_ends_well_beside_a_restore_and_removes_nothing(members_site, zoe, small_hub, stuck):
    run = members_site.one_run()
    run.unlock()
    assert run.snapshot("shared").snapshot
    run.check()
    before = State(members_site.url)
    assert run._without_old(before) == before, "it is for the next run"
    small_hub.takes.set()
    assert zoe.ended(stuck)["state"] == "done"
    assert run._without_old(before).tidied


def test_while_a_target_is_away_copies_are_taken_from_the_next(members_site, served, small_hub):
    place, away = members_site.of_hub(small_hub), Path(members_site.url).with_name("away")
    before = served(place)
    known = before.newest("home")
    words = {"place": "home", "snapshot": known, "path": ""}
    os.rename(members_site.url, away)
    try:
        zoe = served(place)
        assert zoe.newest("home") != known
        assert zoe.restore("home", "analysis")["state"] == "done"
        for lost in (zoe.ask("GET", "folder", params=words), before.ask("GET", "folder", params=words)):
            assert (lost.status_code, lost.json()["message"]) in ((503, copies.AWAY), (503, answers.UNREADABLE))
        alone = served(members_site.of_hub(small_hub, settings=Settings(backup={"targets": [members_site.url]})))
        none = alone.ask("GET", "dates", params={"place": "home"})
        assert (none.status_code, none.json()["message"]) == (503, copies.AWAY)
    finally:
        os.rename(away, members_site.url)


def test_words_of_the_hub_reach_the_member(zoe, small_hub):
    small_hub.refusal = 507, "There is no room for that."
    for path in ("huge", "analysis"):
        ended = zoe.restore("home", path)
        assert (ended["state"], ended["words"]) == ("failed", "There is no room for that.")


def test_a_hub_that_goes_away_in_the_middle_leaves_a_failed_restore(zoe, small_hub):
    small_hub.closes_after = 1 << 20
    ended = zoe.restore("home", "huge")
    assert (ended["state"], ended["words"]) == (
        "failed", "The hub does not answer any more. Nothing half was left; try again.")  # fmt: skip
    assert small_hub.received[0].end == "broken"


def test_a_copy_that_cannot_be_read_to_its_end_never_ends_as_a_whole(members_site, served, small_hub, tmp_path):
    """What was copied first is whole, and what came after it is damaged."""
    target, home = str(tmp_path / "damaged"), tmp_path / "data/homes/zoe"
    shutil.copytree(members_site.folder / "data/service", tmp_path / "data/service")
    place = members_site.of_hub(small_hub, sources=tmp_path / "data", settings=Settings(backup={"targets": [target]}))
    run = Run(place, place.restic(target), lambda told: None)
    Path(target).mkdir()
    run.known("")
    (home / "whole").mkdir(parents=True)
    (home / "whole/one.bin").write_bytes(os.urandom(2 << 20))
    run.snapshot("homes")
    first = set(Path(target, "data").rglob("*"))
    (home / "z.bin").write_bytes(os.urandom(20 << 20))
    run.snapshot("homes")
    for pack in set(Path(target, "data").rglob("*")) - first:
        if pack.is_file() and pack.stat().st_size > 1 << 20:
            pack.chmod(0o600)
            pack.write_bytes(bytes(pack.stat().st_size))
    zoe = served(place)
    for path in ("z.bin", ""):
        ended = zoe.restore("home", path)
        assert (ended["state"], ended["words"], ended["folder"]) == ("failed", restores.UNREADABLE, "")
    (received,) = small_hub.received
    assert (received.words["into"], received.end, len(received.data) > 1 << 20) == ("home", "broken", True)
    assert zoe.restore("home", "whole")["state"] == "done"


def test_one_file_beside_thousands_of_folders_is_found_at_once(members_site, small_hub, tmp_path):
    """Folders come first in a list, which has an end: the file is looked for once more, and what follows it is left."""
    target, home = str(tmp_path / "many"), tmp_path / "data/homes/zoe"
    for number in range(trees.MOST + 400):
        (home / f"d{number:04}").mkdir(parents=True)
    (home / "a.txt").write_text("here")
    Path(target).mkdir()
    place = members_site.of_hub(small_hub, sources=tmp_path / "data", settings=Settings(backup={"targets": [target]}))
    run = Run(place, place.restic(target), lambda told: None)
    run.known("")
    taken, known = run.snapshot("homes"), copies.Copies(place)
    began = time.monotonic()
    assert trees.Trees(known).node(known.one("homes", taken.snapshot), "zoe/a.txt").size == 4
    assert time.monotonic() - began < 30


def test_all_restores_end_with_the_service(members_site, small_hub):
    port, now = free_ports(), datetime.now(timezone.utc).isoformat()
    for url in (members_site.url, members_site.second):  # no run is due
        state.save(members_site.place.state, State(url, begun=now, ended=now))
    program = members_site.program("serve")
    program.environment |= {"MLINFN_BACKUP_HUB": small_hub.api, "MLINFN_BACKUP_PORT": str(port)}
    program.start()
    zoe = Asked(port, small_hub.person("zoe"))
    try:
        until(lambda: is_up(port), 30, "the service to answer")
        small_hub.takes.clear()
        id_ = zoe.begin("home", "huge").json()["id"]
        zoe.runs(id_)
    finally:
        program.stop(10)
    small_hub.takes.set()
    until(lambda: small_hub.received[0].end, 10, "the hub to see the end")
    assert (small_hub.received[0].end, program.process.returncode) == ("broken", 0)
    assert zoe.token not in program.text()


def is_up(port: int) -> bool:
    """Whether the service tells that it is well."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_the_last_few_restores_are_shown(zoe):
    ids = [zoe.restore("home", "run.sh")["id"] for _ in range(6)]
    assert [each["id"] for each in zoe.get("restores")["restores"]] == ids[:0:-1]
