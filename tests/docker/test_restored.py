"""What becomes of a tar in a member's home, by a real hub, Engine and GNU tar."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile

import psutil
import pytest
from support import backups
from support.restoring import DATE, Tar, large

pytestmark = pytest.mark.docker
MB = 2**20


@pytest.fixture(scope="module")
def zoes(tmp_path_factory):
    """A home with all that is hard to copy, and what comes of it: neither set-uid bits nor other people's numbers."""
    backups.fill(tmp_path_factory.mktemp("before"))
    home = tmp_path_factory.getbasetemp() / "before0/users/zoe"
    for name in ("empty", "locked"):
        (home / name).mkdir()
    (home / "locked/in it").write_text("x")
    (home / "absolute").symlink_to("/shared")
    os.setxattr(home / "run.sh", "user.note", b"kept")
    (home / "locked").chmod(0)
    (home / "empty").chmod(0o555)
    os.utime(home / "empty", ns=(1, 1_234_567_890_123_456_789))
    return home


def comparable(top, owner: int) -> dict[bytes, tuple]:
    """Path -> all that is to come back, once it belongs to whom it should."""
    seen = backups.seen_below(top)
    assert {each[1:3] for each in seen.values()} == {(owner, owner)}
    return {path: (stat.S_IFMT(mode) | stat.S_IMODE(mode) & 0o777, *rest) for path, (mode, _, _, *rest) in seen.items()}


def test_everything_comes_back_as_it_was_into_a_home_that_is_new(member, zoes):
    assert not member.home.exists()
    subprocess.run(["chown", "-hR", f"{backups.ZOE}:{backups.ZOE}", zoes], check=True)
    pax = ["tar", "--create", "--format=pax", "--sparse", "--xattrs", f"--directory={zoes}", "."]
    packed = subprocess.run(pax, capture_output=True, check=True).stdout
    answer = member.restore(packed, "home/50% of it", bytes=len(packed))
    place = member.place("home/50% of it")
    assert (answer.status_code, answer.json()) == (200, {
        "folder": f"restored/{DATE}/home/50% of it", "files": 17, "kept": 0, "kept_names": [], "failed": 0,
        "failed_names": []})  # fmt: skip
    assert comparable(place, member.home.stat().st_uid) == comparable(zoes, backups.ZOE)
    assert (place / "sparse").stat().st_blocks * 512 < MB
    for folder in (member.home, *place.parents[:3]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    member.assert_nothing_is_left()


def test_what_is_there_stays_and_is_counted(member):
    before = Tar().add("a/notes", b"old").add("a/b/data", b"old").add("c", b"old").link("d", "a").add("e/f", b"old")
    assert member.restore(before.bytes()).json()["files"] == 5
    place = member.place()
    (place / "a/notes").write_text("mine")
    (place / "a/b/data").unlink()
    after = Tar().add("a/notes", b"new").add("a/b/data", b"new").add("a/new/one", b"new").add("c/under", b"new")
    after.add("d/through", b"new").add("e/f", b"new", mode=0o600).add("e", kind=tarfile.DIRTYPE, mode=0o500)
    after.add("g", kind=tarfile.DIRTYPE, mode=0o500).add("\udcff\n%s", b"new")
    told = member.restore(after.bytes()).json()
    kept = ["a/notes", "c/under", "d/through", "e/f"]
    assert (told["files"], told["kept"], sorted(told["kept_names"])) == (3, 4, kept)
    assert {path: (place / path).read_text() for path in ("a/notes", "a/b/data", "a/new/one", "c", "e/f")} == {
        "a/notes": "mine", "a/b/data": "new", "a/new/one": "new", "c": "old", "e/f": "old"}  # fmt: skip
    assert (place / "d").is_symlink()
    assert not (place / "a/through").exists()
    assert [stat.S_IMODE((place / name).stat().st_mode) for name in "eg"] == [0o700, 0o500]
    assert (place / "a/notes").stat().st_nlink == 1
    again = member.restore(after.bytes()).json()
    assert (again["files"], again["kept"], "\\xff\n%s" in again["kept_names"]) == (0, 7, True)
    member.assert_nothing_is_left()


def test_nothing_leaves_the_place_whatever_a_tar_says(member):
    member.restore(Tar().add("x", b"x").bytes())
    (member.home / ".bashrc").write_text("mine")
    tar = Tar().add("fine", b"1").add("../../../.bashrc", b"2").add("a/../../b", b"3").add("/etc/absolute", b"4")
    tar.link("away", "../../../..").add("away/evil", b"5").link("home", str(member.home)).add("home/evil", b"6")
    tar.add("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3).add("disk", kind=tarfile.BLKTYPE, devmajor=8)
    tar.link("hard", "../../../.bashrc", tarfile.LNKTYPE).link("harder", "/etc/passwd", tarfile.LNKTYPE)
    tar.link("hardest", "away/.bashrc", tarfile.LNKTYPE).link("same", "fine", tarfile.LNKTYPE)
    tar.add("root", b"7", mode=0o6755).add("n" * 300, b"8").add("queue", kind=tarfile.FIFOTYPE)
    told = member.restore(tar.bytes(), "odd").json()
    names = ["../../../.bashrc", "a/../../b", "away/evil", "home/evil", "null", "disk", "hard", "harder", "hardest",
             "n" * 300]  # fmt: skip
    assert (told["files"], told["failed"], told["failed_names"]) == (7, 10, names)
    assert sorted(os.listdir(member.place("odd"))) == ["away", "etc", "fine", "home", "queue", "root", "same"]
    assert stat.S_IMODE((member.place("odd") / "root").stat().st_mode) == 0o755
    assert (sorted(os.listdir(member.home)), (member.home / ".bashrc").read_text()) == ([".bashrc", "restored"], "mine")
    assert sorted(os.listdir(member.place().parent)) == ["home", "odd"]
    member.assert_nothing_is_left()


@pytest.mark.parametrize("link", ["restored", f"restored/{DATE}", f"restored/{DATE}/home", f"restored/{DATE}/home/x"])
def test_links_in_the_home_lead_nowhere(member, link):
    member.restore(Tar().add("kept", b"x").bytes(), "other")
    other, owner = member.home / "other", member.home.stat().st_uid
    path = member.home / link
    subprocess.run(["rm", "-rf", path], check=True)
    for folder in (other, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    path.symlink_to(other)
    subprocess.run(["chown", "-hR", f"{owner}:{owner}", member.home], check=True)
    answer = member.restore(Tar().add("evil", b"x").bytes(), "home/x")
    assert (answer.status_code, f"into {link} in your home" in answer.json()["message"]) == (422, True), answer.text
    assert list(other.iterdir()) == []
    path.unlink()
    assert member.restore(Tar().add("good", b"x").bytes(), "home/x").json()["files"] == 1


def test_a_stream_of_300_mb_takes_no_memory_of_the_hub(member):
    hub = psutil.Process(member.site.hub.process.pid)
    member.restore(Tar().bytes(), "first")  # after which it has all that it needs
    seen = [hub.memory_info().rss]

    def watched():
        for number, piece in enumerate(large(300 * MB)):
            if number % 100 == 0:
                seen.append(hub.memory_info().rss)
            yield piece

    answer = member.restore(watched())
    assert (answer.status_code, answer.json()["files"]) == (200, 1)
    assert (member.place() / "large").stat().st_size == 300 * MB
    assert max(seen) - seen[0] < 20 * MB
    (member.place() / "large").unlink()
