"""Files as labs see them: every row of the table of rights, tried in real labs of two members and a keeper."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest
from support import access
from support.mini_lab import offer
from support.places import test_name as new_name
from support.site import Site, closing_site

pytestmark = pytest.mark.docker
OF_OTHERS_IMAGES = ("users",)
"""The group 100 in labs with images that are not ours, such as the mini lab's."""


@pytest.fixture(scope="module")
def site(mini_image, tmp_path_factory, proxy_command, engine, request):
    """A running instance with groups and folders of its own, and everybody's lab."""
    data = tmp_path_factory.mktemp("data")
    (data / "course").mkdir()
    (data / "course/one").write_text("lesson")
    (data / "cms").mkdir(mode=0o700)
    extra = [{"source": str(data / "course"), "target": "/data/course"},
             {"source": str(data / "cms"), "target": "/data/cms", "mode": "rw", "groups": ["cms"]},
             {"source": str(data / "away"), "target": "/data/away"}]  # fmt: skip
    site = Site(tmp_path_factory.mktemp("files"), new_name(), proxy_command, engine)
    with closing_site(site, request):
        site.start(**offer(mini_image), groups=["cms", "ml"], storage={"extra": extra},
                   limits={"shm": "128M", "tmp": "64M"})  # fmt: skip
        for name, groups in access.PEOPLE.items():
            site.add_user(name, groups=groups, admin=name == "keeper")
            site.api.start(name)
        give_to_cms(data / "cms", site)
        for name, command in access.SETTING.items():
            assert run(site, name, command) == (0, "")
        yield site


def give_to_cms(folder, site: Site) -> None:
    """As the administrator of a data disk does it."""
    os.chown(folder, 0, gid_of(site, "cms"))
    folder.chmod(0o2770)


def gid_of(site: Site, group: str) -> int:
    with closing(sqlite3.connect(site.root / "hub/identity.sqlite")) as book:
        return book.execute("SELECT gid FROM groups WHERE name = ?", (group,)).fetchone()[0]


def run(site: Site, name: str, command: str) -> tuple[int, str]:
    """Exit status and output of a command in somebody's lab, as its programs run it: umask 002 edits what is there."""
    ended = site.lab_of(name).exec_run(["bash", "-c", f"umask 002; {command}"])
    return ended.exit_code, ended.output.decode()


@pytest.mark.parametrize("row", access.ROWS, ids=lambda row: f"{row.who} {row.does}")
def test_files_are_for_whom_the_table_says(site, row):
    status, said = run(site, row.who, row.command)
    assert (status == 0) == row.may, said


def test_names_and_numbers_are_right_inside(site):
    said = run(site, "boris", "whoami; id -un; id -gn; id -Gn; getent passwd boris; echo $EMAIL; touch ~/a; ls -l ~/a")
    whoami, user, group, groups, entry, email, listed = said[1].splitlines()
    assert (whoami, user, group) == ("boris", "boris", "boris")
    assert set(groups.split()) == {"boris", "cms", "ml", *OF_OTHERS_IMAGES}
    assert entry.endswith(":boris:/home/boris:/bin/bash")
    assert email == "boris@localhost"
    assert listed.split()[2:4] == ["boris", "boris"]


def test_sizes_of_tmp_and_shm_are_those_of_the_settings(site):
    _, said = run(site, "anna", "df --output=size -m /tmp /dev/shm")
    assert said.split()[1:] == ["64", "128"]


def test_a_folder_that_is_away_keeps_nobody_out(site):
    assert run(site, "anna", "ls /data/away")[0] != 0
    assert "away is not there: the lab of anna starts without it" in site.hub.text()


def test_no_folder_of_the_host_is_world_writable(site):
    found = [path for path in site.root.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o002
             and path.is_dir()]  # fmt: skip
    assert found == []


def test_numbers_stay_when_labs_and_the_hub_begin_anew(site):
    before = run(site, "boris", "id; stat -c '%u %g' /groups/cms/day/notes")
    site.hub.stop()
    site.start_hub()
    site.api.stop("boris")
    site.api.start("boris")
    assert run(site, "boris", "id; stat -c '%u %g' /groups/cms/day/notes") == before


@pytest.mark.parametrize("name", ["backup", "jovyan", "games"])
def test_a_member_whom_the_image_knows_already_is_themselves(site, name):
    site.add_user(name, groups=("cms",))
    site.api.start(name)
    status, said = run(site, name, "whoami; echo $HOME; touch ~/file && stat -c %U ~/file; id -Gn")
    assert (status, said.splitlines()[:3]) == (0, [name, f"/home/{name}", name])
    assert set(said.splitlines()[3].split()) == {name, "cms", *OF_OTHERS_IMAGES}
    site.api.stop(name)
