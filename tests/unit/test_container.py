"""The container's plan, values in and values out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyterhub_mlinfn.container import Lab, explain_exit, plan, refused_keys, with_person, without_missing
from jupyterhub_mlinfn.identity import Group, Person
from jupyterhub_mlinfn.options import Choice
from jupyterhub_mlinfn.settings import Limits
from jupyterhub_mlinfn.volumes import Mount

ANNA = Person("anna", "anna", 70000)
CHOICE = Choice("lab", "JupyterLab", "mlinfn/lab:1", 2**30, 1.5, {"environment": {"HOME": "/x", "A": 1}}, {})
BASE = {"environment": {"JUPYTERHUB_API_TOKEN": "t"}, "command": ["x"], "port": 8888, "network": "n"}


def planned(**changes):
    """The plan of anna's lab."""
    mounts = (Mount("/srv/users/anna", "/home/anna"),)
    return plan(Lab("site", ANNA), CHOICE, mounts, {**BASE, **changes}, Limits())


def test_a_lab_has_no_rights_and_all_limits():
    host = planned().host
    assert host["cap_drop"] == ["ALL"]
    assert "no-new-privileges" in host["security_opt"]
    assert host["privileged"] is False
    assert host["mem_limit"] == host["memswap_limit"] == 2**30
    assert host["cpu_quota"] == 150_000
    assert host["pids_limit"] == Limits().processes


def test_a_site_cannot_loosen_a_lab_by_accident():
    host = planned(host={"cap_drop": [], "security_opt": ["seccomp=x"], "pids_limit": -1, "shm_size": 5}).host
    assert host["cap_drop"] == ["ALL"]
    assert host["security_opt"] == ["seccomp=x", "no-new-privileges"]
    assert host["pids_limit"] == Limits().processes
    assert host["shm_size"] == 5
    assert refused_keys({"devices": ["/dev/kvm"], "shm_size": 5}) == ("devices",)
    assert refused_keys({"runtime": "x", "security_opt": ["seccomp=unconfined"]}) == (
        "runtime", "security_opt: unconfined")  # fmt: skip


def test_only_an_image_of_others_gets_the_group_that_docker_stacks_write_with():
    theirs = replace(CHOICE, image="registry.example.org/jupyter/scipy-notebook:latest")
    base = {**BASE, "host": {"group_add": ["300"]}}
    assert planned().host["group_add"] == []
    assert plan(Lab("site", ANNA), theirs, (), base, Limits()).host["group_add"] == ["300", "100"]


def test_a_room_says_so_on_its_label_whatever_its_image_says():
    base = {**BASE, "image_labels": {"it.infn.mlinfn.room": "another"}}
    room = Person("room-cms", "room-cms", 70001, place="/rooms/cms")
    create = plan(Lab("site", room, room="cms"), CHOICE, (), base, Limits()).create
    assert create["labels"]["it.infn.mlinfn.room"] == "cms"
    assert create["working_dir"] == create["environment"]["HOME"] == "/rooms/cms"
    assert planned(image_labels=base["image_labels"]).create["labels"]["it.infn.mlinfn.room"] == ""


def test_labels_are_those_of_the_contract():
    labels = planned().create["labels"]
    assert labels == {
        "it.infn.mlinfn.instance": "site", "it.infn.mlinfn.user": "anna", "it.infn.mlinfn.server": "",
        "it.infn.mlinfn.profile": "lab", "it.infn.mlinfn.image": "mlinfn/lab:1",
        "hub.jupyter.org/username": "anna", "hub.jupyter.org/servername": "",
    }  # fmt: skip


def test_labels_of_the_image_do_not_reach_the_lab():
    image = {"it.infn.mlinfn.gpus": "GPU-1,GPU-2", "it.infn.mlinfn.slots": "1", "it.infn.mlinfn.user": "eva",
             "it.infn.mlinfn.room": "x", "org.opencontainers.image.title": "Lab"}  # fmt: skip
    ours = planned().create["labels"]
    empty = dict.fromkeys(("it.infn.mlinfn.gpus", "it.infn.mlinfn.slots", "it.infn.mlinfn.room"), "")
    assert planned(image_labels=image).create["labels"] == {**empty, **ours}


def test_a_profile_sets_variables_of_its_own_but_not_ours():
    environment = planned().create["environment"]
    assert environment["A"] == "1"
    assert environment["HOME"] == "/home/anna"
    assert environment["JUPYTERHUB_API_TOKEN"] == "t"
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert environment["MLINFN_GPUS"] == ""


def test_an_images_own_entry_gives_way_to_the_member():
    passwd, group = with_person("root:x:0:0::/root:/bin/sh\nanna:x:5:5::/:/bin/sh\nold:x:70000:1::/:\n", "", ANNA)
    assert passwd == "root:x:0:0::/root:/bin/sh\nanna:*:70000:70000:anna:/home/anna:/bin/bash\n"
    assert group == "anna:x:70000:\n"


def test_groups_are_named_in_the_lab():
    anna = Person("anna", "anna", 70000, (Group("cms", "cms", 90000), Group("ml", "ml", 90001)))
    _, group = with_person("", "root:x:0:\nold:x:90001:\n", anna)
    assert group == "root:x:0:\nanna:x:70000:\ncms:x:90000:anna\nml:x:90001:anna\n"


def test_a_group_called_like_one_of_the_image_or_its_member_has_none_of_their_rights():
    anna = Person("anna", "anna", 70000, (Group("sudo", "sudo", 90000), Group("anna", "anna", 90001)))
    _, group = with_person("", "sudo:x:27:\n", anna)
    assert group == "sudo:x:27:\nanna:x:70000:\nsudo--group:x:90000:anna\nanna--group:x:90001:anna\n"


def test_a_name_cannot_add_a_line_to_passwd():
    evil = Person("x:0:0\nroot2", "x--1", 70000)
    assert with_person("", "", evil)[0] == "x--1:*:70000:70000:x00root2:/home/x--1:/bin/bash\n"


def test_a_lab_has_the_groups_of_its_member():
    anna = Person("anna", "anna", 70000, (Group("cms", "cms", 90000),))
    planned = plan(Lab("site", anna), CHOICE, (), BASE, Limits())
    assert planned.create["user"] == "70000:70000"
    assert planned.host["group_add"] == ["90000"]  # and 100 as well where the image is not ours


def test_sizes_of_shm_and_tmp_are_settings_and_never_all_of_the_memory():
    def sizes(**limits) -> tuple[int, int]:
        host = plan(Lab("site", ANNA), CHOICE, (), BASE, Limits(**limits)).host
        return host["shm_size"], int(host["tmpfs"]["/tmp"].rpartition("=")[2])

    assert sizes(shm="64M", tmp="32M") == (64 * 2**20, 32 * 2**20)
    assert sizes(shm="2G", tmp="1G") == (2**30 // 2, 2**30 // 4)
    assert "tmpfs" not in planned().host


def test_a_folder_of_the_site_that_is_not_there_is_left_out():
    there, away = Mount("/data/a", "/a", optional=True), Mount("/data/b", "/b", optional=True)
    whole = plan(Lab("site", ANNA), CHOICE, (there, away), BASE, Limits())
    said = 'invalid mount config for type "bind": bind source path does not exist: /data/b\n'
    rest, missing = without_missing(whole, said)
    assert missing == "/data/b"
    assert [mount["Source"] for mount in rest.host["mounts"]] == ["/data/a"]
    for other in (said.replace("/data/b", "/srv/users/anna"), "no space left on device"):
        assert without_missing(whole, other) == (whole, "")


@pytest.mark.parametrize(
    ("state", "log", "words"),
    [
        ({"Error": 'exec: "jupyterhub-singleuser": executable file not found in $PATH'}, "", "not made for JupyterHub"),
        ({"ExitCode": 1}, "exec format error", "another processor"),
        ({"ExitCode": 137, "OOMKilled": True}, "", "more than the 1G of memory"),
        ({"ExitCode": 0}, "", "ended at once"),
        ({"ExitCode": 3}, "last words", "exit code 3.\n\nlast words"),
    ],
    ids=["no program", "architecture", "memory", "ends", "log"],
)
def test_an_end_is_explained(state, log, words):
    assert words in explain_exit(state, log, 2**30)
