"""What becomes of the ways in which the program restic ends: one that a test wrote stands in its place."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from support.places import CHECKOUT

from jupyterhub_mlinfn.backup import place, restoring, target
from jupyterhub_mlinfn.backup.trouble import Trouble
from jupyterhub_mlinfn.settings import Settings

URL = "s3:https://s3.example.org/b"
SNAPSHOT = {"id": "aaaa", "paths": ["/data/homes"], "time": "2026-11-24T03:00:00Z"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call it with the lines of a program in place of restic, for a run that uses it."""

    def made(*lines):
        program = tmp_path / "bin/restic"
        program.parent.mkdir()
        program.write_text("\n".join(["#!/bin/sh", *lines]))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        (tmp_path / place.KEY).touch()
        here = place.Place(Settings(), tmp_path, tmp_path, tmp_path)
        return target.Run(here, here.restic(URL), lambda told: None)

    return made


def fails(tmp_path, *messages, answers=True):
    """Lines of a program that says these and ends with 1, but for when it is asked who the repository is."""
    said = tmp_path / "said"
    said.write_text("".join(json.dumps(each) + "\n" for each in messages))
    identity = "echo '{\"id\": \"r\"}'; exit 0" if answers else "echo connection refused >&2; exit 1"
    return f'case " $* " in *" cat config "*) {identity};; esac', f"cat '{said}' >&2", "exit 1"


def lost(item, message):
    return {"message_type": "error", "error": {"message": message}, "during": "restore", "item": item}


def ends(message):
    return {"message_type": "exit_error", "code": 1, "message": message}


def test_a_killed_program_is_no_damage(run):
    with pytest.raises(Trouble, match="memory ran out") as told:
        run("kill -9 $$").check()
    assert told.value.reason == "killed"


@pytest.mark.parametrize(("line", "reason"), [("kill -9 $$", "killed"), ("exec sleep 10", "away")])
def test_only_what_took_too_long_is_away(run, line, reason):
    with pytest.raises(Trouble) as told:
        run(line).restic.ask("snapshots", limit_s=0.2)
    assert told.value.reason == reason


def test_damage_is_told_with_what_was_found_first(run, tmp_path):
    found = {"message_type": "error", "message": "pack 9ce8 does not exist\n"}
    with pytest.raises(Trouble, match="contains errors pack 9ce8 does not exist") as told:
        run(*fails(tmp_path, found, ends("Fatal: repository contains errors"))).check()
    assert told.value.reason == "damaged"


def test_restic_may_ask_whether_we_live(run, tmp_path):
    """By a signal, to whoever has the number of a process that is dead."""
    run("kill -HUP $PPID", """case "$*" in *config*) echo '{"id": "r"}';; *) echo '[]';; esac""")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "MLINFN_BACKUP_STATE": str(tmp_path),
                   "MLINFN_BACKUP_SECRETS": str(tmp_path)}  # fmt: skip
    words = [sys.executable, "-m", "jupyterhub_mlinfn.backup", "list", "--target", URL]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    well = {"snapshots": [], "trouble": "", "reason": ""}
    assert (done.returncode, json.loads(done.stdout.splitlines()[-1])) == (0, {"answer": {URL: well}})


def test_who_stops_reading_early_holds_up_nothing(run):
    with run("echo one; head -c 1000000 /dev/zero").restic.output("ls", limit_s=2) as process:
        assert process.stdout.readline() == b"one\n"


@pytest.fixture
def slowed(run, tmp_path):
    """Call it with the lines of a program in place of cpulimit, for restic and the target that it shall make.

    Restic's own lines note that they are done. Either knows the number of the other.
    """

    def made(cpulimit, *lines, to=URL):
        one = run(f"echo $$ >'{tmp_path}/restic.pid'", f"cd '{tmp_path}'", *lines, "touch done")
        program = tmp_path / "bin/cpulimit"
        program.write_text(f"#!/bin/sh\necho $$ >'{tmp_path}/cpulimit.pid'\n{cpulimit}")
        program.chmod(0o755)
        return replace(one.restic, url=str(to))

    return made


def waits(condition):
    """A line that waits a second for it, and ends with 1 without it."""
    return f"n=0; until {condition}; do sleep 0.01; n=$((n+1)); [ $n -lt 100 ] || exit 1; done"


def test_a_repository_is_made_where_nothing_slows_restic(run, tmp_path, monkeypatch):
    one = run(f": >'{tmp_path}/done'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    one.restic.create()
    assert (tmp_path / "done").exists()


def test_what_slowed_restic_and_died_does_not_leave_it_stopped(slowed, tmp_path):
    began = time.monotonic()
    slowed('for word; do :; done; kill -STOP "${word#--pid=}"', waits("[ -s cpulimit.pid ]"), waits(
        "! kill -0 $(cat cpulimit.pid)")).create()  # fmt: skip
    assert (tmp_path / "done").exists()
    assert time.monotonic() - began < 10


def test_a_folder_is_made_at_full_speed_from_its_key_on(slowed, tmp_path):
    (tmp_path / "keys").mkdir()
    slowed("exec sleep 10", waits("[ -s cpulimit.pid ]"), "touch keys/1",
           waits("! kill -0 $(cat cpulimit.pid)"), to=tmp_path).create()  # fmt: skip
    assert (tmp_path / "done").exists()


def test_a_bucket_whose_making_was_cut_off_is_said_with_what_mends_it(run):
    one = run(f"echo 'Fatal: create repository at {URL} failed: repository already contains keys' >&2", "exit 1")
    with pytest.raises(Trouble, match=r"its making was cut off: .*remove `keys`") as told:
        one.known("")
    assert told.value.reason == "unfinished"


@pytest.fixture
def folder(tmp_path):
    """What came of a snapshot: one file whole, one half, one with a name that is no text, a folder without its list."""
    made = tmp_path / "homes"
    (made / "anna/lost").mkdir(parents=True)
    for name in (b"whole", b"half", b"odd\xff\xfe"):
        (made / "anna" / os.fsdecode(name)).touch()
    os.link(made / "anna/half", made / "anna/other name")
    return made


def test_only_what_a_repository_has_lost_is_missing(run, tmp_path, folder):
    errors = (lost("/anna/half", "decrypting blob <data/b058> from 9ce8 failed"),
              lost("/anna/never", "ReadFull(<data/9ce8>): open /b/data/9c/9ce8: no such file or directory"),
              lost("/anna/never", f"lchown {folder}/anna/never: no such file or directory"),
              lost("/anna/linked", f"link {folder}/anna/never {folder}/anna/linked: no such file or directory"),
              lost("/anna/odd\ufffd\ufffd", "decrypting blob <data/b059> from 9ce8 failed"),
              lost("/anna/lost", "decrypting blob <tree/a697> from c71b failed"))  # fmt: skip
    one = run(*fails(tmp_path, *errors, *errors, ends("Fatal: There were 10 errors")))
    told = restoring.restore(one.restic, SNAPSHOT, "", folder, lambda told: None)
    assert told["missing"] == ["anna/half", "anna/linked", "anna/lost", "anna/never", "anna/odd\ufffd\ufffd",
                               "anna/other name"]  # fmt: skip
    assert os.listdir(folder / "anna") == ["whole"]


def test_a_file_that_was_wanted_alone_is_named_as_it_was_wanted(run, tmp_path):
    node = json.dumps({"path": "/data/homes/anna/half", "type": "file"})
    said = (lost("/half", "decrypting blob <data/b058> from 9ce8 failed"), ends("Fatal: There were 1 errors"))
    one = run(f"case \" $* \" in *\" ls \"*) echo '{node}'; exit 0;; esac", *fails(tmp_path, *said))
    told = restoring.restore(one.restic, SNAPSHOT, "anna/half", tmp_path / "back", lambda told: None)
    assert told["missing"] == ["anna/half"]


@pytest.mark.parametrize(("message", "end", "answers", "said"), [
    ("write {folder}/anna/half: no space left on device", "Fatal: There were 1 errors", True, "no space left"),
    ("ReadFull(<data/9ce8>): connection refused", "Fatal: There were 1 errors", False, "it does not answer"),
    ("decrypting blob <data/b058> from 9ce8 failed", "Fatal: another thing", True, "another thing"),
], ids=["a full disk", "a target that is away", "another end"])  # fmt: skip
def test_nothing_else_passes_for_what_is_lost(run, tmp_path, folder, message, end, answers, said):
    one = run(*fails(tmp_path, lost("/anna/half", message.format(folder=folder)), ends(end), answers=answers))
    with pytest.raises(Trouble, match=said):
        restoring.restore(one.restic, SNAPSHOT, "", folder, lambda told: None)
    assert (folder / "anna/half").exists()
