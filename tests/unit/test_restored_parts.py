"""What may be asked of a restore, and what becomes of what its container says: values in, values out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from traitlets.config import Config

from jupyterhub_mlinfn import gpus, hub, restored, restored_api, volumes
from jupyterhub_mlinfn.collab import PAGE
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.identity import Person
from jupyterhub_mlinfn.settings import Settings
from jupyterhub_mlinfn.unpacking import CUT, DAMAGED, FULL, PLACE

QUERY = {"date": [b"2026-11-24T03.00"], "into": [b"home/analysis"], "bytes": [b"4096"]}
ANNA = Person("Anna", "anna--0123456789abcdef01234567", 20001)
REPORT = {"files": 3, "kept": 1, "kept_names": ["a"], "failed": 1, "failed_names": ["b"]}


def test_words_become_a_place_below_the_folder():
    wanted = restored.parse(QUERY)
    assert (wanted.folder, wanted.size) == ("restored/2026-11-24T03.00/home/analysis", 4096)
    odd = restored.parse({**QUERY, "into": [b"home/bad\xff \n..."], "bytes": []})
    assert (odd.place, odd.size) == ("2026-11-24T03.00/home/bad\udcff \n...", None)


@pytest.mark.parametrize("query", [
    {"date": []}, {"date": [b"2026-11-24"]}, {"date": [b"2026-11-24T03.00/"]}, {"date": [b"2026-11-24T03.00\n"]},
    {"date": ["2026-11-24T03.0\u0663".encode()]}, {"into": []}, {"into": [b"/etc"]}, {"into": [b"a/"]},
    {"into": [b"a/../b"]}, {"into": [b".."]}, {"into": [b"a//b"]}, {"into": [b"a/."]}, {"into": [b"a\0b"]},
    {"into": [b"x" * 256]}, {"into": [b"/".join([b"d" * 200] * 21)]}, {"bytes": [b"-1"]}, {"bytes": [b"1e3"]},
    {"bytes": [b"1" * 19]}], ids=str)  # fmt: skip
def test_other_words_are_refused(query):
    with pytest.raises(UserError, match=r"^This cannot be restored\.") as refused:
        restored.parse({**QUERY, **query})
    assert refused.value.reason == "words"


def test_what_does_not_fit_is_refused_where_its_size_is_known():
    wanted = restored.parse(QUERY)
    restored.check_space(wanted, 4096)
    restored.check_space(restored.Wanted("x", "y"), 0)
    with pytest.raises(UserError, match=r"^0\.0 MB are to be restored") as refused:
        restored.check_space(wanted, 4095)
    assert refused.value.reason == FULL


def test_container_has_one_mount_and_no_rights():
    mount = volumes.of_person(Path("/srv/mlinfn"), ANNA)[0]
    plan = restored.plan("mlinfn", "mlinfn/hub:1", ANNA, mount, restored.parse({**QUERY, "into": [b"a \xff"]}))
    assert plan.create["command"][-2:] == [ANNA.home, "2026-11-24T03.00/a%20%FF"]
    assert plan.create["user"] == "20001:20001"
    assert [(each["Source"], each["Target"]) for each in plan.host["mounts"]] == [
        (f"/srv/mlinfn/users/{ANNA.safe_name}", ANNA.home)]  # fmt: skip
    wanted = {"network_mode": "none", "read_only": True, "privileged": False, "cap_drop": ["ALL"],
              "security_opt": ["no-new-privileges"]}  # fmt: skip
    assert wanted.items() <= plan.host.items()
    assert plan.host["mem_limit"] == plan.host["memswap_limit"]


def test_container_is_no_lab_and_is_told_from_others():
    labels = {"it.infn.mlinfn.instance": "mlinfn", "it.infn.mlinfn.service": "restore"}
    ours = {"Names": [f"/{restored.name_of('mlinfn', ANNA)}"], "Labels": labels, "State": "running"}
    assert restored.is_one(ours)
    assert not gpus.is_lab(ours)
    assert not restored.is_one({**ours, "Names": ["/made-of-its-image"]})
    assert not restored.is_one({**ours, "Labels": None})
    assert not restored.is_one({})


def test_what_was_done_is_told():
    told = restored.answer(json.dumps(REPORT).encode() + b"\n", "restored/x")
    assert told == {"folder": "restored/x", **REPORT}


@pytest.mark.parametrize("word", [CUT, DAMAGED, FULL, PLACE])
def test_every_trouble_is_a_sentence_with_a_number(word):
    said = json.dumps({"trouble": word, "about": "restored/{x}"}).encode()
    with pytest.raises(UserError, match=r"^[A-Z].*\.$") as refused:
        restored.answer(said, "restored/x")
    assert refused.value.reason in restored_api.STATUS
    assert (word == PLACE) == ("restored/{x}" in str(refused.value))


@pytest.mark.parametrize("said", [b"", b"Traceback", b"[]", b'{"files": 1}', b'{"trouble": "other"}', b"\xff"], ids=str)
def test_what_says_nothing_is_nothing(said):
    assert restored.answer(said, "restored/x") is None


def test_the_hub_lets_people_restore_and_keeps_what_else_they_may(tmp_path):
    (tmp_path / "secrets/hub").mkdir(parents=True)
    for name in ("backup_export_token", "backup_page_token", "proxy_token", "cookie_secret", "collab_token",
                 "command_token"):
        (tmp_path / "secrets/hub" / name).write_text("secret")
    for rooms, scopes in ((["cms"], {PAGE.access, restored.SCOPE}), ([], {restored.SCOPE})):
        c = Config()
        named = [{"name": name, "group": "cms"} for name in rooms]
        site = Settings(root=tmp_path, groups=["cms"], rooms=named, monitoring={"enabled": False})
        hub.configure(c, site, tmp_path / "culler_config.py", tmp_path / "mlinfn.yaml")
        assert scopes <= c.JupyterHub.extra_user_scopes
        assert restored.SCOPE in c.JupyterHub.custom_scopes
        assert restored_api.PATH in [path for path, *_ in c.JupyterHub.extra_handlers]
