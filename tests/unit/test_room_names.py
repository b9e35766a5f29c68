"""Rooms that are named like people: said with the line, by the hub before it starts and by `mlinfn config check`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jupyterhub_mlinfn import passwords, room_names
from jupyterhub_mlinfn.cli.facts import misnamed_rooms
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.identity import Subjects
from jupyterhub_mlinfn.settings import load

MLINFN = Path(sys.executable).with_name("mlinfn")
LISTED = "groups: [cms, ml]\nrooms:\n  - {name: cms, group: cms}\n  - name: ml\n    group: ml\n"
EACH = "groups: [cms, ml]\nrooms: each-group\n"


@pytest.fixture
def known(tmp_path):
    """Call it with rooms and people for the settings file of a site that knows them."""

    def make(rooms, *, with_password=(), by_service=()):
        (tmp_path / "root/hub").mkdir(parents=True)
        site = tmp_path / "mlinfn.yaml"
        site.write_text(f"{rooms}root: {tmp_path}/root\nimages: [{{slug: lab, title: Lab, image: mlinfn/lab}}]\n")
        for name in by_service:
            Subjects(tmp_path / "root/hub/identity.sqlite").claim(name, "iam.example.org", f"subject of {name}")
        people = {name: passwords.Person("hash") for name in with_password}
        passwords.change(tmp_path / "root/hub/passwords.json", lambda _: people)
        return site

    return make


def refused(site):
    """What is wrong with names of rooms, each with its line."""
    with pytest.raises(OperatorError) as error:
        room_names.check(site, load(site))
    return [line.removeprefix(f"{site}:") for line in str(error.value).splitlines()[1:]]


@pytest.mark.parametrize("where", ["with_password", "by_service"])
def test_a_room_named_like_a_person_is_said_with_its_line(known, where):
    site = known(LISTED, **{where: ["anna", "ml", "room-cms"]})
    assert refused(site) == [
        "3: rooms[0].name: the account of this room, room-cms, is the user name of a person here. Take another name.",
        "4: rooms[1].name: ml is the user name of a person here. Take another name.",
    ]


def test_with_a_room_for_each_group_the_line_is_that_of_the_word(known):
    remedy = "List the rooms that you want, with other names."
    assert refused(known(EACH, with_password=["cms"])) == [
        f"2: rooms: cms is the user name of a person here. {remedy}"]


def test_names_that_were_somebodys_count_and_others_do_not(known, tmp_path):
    site = known(LISTED, by_service=["ml"], with_password=["cms-ml", "anna"])
    Subjects(tmp_path / "root/hub/identity.sqlite").forget("ml")
    assert [line[0] for line in refused(site)] == ["4"]


def test_where_nobody_is_known_yet_every_name_is_free(known, tmp_path):
    site = known(LISTED)
    room_names.check(site, load(site))
    (tmp_path / "root/hub/passwords.json").unlink()
    room_names.check(site, load(site))
    assert room_names.people(tmp_path / "nowhere") == frozenset()


def test_keepers_are_told_by_config_check_and_by_doctor(known):
    site = known(LISTED, with_password=["cms"])
    done = subprocess.run([MLINFN, "--config", site, "config", "check"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{site}:3: rooms[0].name: cms is the user name of a person here." in done.stderr
    assert "rooms[0].name: cms is the user name" in misnamed_rooms(Site(site))


def test_a_person_with_the_name_of_an_account_can_be_removed(known, tmp_path):
    site = known("login: local\n" + LISTED, with_password=["room-cms"])
    subprocess.run([MLINFN, "--config", site, "users", "remove", "room-cms"], capture_output=True, check=True)
    assert json.loads((tmp_path / "root/hub/passwords.json").read_text()) == {}
    assert misnamed_rooms(Site(site)) == ""
