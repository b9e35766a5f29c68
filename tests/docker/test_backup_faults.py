"""What goes wrong with targets: killed runs, dead and living locks, wrong keys, full disks, files that vanish."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import backups
from support.backup_kills import killed_restores, killed_runs
from support.backup_site import BackupSite
from support.process import Program
from support.wait import until

from jupyterhub_mlinfn.backup import restoring, service, state, verbs
from jupyterhub_mlinfn.backup.place import KEY
from jupyterhub_mlinfn.backup.target import Run, snapshots
from jupyterhub_mlinfn.backup.trouble import Trouble
from jupyterhub_mlinfn.cli.backup_container import name_of
from jupyterhub_mlinfn.settings import Settings

pytestmark = pytest.mark.docker
KILLS = 3


@pytest.fixture(scope="module")
def site(backup_site: BackupSite) -> BackupSite:
    """A target that has had one good run."""
    return backup_site


def test_killed_runs_leave_a_sound_repository_and_the_next_one_is_good(site):
    killed_runs(site, KILLS)


def test_killed_restores_show_nothing_half_and_the_next_one_is_good(keeper):
    killed_restores(keeper, ("files", "files", "swap"))


@pytest.mark.parametrize("what", ["files", "everything"])
def test_ctrl_c_takes_back_what_a_restore_had_begun(keeper, what):
    wanted = getattr(keeper, what)()
    program = keeper.program(wanted)
    program.start()
    until(lambda: wanted.partial.exists() and os.listdir(wanted.partial), 60, "files to come back", every_s=1e-3)
    os.killpg(program.process.pid, signal.SIGINT)
    assert program.wait(60) == 1
    assert program.text().splitlines()[-1] == "Interrupted. Nothing was changed. Again: the same command."
    assert wanted.seen() == "old"
    assert not wanted.partial.exists()
    assert not keeper.engine.containers.list(all=True, filters={"name": name_of(wanted.partial)})


def test_what_comes_back_is_what_was_there_but_for_what_is_left_out(site, tmp_path):
    restic = site.place.restic(site.url)
    found = restoring.chosen(snapshots(restic), "latest")
    restoring.restore(restic, found["homes"], "", tmp_path / "homes", lambda told: None)
    restoring.restore(restic, found["service"], "", tmp_path / "service", lambda told: None)
    here, there = (backups.seen_below(folder / "homes") for folder in (site.folder / "data", tmp_path))
    assert there == here
    assert not (tmp_path / "homes/zoe/scratch/large").exists()
    assert not (tmp_path / "homes/zoe/.cache").exists()
    assert (tmp_path / "homes/zoe/sparse").stat().st_blocks * 512 < 1 << 20
    assert not (tmp_path / "service/hub/live.sqlite").exists()
    (copy,) = (tmp_path / "service/hub/export").iterdir()
    assert (copy.name, copy.read_text()) == ("live.sqlite", "a copy")


def test_files_that_vanish_and_change_while_they_are_read_are_no_fault(site):
    folder, ended = site.folder / "data/homes/zoe/busy", threading.Event()
    folder.mkdir()

    def work():
        while not ended.is_set():
            for number in range(300):
                (folder / f"{number}").write_bytes(os.urandom(4000))
            for number in range(300):
                (folder / f"{number}").unlink()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        taken = site.one_run().snapshot("homes")
    finally:
        ended.set()
        worker.join()
    assert taken.unread == 0


@pytest.fixture
def change(site):
    """Call it for a run with secrets of another content."""

    def run(key: str):
        secrets = site.folder / "secrets2"
        secrets.mkdir(exist_ok=True)
        (secrets / KEY).write_text(key)
        return site.run(secrets=secrets)

    return run


def test_a_wrong_key_is_named_and_changes_nothing(site, change):
    before = len(snapshots(site.place.restic(site.url)))
    failures = state.load(site.place.state, site.url).failures
    after = change("another key\n")
    assert (after.reason, after.failures) == ("key", failures + 1)
    assert "the key in secrets/backup does not open it" in after.trouble
    assert len(snapshots(site.place.restic(site.url))) == before


def test_a_living_lock_is_respected_and_its_holder_named(site):
    """Somebody on this machine who is none of ours makes a snapshot, and nobody may prune meanwhile."""
    one = dataclasses.replace(site.one_run(), place=dataclasses.replace(site.place, host=""))
    restic = one.restic
    holder = Program(["restic", "-r", site.url, f"--password-file={restic.key}", "backup", "--stdin-from-command", "--",
                      "sleep", "600"], site.folder / "holder.log")  # fmt: skip
    holder.start()
    until(restic.lockers, 20, "somebody to hold a lock")
    try:
        one.unlock()
        with pytest.raises(Trouble, match=f"somebody else works on it .PID {holder.process.pid} on") as told:
            restic.ask("prune")
        assert told.value.reason == "locked"
    finally:
        holder.kill()
    one.unlock()
    assert restic.lockers() == [], "the lock of the dead is there"


def locked_from(host: str, site, restic) -> None:
    """Leave the lock of a container with this name that was killed. Its process is another host's for restic."""
    holder = Program(["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host, "restic", "-r", site.url,
                      f"--password-file={restic.key}", "backup", "--stdin-from-command", "--", "sleep", "600"],
                     site.folder / "holder.log")  # fmt: skip
    holder.start()
    until(lambda: host in restic.lockers(), 20, "the lock")
    holder.kill()


def test_locks_of_our_containers_are_taken_away_whatever_runs_under_their_numbers(site):
    place = dataclasses.replace(site.place, host="mlinfn-backup.gpu1.0123456789abcdef")
    one = dataclasses.replace(site.one_run(), place=place)
    locked_from(place.host, site, one.restic)
    locked_from(f"1a2b3c4d.{place.host}", site, one.restic)
    dataclasses.replace(one, place=site.place).unlock()
    assert len(one.restic.lockers()) == 2, "another machine took them away"
    one.unlock()
    assert one.restic.lockers() == []


def test_snapshots_are_removed_although_somebody_of_ours_died_at_work(site):
    place = dataclasses.replace(site.place, host="mlinfn-backup.gpu1.0123456789abcdef")
    locked_from(place.host, site, place.restic(site.url))
    one = snapshots(place.restic(site.url))[0]
    words = verbs.parser().parse_args(["forget", "--target", site.url, one["id"]])
    assert verbs.forget(place, words, print)[0]["id"] == one["short_id"]


def test_a_lock_of_another_machine_stays(site):
    place = dataclasses.replace(site.place, host="mlinfn-backup.gpu1.0123456789abcdef")
    one = dataclasses.replace(site.one_run(), place=place)
    other = "mlinfn-backup.gpu2.fedcba9876543210"
    locked_from(other, site, one.restic)
    one.unlock()
    assert one.restic.lockers() == [other]
    one.restic.ask("unlock", "--remove-all")


def test_a_repository_whose_making_was_cut_off_is_made_again(site, tmp_path):
    """Its key is there first. Where there is more than a key, a config is lost, and nothing may be written over."""
    (tmp_path / "copies").mkdir()
    one = dataclasses.replace(site.one_run(), restic=site.place.restic(str(tmp_path / "copies")))
    for _ in range(2):
        assert one.known("") == one.restic.identity()
        (tmp_path / "copies/config").unlink()
    (tmp_path / "copies/snapshots/1").touch()
    with pytest.raises(Trouble, match="there is no repository"):
        one.known("")
    assert len(os.listdir(tmp_path / "copies/keys")) == 1


def test_the_key_opens_at_once(site):
    """Not after half a second of guarding a password: restic by itself would ask for twice this here, or more."""
    (key,) = [json.loads(path.read_text()) for path in Path(site.url, "keys").iterdir()]
    assert key["N"] * key["r"] * key["p"] <= 2**20


@pytest.fixture
def protected(site, tmp_path) -> Iterator[str]:
    """The target on a disk that cannot be written to."""
    (tmp_path / "protected").mkdir()
    subprocess.run(["mount", "--bind", "-o", "ro", site.url, tmp_path / "protected"], check=True)
    yield str(tmp_path / "protected")
    subprocess.run(["umount", tmp_path / "protected"], check=True)


def test_who_gets_files_back_writes_nothing_into_the_target(site, protected, tmp_path):
    restic = site.place.restic(protected)
    found = restoring.chosen(snapshots(restic), "latest")
    restoring.restore(restic, found["homes"], "zoe/closed", tmp_path / "back", lambda told: None)
    assert (tmp_path / "back/closed").read_text() == "mine alone\n"
    with (tmp_path / "dumped").open("wb") as to:
        restoring.dump(restic, found["service"], "hub/export/live.sqlite", to)
    assert (tmp_path / "dumped").read_text() == "a copy"


def test_a_disk_that_is_not_mounted_gets_no_new_repository(site):
    away = site.folder / "away"
    os.rename(site.url, away)
    os.mkdir(site.url)
    try:
        after = site.run()
        assert (after.reason, os.listdir(site.url)) == ("missing", [])
    finally:
        os.rmdir(site.url)
        os.rename(away, site.url)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[str]:
    """A folder with room for a repository and not for its data."""
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", tmp_path / "small"], check=True)
    yield str(tmp_path / "small")
    subprocess.run(["umount", tmp_path / "small"], check=True)


def test_a_full_target_is_named_and_holds_up_no_other(site, small_disk):
    (site.folder / "data/homes/zoe/too-large").write_bytes(os.urandom(4 << 20))
    (site.folder / "two").mkdir()
    shutil.copy(site.place.state / "machine", site.folder / "two")
    two = Settings(backup={"targets": [small_disk, site.url]})
    both = service.Service(dataclasses.replace(site.place, settings=two, state=site.folder / "two"), look_s=0.2)
    state.save(site.folder / "two", dataclasses.replace(state.load(site.place.state, site.url), begun=""))
    worker = threading.Thread(target=both.go_on)
    worker.start()
    try:
        until(lambda: all(each.ended and each.begun for each in both.states()), 60, "both targets to end", every_s=0.2)
    finally:
        both.end()
        worker.join()
    full, good = both.states()
    assert (full.reason, good.reason) == ("full", "")
    assert "no space left" in full.trouble


@pytest.fixture
def small_run(site, small_disk, tmp_path) -> Run:
    """A run with one home, on a disk with room for two states of it."""
    (tmp_path / "data/homes").mkdir(parents=True)
    settings = Settings(backup={"keep": {"hourly": 1, "daily": 0, "weekly": 0, "monthly": 0}})
    here = dataclasses.replace(site.place, settings=settings, sources=tmp_path / "data", state=tmp_path / "state")
    return Run(here, here.restic(small_disk), lambda told: None)


def test_a_full_disk_has_room_again_without_what_need_not_be_kept(small_run):
    subprocess.run(["mount", "-o", "remount,size=24m", small_run.url], check=True)
    small_run.known("")

    def snapshot():
        (small_run.place.sources / "homes/large").write_bytes(os.urandom(9 << 20))
        return small_run.snapshot("homes")

    snapshot()
    snapshot()
    with pytest.raises(Trouble, match="it is full") as told:
        snapshot()
    full = state.State(small_run.url, repository=small_run.restic.identity()).failed(told.value, "now")
    assert next(each for each in small_run.steps(full) if each.kinds).kinds["homes"].bytes == 9 << 20
