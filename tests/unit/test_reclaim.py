"""What root wrote in a member's folders is theirs again, whatever is planted there or swapped meanwhile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from jupyterhub_mlinfn import folders, reclaim
from jupyterhub_mlinfn.identity import Group, Person
from jupyterhub_mlinfn.reclaim import Claim

ANNA = Person("anna", "anna", 70000, (Group("cms", "cms", 90000),))
NUMBERS = (70000, 109999)
HOME = Claim("", 70000, 70000, *NUMBERS)
GROUP = Claim("", 70000, 90000, *NUMBERS, is_shared=True)


@pytest.mark.parametrize(
    ("claim", "before", "after"),
    [
        (HOME, (0, 0), (70000, 70000)),
        (HOME, (70000, 70000), (70000, 70000)),
        (HOME, (70000, 90000), (70000, 90000)),
        (HOME, (70001, 70001), (70000, 70001)),
        (HOME, (42, 65534), (70000, 70000)),
        (GROUP, (0, 90000), (70000, 90000)),
        (GROUP, (0, 0), (70000, 90000)),
        (GROUP, (70001, 90000), (70001, 90000)),
        (GROUP, (33, 33), (70000, 90000)),
    ],
    ids=["root's", "hers", "hers, of a group", "another's at home", "a service's", "root's in the group", "all root's",
         "another member's", "a service's in the group"],
)  # fmt: skip
def test_files_of_nobody_become_the_members_and_files_of_members_stay(claim, before, after):
    assert claim.owner(*before) == after


@pytest.fixture
def root(tmp_path):
    """A root folder with anna's folders."""
    for name in ("users", "shared", "groups", "hub"):
        (tmp_path / name).mkdir()
    for folder in folders.of_person(tmp_path, ANNA):
        folders.make(folder)
    return tmp_path


def settle(root: Path) -> int:
    return sum(reclaim.settle(claim) for claim in reclaim.claims(root, ANNA, NUMBERS))


def owner(path: Path) -> tuple[int, int]:
    state = path.lstat()
    return state.st_uid, state.st_gid


def test_everything_that_root_left_is_found(root):
    home, group = root / "users/anna", root / "groups/cms"
    (home / "a/b/c").mkdir(parents=True)
    (home / "a/b/c/file").touch()
    (home / "link").symlink_to("/etc/shadow")
    os.mkfifo(home / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(home / "door"))
    (group / "file").touch()
    os.chown(group / "file", 0, 0)
    assert settle(root) == 8
    for path in (*home.rglob("*"), home):
        assert owner(path) == (70000, 70000), path
    assert owner(group / "file") == (70000, 90000)
    assert settle(root) == 0


def test_nothing_is_set_uid_any_more(root):
    program, mine = root / "users/anna/program", root / "shared/anna/mine"
    for path, uid in ((program, 0), (mine, 70000)):
        path.touch()
        os.chown(path, uid, uid)
        path.chmod(0o6755)
    settle(root)
    assert [path.stat().st_mode & 0o7777 for path in (program, mine)] == [0o755, 0o755]
    assert (root / "groups/cms").stat().st_mode & 0o7777 == 0o2770


def test_files_of_others_in_the_group_stay_theirs(root):
    other = root / "groups/cms/theirs"
    other.touch()
    os.chown(other, 70001, 90000)
    settle(root)
    assert owner(other) == (70001, 90000)


def test_a_groups_folder_that_root_took_is_the_groups_again(root):
    group = root / "groups/cms"
    os.chown(group, 0, 0)
    group.chmod(0o777)
    os.removexattr(group, "system.posix_acl_default")
    settle(root)
    assert (owner(group), group.stat().st_mode & 0o7777) == ((0, 90000), 0o2770)
    assert os.getxattr(group, "system.posix_acl_default") == folders.GROUP_EDITS


@pytest.fixture
def outside(tmp_path_factory):
    """A folder and a file that are root's and have to stay so."""
    place = tmp_path_factory.mktemp("outside")
    (place / "secret").write_text("secret")
    (place / "secret").chmod(0o4600)
    return place


def untouched(outside: Path) -> bool:
    secret = outside / "secret"
    return owner(outside) == owner(secret) == (0, 0) and secret.stat().st_mode & 0o7777 == 0o4600


def test_a_planted_link_changes_nothing_elsewhere(root, outside):
    (root / "users/anna/folder").symlink_to(outside)
    (root / "users/anna/file").symlink_to(outside / "secret")
    settle(root)
    assert untouched(outside)
    (root / "shared/anna").rmdir()
    (root / "shared/anna").symlink_to(outside)
    with pytest.raises(OSError, match="shared/anna"):
        settle(root)
    assert untouched(outside)


def test_a_link_swapped_in_meanwhile_changes_nothing_elsewhere(root, outside):
    home, over = root / "users/anna", threading.Event()
    (home / "folder").mkdir()
    (home / "folder/secret").touch()
    (home / "file").touch()
    (home / "link").symlink_to(outside)
    (home / "file-link").symlink_to(outside / "secret")

    def swap() -> None:
        while not over.is_set():
            exchange(home / "folder", home / "link")
            exchange(home / "file", home / "file-link")

    swapper = threading.Thread(target=swap)
    swapper.start()
    changed = 0
    while changed < 300:  # what is found as root's is there to be changed again
        changed += settle(root)
        for name in ("folder", "file"):
            with suppress(FileNotFoundError):
                os.chown(home / name, 0, 0, follow_symlinks=False)
    over.set()
    swapper.join()
    assert untouched(outside)


def exchange(one: Path, other: Path) -> None:
    """Both names change what they mean, one after the other, as fast as can be."""
    aside = one.with_name(".aside")
    os.rename(one, aside)
    os.rename(other, one)
    os.rename(aside, other)


def test_other_file_systems_and_the_deepest_folders_are_left_alone(root):
    home = root / "users/anna"
    (home / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", home / "disk"], check=True)
    try:
        (home / "disk/file").touch()
        deep = home
        for _ in range(reclaim.DEEPEST + 5):
            deep = deep / "d"
            deep.mkdir()
        settle(root)
        assert owner(home / "disk/file") == (0, 0)
        assert owner(deep) == (0, 0)
        assert owner(deep.parents[10]) == (70000, 70000)
    finally:
        subprocess.run(["umount", home / "disk"], check=True)


def test_the_book_is_kept_until_it_is_settled(root):
    book = reclaim.book_of(root, "anna")
    wanted = reclaim.claims(root, ANNA, NUMBERS)
    reclaim.write(book, wanted)
    later = reclaim.claims(root, Person("anna", "anna", 70000, (Group("ml", "ml", 90001),)), NUMBERS)
    reclaim.write(book, later)
    assert set(reclaim.read(book)) == {*wanted, *later}
    (root / "users/anna/file").touch()
    done = subprocess.run([sys.executable, "-m", "jupyterhub_mlinfn.reclaim", book], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{root}/users/anna: 1 files" in done.stdout
    assert owner(root / "users/anna/file") == (70000, 70000)
    assert not book.exists()


def test_a_book_that_could_not_be_settled_is_kept(root):
    book = reclaim.book_of(root, "anna")
    reclaim.write(book, reclaim.claims(root, ANNA, NUMBERS))
    (root / "users/anna").rmdir()
    (root / "users/anna").symlink_to("/etc")
    done = subprocess.run([sys.executable, "-m", "jupyterhub_mlinfn.reclaim", book], capture_output=True, text=True)
    assert done.returncode != 0
    assert book.exists()
