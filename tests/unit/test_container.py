"""The container's plan, values in and values out."""

from __future__ import annotations

import pytest

from jupyterhub_mlinfn.container import Lab, explain_exit, plan, refused_keys, with_person
from jupyterhub_mlinfn.identity import Person
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


def test_labels_are_those_of_the_contract():
    labels = planned().create["labels"]
    assert labels == {
        "it.infn.mlinfn.instance": "site", "it.infn.mlinfn.user": "anna", "it.infn.mlinfn.server": "",
        "it.infn.mlinfn.profile": "lab", "it.infn.mlinfn.image": "mlinfn/lab:1",
        "hub.jupyter.org/username": "anna", "hub.jupyter.org/servername": "",
    }  # fmt: skip


def test_a_profile_sets_variables_of_its_own_but_not_ours():
    environment = planned().create["environment"]
    assert environment["A"] == "1"
    assert environment["HOME"] == "/home/anna"
    assert environment["JUPYTERHUB_API_TOKEN"] == "t"
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert environment["MLINFN_GPUS"] == ""


def test_an_images_own_entry_gives_way_to_the_member():
    passwd, group = with_person("root:x:0:0::/root:/bin/sh\nanna:x:5:5::/:/bin/sh\nold:x:70000:1::/:\n", "", ANNA)
    assert passwd == "root:x:0:0::/root:/bin/sh\nanna:x:70000:70000::/home/anna:/bin/bash\n"
    assert group == "anna:x:70000:\n"


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
