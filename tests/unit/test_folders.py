"""Folders of people and groups: who owns them, who enters, and what planted things do not get."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import pytest

from jupyterhub_mlinfn import folders, volumes
from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.identity import Group, Person
from jupyterhub_mlinfn.settings import Storage

ANNA = Person("anna", "anna", 70000, (Group("cms", "cms", 90000),))


@pytest.fixture
def root(tmp_path):
    """A root folder as `mlinfn prepare` makes it."""
    for name in ("users", "shared", "groups", "rooms"):
        (tmp_path / name).mkdir(mode=0o755)
    return tmp_path


def make_all(root, person=ANNA):
    for folder in folders.of_person(root, person):
        folders.make(folder)


def owner_and_mode(path):
    state = path.stat()
    return state.st_uid, state.st_gid, oct(state.st_mode & 0o7777)


def test_folders_are_their_owners_and_made_once(root):
    for _ in range(2):
        make_all(root)
    assert owner_and_mode(root / "users/anna") == (70000, 70000, "0o700")
    assert owner_and_mode(root / "shared/anna") == (70000, 70000, "0o755")
    assert owner_and_mode(root / "groups/cms") == (0, 90000, "0o2770")


def test_what_one_member_writes_the_group_can_edit(root):
    make_all(root)
    as_anna = ["setpriv", "--reuid=70000", "--regid=70000", "--groups=90000", "--", "sh", "-c"]
    write = "umask 077; mkdir -p day/one; echo text >day/one/file"
    subprocess.run([*as_anna, write], cwd=root / "groups/cms", check=True)
    assert owner_and_mode(root / "groups/cms/day/one") == (70000, 90000, "0o2770")
    assert owner_and_mode(root / "groups/cms/day/one/file") == (70000, 90000, "0o660")


def test_rights_that_somebody_changed_stay(root):
    make_all(root)
    (root / "shared/anna").chmod(0o700)
    (root / "groups/cms").chmod(0o2750)
    make_all(root)
    assert owner_and_mode(root / "shared/anna")[2] == "0o700"
    assert owner_and_mode(root / "groups/cms")[2] == "0o2750"


def test_a_start_that_was_cut_off_is_made_good(root):
    (root / "groups/cms").mkdir(mode=0o700)
    (root / "shared/anna").mkdir(mode=0o700)
    make_all(root)
    assert owner_and_mode(root / "groups/cms") == (0, 90000, "0o2770")
    assert owner_and_mode(root / "shared/anna") == (70000, 70000, "0o755")


@pytest.mark.parametrize("name", ["users/anna", "shared/anna", "groups/cms"])
def test_a_planted_link_is_not_followed(root, tmp_path_factory, name):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    before = owner_and_mode(elsewhere)
    (root / name).symlink_to(elsewhere)
    with pytest.raises(OperatorError, match="cannot be made"):
        make_all(root)
    assert owner_and_mode(elsewhere) == before


@pytest.mark.parametrize(("uid", "file"), [(70001, None), (0, "file")], ids=["another member's", "root's, with files"])
def test_a_folder_of_somebody_else_is_left_alone(root, uid, file):
    home = root / "users/anna"
    home.mkdir()
    os.chown(home, uid, uid)
    if file:
        (home / file).touch()
    with pytest.raises(OperatorError, match=f"belongs to uid {uid} "):
        make_all(root)
    assert owner_and_mode(home)[:2] == (uid, uid)


@pytest.fixture
def small_disk(root):
    """A disk of a few pages under users/; call it to fill it or to make it read-only."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=8", "tmpfs", root / "users"], check=True)

    def spoil(how):
        if how == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", root / "users"], check=True)
            return
        with suppress(OSError):
            for number in range(100):
                (root / f"users/{number}").mkdir()
        assert len(os.listdir(root / "users")) < 100

    yield spoil
    subprocess.run(["umount", root / "users"], check=True)


@pytest.mark.parametrize(("how", "said"), [("full", "the disk is full"), ("read-only", "can only be read")])
def test_a_disk_that_takes_nothing_is_told_to_the_member(root, small_disk, how, said):
    small_disk(how)
    with pytest.raises(UserError, match=f"{said}.*Tell the keeper") as refused:
        make_all(root)
    assert refused.value.reason == "disk"


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_home_that_is_there_is_opened_whatever_the_disk_takes(root, small_disk, how):
    make_all(root)
    small_disk(how)
    make_all(root)
    folders.link(folders.of_person(root, ANNA)[0], volumes.links(ANNA))


def test_links_in_a_home_lead_to_the_folders_and_spare_what_is_there(root):
    make_all(root)
    home = folders.of_person(root, ANNA)[0]
    (home.path / "shared").write_text("mine")
    for _ in range(2):
        folders.link(home, volumes.links(ANNA))
    assert (home.path / "shared").read_text() == "mine"
    assert os.readlink(home.path / "groups") == "/groups"
    assert (home.path / "groups").lstat().st_uid == 70000


def test_links_are_not_made_through_a_home_that_is_a_link(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (root / "users/anna").symlink_to(elsewhere)
    folders.link(folders.of_person(root, ANNA)[0], volumes.links(ANNA))
    assert list(elsewhere.iterdir()) == []


def test_a_lab_sees_its_members_folders_and_no_other(root):
    seen = {mount.target: (mount.source, mount.read_only) for mount in volumes.of_person(root, ANNA)}
    assert seen == {
        "/home/anna": (f"{root}/users/anna", False), "/shared": (f"{root}/shared", True),
        "/shared/anna": (f"{root}/shared/anna", False), "/groups/cms": (f"{root}/groups/cms", False),
    }  # fmt: skip
    assert volumes.links(Person("bob", "bob", 70001)) == {"shared": "/shared"}


def test_a_room_has_a_folder_that_its_account_alone_opens_and_that_of_its_group(root):
    room = Person("room-muons", "room-muons", 70005, ANNA.groups, place="/rooms/muons")
    for folder in folders.of_room(root, room):
        folders.make(folder)
    assert owner_and_mode(root / "rooms/muons") == (70005, 70005, "0o700")
    assert owner_and_mode(root / "groups/cms") == (0, 90000, "0o2770")
    assert list((root / "users").iterdir()) == []
    seen = {mount.target: (mount.source, mount.read_only) for mount in volumes.of_room(root, room)}
    assert seen == {"/rooms/muons": (f"{root}/rooms/muons", False), "/shared": (f"{root}/shared", True),
                    "/groups/cms": (f"{root}/groups/cms", False)}  # fmt: skip


def test_the_sites_folders_are_for_whom_it_says():
    storage = Storage(extra=[
        {"source": "/data/cms", "target": "/data/cms", "groups": ["cms", "atlas"]},
        {"source": "/data/scratch", "target": "/scratch", "mode": "rw"},
    ])  # fmt: skip
    both = volumes.of_site(storage, ("cms", "ml"))
    assert [(mount.target, mount.read_only, mount.optional) for mount in both] == [
        ("/data/cms", True, True), ("/scratch", False, True)]  # fmt: skip
    assert [mount.target for mount in volumes.of_site(storage, ("ml",))] == ["/scratch"]
