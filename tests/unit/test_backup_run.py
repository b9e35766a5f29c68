"""What a run does and in which order, and when it does not even begin: restic itself only notes what it is asked."""

import contextlib
import os
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from jupyterhub_mlinfn.backup import place, target
from jupyterhub_mlinfn.backup import state as states
from jupyterhub_mlinfn.backup.state import State
from jupyterhub_mlinfn.backup.trouble import Trouble
from jupyterhub_mlinfn.settings import Settings

URL = "s3:https://s3.example.org/b"
NOW = datetime.now(timezone.utc).isoformat()
SNAPSHOT = {"id": "aaaa", "tags": ["kind:homes"], "time": NOW, "hostname": "mlinfn", "paths": ["/data/homes"],
            "summary": {"total_files_processed": 1000}}  # fmt: skip
GOOD = State(URL, repository="r", begun=NOW, ended=NOW, good=NOW, verified=NOW, tidied=NOW, reread=NOW)
THEN = 1_600_000_000
LONG_AGO = "2020-01-01T00:00:00+00:00"


class Recorder:
    """In place of restic, where the order counts. `errors` are what it could not read, `there` the snapshots."""

    def __init__(self, url=URL):
        self.url, self.asked, self.errors, self.there, self.fails = url, [], [], [], ""

    def ask(self, *words, **more):
        self.asked.append(words)
        if words[0] == self.fails:
            raise Trouble(self.url, "full")
        if words[0] == "snapshots":
            return self.there
        errors = [{"message_type": "error", "error": {"message": each}} for each in self.errors]
        return [*errors, {"message_type": "summary", "snapshot_id": "s", "backup_end": "t", "total_files_processed": 0,
                          "total_bytes_processed": 0, "data_added_packed": 0}]  # fmt: skip

    def create(self):
        self.asked.append(["init"])

    def identity(self):
        return "r"

    def lockers(self):
        return []

    def stream(self, *words):
        return iter(())

    @property
    def verbs(self):
        """The first word of each call; of a snapshot, the folder's name."""
        return [words[-1].rpartition("/")[2] if words[0] == "backup" else words[0] for words in self.asked]


@pytest.fixture
def restic():
    return Recorder()


@pytest.fixture
def run(tmp_path, restic):
    """Makes a run of two kinds of data."""
    for kind in ("homes", "service"):
        (tmp_path / "data" / kind).mkdir(parents=True)

    def made(**more):
        here = place.Place(Settings(backup={"targets": [URL]}), tmp_path / "data", tmp_path, tmp_path)
        return target.Run(here, restic, lambda told: None, **more)

    return made


def test_databases_are_copied_after_the_homes_and_right_before_they_are_taken(run, restic):
    *_, last = run(databases=lambda: restic.asked.append(["databases"]) or "the hub is away").steps(GOOD)
    assert restic.verbs[:4] == ["snapshots", "homes", "databases", "service"]
    assert (last.stale, last.reason) == ("the hub is away", "")


@pytest.fixture
def hub(tmp_path):
    """The hub's folder, with a database and a copy of it from long ago."""
    folder = tmp_path / "data/service/hub"
    (folder / "export").mkdir(parents=True)
    for path in (folder / "identity.sqlite", folder / "export/identity.sqlite"):
        path.touch()
    os.utime(folder / "export/identity.sqlite", (THEN, THEN))
    return folder


def test_how_old_the_copies_of_databases_are_is_known(run, hub):
    (hub / "export/jupyterhub.sqlite").touch()
    *_, last = run(databases=lambda: "the hub is away").steps(replace(GOOD, exported=NOW))
    assert datetime.fromisoformat(last.exported).timestamp() == THEN


def test_databases_that_are_in_no_copy_are_a_fault_after_all_else_was_copied(run, hub, restic):
    (hub / "jupyterhub.sqlite").touch()
    with pytest.raises(Trouble, match=r"never copied its databases .*\(jupyterhub\.sqlite\)") as told:
        list(run(databases=lambda: "the hub is away").steps(GOOD))
    assert (told.value.reason, restic.verbs[1:3], restic.verbs[-1]) == ("databases", ["homes", "service"], "check")


@pytest.mark.parametrize(("left_free", "asked"), [(0.0, 1), (1.1, 0)], ids=["room", "no room"])
def test_copies_never_take_the_last_of_the_disk_that_people_work_on(run, restic, tmp_path, left_free, asked):
    restic.url = str(tmp_path)
    with pytest.raises(Trouble, match="it is full") if not asked else contextlib.nullcontext():
        run(left_free=left_free).snapshot("homes")
    assert len(restic.asked) == asked


@pytest.mark.parametrize(("reread", "cached"), [(NOW, True), (LONG_AGO, False), ("", False)],
                         ids=["now", "then", "never"])  # fmt: skip
def test_once_a_week_the_check_reads_what_is_really_there(run, restic, reread, cached):
    *_, last = run().steps(replace(GOOD, reread=reread))
    (words,) = [words for words in restic.asked if words[0] == "check"]
    assert ("--with-cache" in words) == cached
    assert (last.reread == reread) == cached


def test_names_of_files_break_no_line_of_the_log(run, restic, caplog):
    restic.errors = ["open /data/homes/a\nWARNING all is lost\x1b[2J: permission denied"]
    assert run().snapshot("homes").unread == 1
    (record,) = caplog.records
    assert r"homes/a\nWARNING all is lost\x1b[2J: permission" in record.getMessage()


def test_a_folder_that_was_full_and_is_empty_is_not_copied(run, restic, tmp_path):
    restic.there = [SNAPSHOT]
    with pytest.raises(Trouble, match=r"homes: 1000 files .* none now.* --accept-empty") as told:
        list(run().steps(GOOD))
    assert (told.value.reason, restic.verbs) == ("emptied", ["snapshots"])
    list(run(accept_empty=True).steps(GOOD))
    (tmp_path / "data/homes/anna").mkdir()
    list(run().steps(GOOD))


@pytest.mark.parametrize("there", [
    {**SNAPSHOT, "summary": {"total_files_processed": 3}}, {**SNAPSHOT, "hostname": "another"},
    {**SNAPSHOT, "tags": ["kind:service"]}, {**SNAPSHOT, "summary": None},
], ids=["few", "of another instance", "of another kind", "unknown"])  # fmt: skip
def test_a_folder_that_had_nothing_may_be_empty(run, restic, tmp_path, there):
    (tmp_path / "data/service/hub").mkdir()
    restic.there = [there]
    list(run().steps(GOOD))


def test_a_target_whose_folder_is_not_there_is_away(run, restic, tmp_path):
    restic.url = str(tmp_path / "nas/copies")
    with pytest.raises(Trouble, match="is the disk mounted"):
        list(run().steps(replace(GOOD, repository="")))
    assert restic.asked == []


def test_a_full_target_loses_first_what_need_not_be_kept(run, restic):
    list(run().steps(replace(GOOD, reason="full")))
    assert restic.verbs[:4] == ["snapshots", "forget", "prune", "homes"]
    assert "--max-repack-size=0" in restic.asked[2]


def test_a_disk_that_people_work_on_is_emptied_of_old_copies_before_it_is_full(run, restic, tmp_path):
    restic.url = str(tmp_path)
    with pytest.raises(Trouble, match="left to people's files"):
        list(run(left_free=1.1).steps(GOOD))
    assert restic.verbs == ["snapshots", "forget", "prune"]


def test_nothing_is_removed_while_somebody_gets_files_back(run, restic, tmp_path):
    with states.reading(tmp_path, URL), states.reading(tmp_path, URL):
        assert run()._tidied(State(URL)).tidied == ""
    assert restic.asked == []
    assert run()._tidied(State(URL)).tidied
    assert restic.verbs[-1] == "prune"
    with states.removing(tmp_path, URL), pytest.raises(Trouble, match="already"), states.reading(tmp_path, URL):
        pass


def test_a_target_without_room_even_for_that_is_said(run, restic):
    restic.fails = "prune"
    with pytest.raises(Trouble, match=r"not even room to remove .* by hand") as told:
        list(run().steps(replace(GOOD, reason="full")))
    assert told.value.reason == "full"


@pytest.mark.parametrize(("tags", "adopted", "is_refused"), [
    (["machine:another"], "", True), (["machine:another"], "older", True), (["machine:another"], "aaaa", False),
    ([], "", False),
], ids=["another", "again", "adopted", "it did not say"])  # fmt: skip
def test_what_another_machine_writes_to_is_not_written_to(run, restic, tmp_path, tags, adopted, is_refused):
    (tmp_path / "data/homes/anna").mkdir()
    restic.there = [{**SNAPSHOT, "tags": ["kind:homes", *tags]}]
    with pytest.raises(Trouble, match=r"another machine .* adopt s3:") if is_refused else contextlib.nullcontext():
        list(run().steps(replace(GOOD, adopted=adopted)))
    assert ("backup" in {words[0] for words in restic.asked}) != is_refused


def test_a_run_that_the_machine_does_not_let_go_on_has_failed(tmp_path):
    (tmp_path / place.KEY).touch()
    (tmp_path / place.RCLONE).touch()
    (tmp_path / "state/rclone.conf").mkdir(parents=True)  # where a file has to be written
    here = place.Place(Settings(), tmp_path, tmp_path / "state", tmp_path)
    after = target.back_up(here, "rclone:box:b", lambda told: None)
    assert (after.reason, after.failures, bool(after.ended)) == ("system", 1, True)
    assert "this machine did not let a run go on ([Errno 21] Is a directory" in after.trouble
    assert states.load(here.state, "rclone:box:b") == after


def test_a_machine_knows_its_own_snapshots(run, restic, tmp_path):
    (tmp_path / "data/homes/anna").mkdir()
    restic.there = [{**SNAPSHOT, "tags": ["kind:homes", f"machine:{run().machine}"]}]
    list(run().steps(GOOD))
    restic.there.append({**restic.there[0], "hostname": "other", "tags": ["kind:homes", "machine:another"]})
    list(run().steps(GOOD))
