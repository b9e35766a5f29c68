"""What is snapshotted and kept, when, and what restic's answers mean. Nothing runs."""

import random
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from jupyterhub_mlinfn.backup import planning, restic
from jupyterhub_mlinfn.backup.restoring import chosen, named, of_instance, parsed
from jupyterhub_mlinfn.backup.trouble import Trouble, understood
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.settings import Backup

NIGHT = "0 3 * * *"
LOCKED = ("unable to create lock in backend: repository is already locked by PID 1986 on vm by root (UID 0, GID 0)\n"
          "lock was created at 2026-11-25 19:29:38 (693ms ago)\nstorage ID d3d3c8ae\nthe `unlock` command ...")


def at(hour, minute=0, day=25):
    return datetime(2026, 11, day, hour, minute, tzinfo=timezone.utc)


def snapshot(kind, time, name="aaaa", host="mlinfn"):
    return {"id": name * 16, "tags": [f"kind:{kind}"], "time": time, "hostname": host, "paths": [f"/data/{kind}"]}


SNAPSHOTS = [snapshot("homes", "2026-11-23T03:00:00.1Z", "aaaa"), snapshot("rooms", "2026-11-24T03:00:01Z", "bbbb"),
             snapshot("homes", "2026-11-24T03:00:00.123456789+01:00", "cccc")]  # fmt: skip


def test_homes_are_taken_without_what_members_and_the_site_leave_out():
    words = planning.snapshot_words("homes", Path("/data/homes"), "mlinfn", "00ff", [".cache"])
    assert {"--tag=kind:homes", "--tag=machine:00ff", "--host=mlinfn", "--exclude=.cache",
            "--exclude-if-present=.mlinfn-noback"} < set(words)  # fmt: skip
    assert words[-2:] == ["--", "/data/homes"]


@pytest.mark.parametrize(("told", "files", "percent"), [
    ({"files_done": 30}, 120, 25), ({"files_done": 500}, 120, 99), ({}, 120, 0), ({"files_done": 30}, 0, 0),
])  # fmt: skip
def test_how_far_a_run_is_follows_from_the_one_before(told, files, percent):
    assert planning.percent(told, files) == percent


def test_of_the_service_only_databases_in_use_and_copies_being_made_are_left_out():
    words = planning.snapshot_words("service", Path("/data/service"), "mlinfn", "00ff", [".cache"])
    assert [each for each in words if each.startswith("--exclude=")] == [
        "--exclude=/data/service/hub/*.sqlite", "--exclude=/data/service/hub/*.sqlite-*",
        "--exclude=/data/service/hub/export/.*"]  # fmt: skip
    assert not any(each.startswith("--exclude-if-present") for each in words)


def test_kinds_that_are_kept_alike_are_forgotten_in_one_call():
    [words] = planning.forget_words(Backup(), "mlinfn")
    assert {"--keep-hourly=24", "--keep-daily=14", "--keep-weekly=8", "--keep-monthly=12", "--keep-last=1"} < set(words)
    assert len([each for each in words if each.startswith("--tag=")]) == 5
    assert "--group-by=host,paths" in words, "the tag of a machine divides no kind"
    first, second = planning.forget_words(Backup(keep_other={"service": {"monthly": 60, "hourly": 0}}), "mlinfn")
    assert "--tag=kind:service" not in first
    assert {"--tag=kind:service", "--keep-monthly=60"} < set(second)
    assert not any("hourly" in each for each in second)


@pytest.mark.parametrize(("given", "words"), [
    (None, []), ("10M", ["--limit-upload=10240"]), ("1K", ["--limit-upload=1"]),
])  # fmt: skip
def test_the_line_is_not_taken_whole(given, words):
    assert planning.limits(Backup(bandwidth=given)) == words


@pytest.mark.parametrize(("begun", "failed", "turn"), [
    (None, False, at(12)), (at(3), False, at(3, day=26)), (at(2, 59), False, at(3)), (at(11), True, at(11, 10)),
    (at(2, 55), True, at(3)), (at(12) + timedelta(days=3650), False, at(12)),
], ids=["a new target", "tomorrow", "tonight", "failed", "failed shortly before", "the clock was wrong"])  # fmt: skip
def test_a_target_has_its_turn(begun, failed, turn):
    assert planning.next_run(NIGHT, begun, failed, at(12)) == turn


@pytest.mark.parametrize(("begun", "failed", "turn"), [
    ("2026-10-24T01:00:05", False, "2026-10-25T02:00:00"), ("2026-03-28T02:00:05", False, "2026-03-29T01:00:00"),
    ("2026-10-25T00:55:00", True, "2026-10-25T01:05:00"),
], ids=["over the autumn's change", "over the spring's change", "failed within the hour that comes twice"])  # fmt: skip
def test_a_schedule_is_of_the_clock_on_the_wall(begun, failed, turn):
    began, due = (datetime.fromisoformat(f"{each}+00:00") for each in (begun, turn))
    now = (due - timedelta(minutes=1)).astimezone(ZoneInfo("Europe/Rome"))
    assert planning.next_run(NIGHT, began, failed, now) == due


def test_nanoseconds_are_kept():
    assert planning.nanoseconds("1970-01-01T00:00:01.000000001Z") == 10**9 + 1
    assert planning.nanoseconds("1970-01-01T01:00:01.5+01:00") == 15 * 10**8
    assert planning.nanoseconds("1970-01-01T00:00:01Z") == 10**9
    assert planning.moment("2026-11-25T19:29:34.262532893Z") == at(19, 29) + timedelta(seconds=34, microseconds=262532)


@pytest.mark.parametrize("path", ["/a/b", "/a/[x]*?", "/back\\slash", "/new\nline"])
def test_a_pattern_is_the_path_and_nothing_else(path):
    plain = planning.escaped(path)
    assert plain.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\") == path
    assert plain.count("\\*") == path.count("*")


def test_a_sample_is_drawn_from_all_files_that_can_be_compared():
    nodes = [{"type": "file", "path": f"/{number}", "size": 1} for number in range(50)]
    others = [{"type": "dir", "path": "/d"}, {"type": "file", "path": "/big", "size": 2**40},
              {"type": "file", "path": "/odd\ufffd", "size": 1}]  # fmt: skip
    drawn = {each["path"] for seed in range(200) for each in planning.drawn(nodes + others, 5, random.Random(seed))}
    assert drawn == {each["path"] for each in nodes}
    assert len(planning.drawn(nodes, 5, random.Random(1))) == 5
    assert len(planning.drawn(nodes[:3] + others, 5, random.Random(1))) == 3


@pytest.mark.parametrize(("code", "words", "reason"), [
    (12, "Fatal: wrong password or no key found", "key"),
    (10, "Fatal: repository does not exist: unable to open config file", "missing"),
    (11, LOCKED, "locked"),
    (1, "Fatal: unable to save snapshot: write /b/data/49/x: no space left on device", "full"),
    (1, "client.PutObject: Storage backend has reached its minimum free drive: XMinioStorageFull", "full"),
    (1, "Fatal: unable to open config file: Stat: Access Denied.", "denied"),
    (1, "Fatal: unable to open repository at s3:x: dial tcp 127.0.0.1:9: connect: connection refused", "away"),
    (1, "Fatal: unable to start the sftp session, error: unexpected EOF", "away"),
    (1, "Fatal: something new", "other"),
])  # fmt: skip
def test_what_restic_says_becomes_one_sentence(code, words, reason):
    trouble = understood("s3:x", code, words)
    assert trouble.reason == reason
    assert str(trouble).startswith("s3:x: ")
    assert "\n" not in str(trouble)
    assert str(trouble).endswith(".")


def test_long_words_keep_their_end():
    said = str(understood("/b", 1, f"path {'a/' * 2000}b: not found"))
    assert (len(said) < 350, said.endswith("b: not found).")) == (True, True)


def test_who_holds_a_lock_is_said():
    assert "(PID 1986 on vm, since 2026-11-25 19:29:38)" in str(understood("b", 11, LOCKED))
    assert len(str(Trouble("b", "busy"))) < 100


def test_files_that_have_gone_meanwhile_are_no_loss():
    gone, closed = "lstat /data/homes/a: no such file or directory", "open /data/homes/b: permission denied"
    messages = [{"message_type": "error", "error": {"message": each}} for each in (gone, closed)]
    assert restic.unread([*messages, {"message_type": "summary"}]) == [closed]


@pytest.mark.parametrize(("when", "kinds"), [
    ("latest", {"homes": "cccc", "rooms": "bbbb"}), ("2026-11-23", {"homes": "aaaa"}),
    ("2026-11-24T03:00+00:00", {"homes": "cccc", "rooms": "bbbb"}), ("bbbb", {"rooms": "bbbb"}),
    ("2026-11-24 03:00Z", {"homes": "cccc", "rooms": "bbbb"}), ("2026-11-24T02:59+00:00", {"homes": "cccc"}),
    ("2026-11-24T03:00:00+00:00", {"homes": "cccc"}), ("2026-11-24T03:00:01Z", {"homes": "cccc", "rooms": "bbbb"}),
    ("2026-11-23T03:00:00.1Z", {"homes": "aaaa"}),
])  # fmt: skip
def test_a_moment_means_the_newest_snapshot_of_each_kind_until_then(when, kinds):
    assert {kind: each["id"][:4] for kind, each in chosen(SNAPSHOTS, when).items()} == kinds


@pytest.mark.parametrize(("when", "said"), [
    ("yesterday", "2026-11-24T15:00"), ("9999-12-31", "is no moment"),
    ("2020-01-01", "The oldest is of 2026-11-23"), ("dddd", "no snapshot for dddd"),
])  # fmt: skip
def test_moments_that_are_none_are_refused(when, said):
    with pytest.raises(UserError, match=said):
        chosen(SNAPSHOTS, when)


@pytest.fixture
def time_zone(monkeypatch):
    """Time here is that of Rome."""
    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_minute_that_is_shown_finds_the_snapshot_of_it(time_zone):
    one = snapshot("homes", "2026-11-24T02:00:59.987654321Z", "dddd")
    assert planning.minute(one["time"]) == "2026-11-24 03:00"
    assert chosen([*SNAPSHOTS[:1], one], planning.minute(one["time"])) == {"homes": one}
    with pytest.raises(UserError, match=r"The oldest is of 2026-11-24 03:00\."):
        chosen([one], "2026-11-24T02:59")


def test_an_id_that_looks_like_a_date_is_an_id():
    one = snapshot("rooms", "2026-11-01T00:00:00Z", "20261124")
    assert chosen([*SNAPSHOTS, one], "20261124") == {"rooms": one}


@pytest.mark.parametrize(("name", "said"), [
    ("latest", "no snapshot"), ("2026-11-24", "no snapshot"), ("dddd", "no snapshot"), ("aaaa", "several"),
])  # fmt: skip
def test_only_what_is_named_by_its_id_is_removed(name, said):
    both = [*SNAPSHOTS, snapshot("groups", "2026-11-25T03:00:00Z", "aaaab")]
    assert named(both, "bbbb") == SNAPSHOTS[1]
    with pytest.raises(UserError, match=said):
        named(both, name)


def test_snapshots_of_two_instances_are_not_mixed():
    both = [*SNAPSHOTS, snapshot("homes", "2026-11-25T03:00:00Z", host="other")]
    with pytest.raises(UserError, match="mlinfn, other"):
        of_instance(both)
    assert of_instance(both, "mlinfn") == SNAPSHOTS
    with pytest.raises(UserError, match="nothing of third"):
        of_instance(both, "third")


@pytest.mark.parametrize(("what", "found"), [
    ("homes/anna/a b", ("homes", "anna/a b")), ("service", ("service", "")), ("/groups/cms/", ("groups", "cms")),
])  # fmt: skip
def test_what_is_to_come_back_is_a_kind_and_a_path(what, found):
    assert parsed(what) == found


@pytest.mark.parametrize("what", ["anna/x", "homes/../service", "homes/a/../../..", "/etc/passwd", ""])
def test_paths_out_of_a_kind_are_refused(what):
    with pytest.raises(UserError, match="homes/anna/thesis"):
        parsed(what)
