"""What becomes of a tar in a folder, without a container: GNU tar and the program that puts things into their place."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support.places import CHECKOUT
from support.restoring import Tar

from jupyterhub_mlinfn.unpacking import DAMAGED, FULL, LONGEST, PARTIAL, SHOWN, WHOLE, Names, shown
from jupyterhub_mlinfn.unpacking.tar import Complaints

GOOD = Tar().add("a/b", b"new").add("c", b"new").bytes()


def unpacked(home, sent: bytes, place: str = "date/home") -> dict:
    """What the program says."""
    command = [sys.executable, "-m", "jupyterhub_mlinfn.unpacking", str(home), place]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, input=sent, capture_output=True, env=environment, timeout=20)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def test_files_go_to_their_place_and_what_is_there_stays(tmp_path):
    place = tmp_path / "restored/date/home"
    assert unpacked(tmp_path, GOOD + WHOLE) == {"files": 2, "kept": 0, "kept_names": [], "failed": 0,
                                                "failed_names": []}  # fmt: skip
    (place / "c").write_text("mine")
    (place / "a/b").unlink()
    told = unpacked(tmp_path, GOOD + WHOLE)
    assert (told["files"], told["kept_names"]) == (1, ["c"])
    assert ((place / "a/b").read_text(), (place / "c").read_text()) == ("new", "mine")
    assert os.listdir(tmp_path / "restored") == ["date"]


@pytest.mark.parametrize(("sent", "trouble"), [
    (GOOD, "cut"), (GOOD[:1024] + WHOLE, "cut"), (GOOD[:512], "cut"), (b"x" * 10**6 + WHOLE, "damaged"),
    (GOOD[:1024] + os.urandom(5120) + GOOD + WHOLE, "damaged")],
    ids=["without the last word", "without an end", "half a file", "text", "noise in the middle"])  # fmt: skip
def test_what_is_not_whole_is_nowhere_and_what_was_left_is_gone(tmp_path, sent, trouble):
    left = tmp_path / "restored" / f"{PARTIAL}of-before"
    (left / "closed").mkdir(parents=True)
    (left / "closed").chmod(0)
    assert unpacked(tmp_path, sent) == {"trouble": trouble, "about": ""}
    assert os.listdir(tmp_path / "restored") == []


def test_what_follows_the_end_does_no_harm(tmp_path):
    assert unpacked(tmp_path, GOOD + bytes(10**6) + WHOLE)["files"] == 2


def test_a_link_in_the_way_is_named(tmp_path):
    (tmp_path / "restored").mkdir()
    (tmp_path / "restored/date").symlink_to(tmp_path)
    assert unpacked(tmp_path, GOOD + WHOLE) == {"trouble": "place", "about": "restored/date"}
    assert sorted(os.listdir(tmp_path)) == ["restored"]


@pytest.mark.parametrize(("line", "name", "trouble", "strange"), [
    ("tar: a b/dev: Cannot mknod: Operation not permitted", "a b/dev", "", ""),
    ("tar: ../x: Member name contains '..'", "../x", "", ""),
    ("tar: x: Cannot hard link to '../y': No such file or directory", "x", "", ""),
    ("tar: x: Cannot open: File name too long", "x", "", ""),
    ("tar: x: Cannot open: No space left on device", "", FULL, ""),
    ("tar: x: Wrote only 512 of 10240 bytes", "", FULL, ""),
    ("tar: x: Cannot write: Disk quota exceeded", "", FULL, ""),
    ("tar: This does not look like a tar archive", "", DAMAGED, ""),
    ("tar: Removing leading `/' from member names", "", "", ""),
    ("tar: Exiting with failure status due to previous errors", "", "", ""),
    ("tar: x: Cannot write: Input/output error", "", "", "tar: x: Cannot write: Input/output error"),
    ("tar: Unexpected EOF in archive", "", "", "tar: Unexpected EOF in archive"),
])  # fmt: skip
def test_every_complaint_of_tar_is_one_of_four_kinds(line, name, trouble, strange):
    said = Complaints()
    said.add(line)
    assert (said.not_made.first, said.trouble, said.strange) == ([name] if name else [], trouble, strange)


def test_names_are_counted_and_the_first_are_shown():
    names = Names()
    for number in range(SHOWN + 5):
        names.add(f"{number}")
    both = names + names
    assert (both.count, len(both.first)) == (2 * SHOWN + 10, SHOWN)
    assert shown("bad\udcff\nname") == "bad\\xff\nname"
    assert len(shown("x" * 4000)) == LONGEST + 1
