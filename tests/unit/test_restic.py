"""What becomes of the ways in which the program restic ends: one that a test wrote stands in its place."""

import pytest

from jupyterhub_mlinfn.backup import place, target
from jupyterhub_mlinfn.backup.trouble import Trouble
from jupyterhub_mlinfn.settings import Settings

URL = "s3:https://s3.example.org/b"


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


def test_a_killed_program_is_no_damage(run):
    with pytest.raises(Trouble, match="memory ran out") as told:
        run("kill -9 $$").check()
    assert told.value.reason == "killed"


def test_damage_is_told_with_what_was_found_first(run):
    said = ('{"message_type":"error","message":"pack 9ce8 does not exist\\n"}',
            '{"message_type":"exit_error","code":1,"message":"Fatal: repository contains errors"}')  # fmt: skip
    with pytest.raises(Trouble, match="contains errors pack 9ce8 does not exist") as told:
        run(*(f"printf '%s\\n' '{each}' >&2" for each in said), "exit 1").check()
    assert told.value.reason == "damaged"
