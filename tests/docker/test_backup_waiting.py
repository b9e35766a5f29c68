"""A keeper types a verb while the service works on the same target: the verb waits for its turn, and says so."""

from __future__ import annotations

import contextlib

import pytest
from support.backup_site import BackupSite

from jupyterhub_mlinfn.backup import state, verbs
from jupyterhub_mlinfn.backup.target import snapshots
from jupyterhub_mlinfn.backup.trouble import Trouble

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part


@pytest.fixture
def site(backup_site: BackupSite) -> BackupSite:
    """A target that has had a run."""
    return backup_site


def typed(site: BackupSite, *words: str, lock=state.alone) -> tuple[object, list[str]]:
    """What a verb answered, and the steps that it told. The target is in use until it has said that it waits."""
    told: list[str] = []
    with contextlib.ExitStack() as service:
        service.enter_context(lock(site.place.state, site.url))

        def say(each):
            told.append(each["step"])
            if each["step"] == verbs.WAITS:
                service.close()

        words = verbs.parser().parse_args([*words[:1], "--target", site.url, *words[1:]])
        return verbs.VERBS[words.verb](site.place, words, say), told


def test_adopting_waits_for_the_look_of_a_service_that_was_just_started(site):
    (done,), told = typed(site, "adopt")
    assert told == [verbs.WAITS]
    assert done["repository"] == site.place.restic(site.url).identity()


def test_a_check_and_a_run_wait_for_their_turn(site):
    assert typed(site, "check") == ({site.url: {"trouble": "", "reason": ""}}, [verbs.WAITS, "look", "check"])
    (done,), told = typed(site, "run")
    assert (done["reason"], told[0]) == ("", verbs.WAITS)


def test_removing_waits_for_a_member_who_gets_files_back(site):
    site.run()
    first = snapshots(site.place.restic(site.url))[0]
    (gone,), told = typed(site, "forget", first["id"], lock=state.reading)
    assert (gone["id"], told) == (first["short_id"], ["look", verbs.WAITS])


def test_getting_files_back_waits_for_what_is_being_removed(site, tmp_path):
    words = ("--instance", site.place.settings.instance, "--into", str(tmp_path / "back"), "homes/zoe")
    done, told = typed(site, "restore", *words, lock=state.removing)
    assert (done["missing"], told[0]) == ([], verbs.WAITS)


def test_waiting_has_an_end(site):
    told = []
    with state.alone(site.place.state, site.url), pytest.raises(Trouble, match="goes on already"):
        verbs.patiently(site.url, told.append, site.run, patience_s=0)
    assert told == []
