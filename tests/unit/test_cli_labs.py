"""`mlinfn labs`: what is made of the hub's answer and of the Engine's, and what TAB offers."""

import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
import typer

from jupyterhub_mlinfn.cli import app, completing, labs
from jupyterhub_mlinfn.cli.labs_seen import Lab, ago, listed
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.settings import Settings

MLINFN = Path(sys.executable).with_name("mlinfn")
NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
ANNA = {"started": "2026-11-25T10:00:00Z", "last_activity": "2026-11-25T11:55:00Z", "pending": None}


def container(user: str, **labels) -> dict:
    """What `docker inspect` says of a lab, as far as it is read."""
    named = {f"it.infn.mlinfn.{name}": value for name, value in {"user": user, "server": "", **labels}.items()}
    return {"Config": {"Labels": named}, "State": {"StartedAt": "2026-11-25T10:00:01.123456789Z"},
            "HostConfig": {"Memory": 2**31, "CpuQuota": 150000, "CpuPeriod": 100000}}  # fmt: skip


def test_a_lab_is_what_the_hub_and_its_container_say():
    there = container("anna", profile="lab", image="mlinfn/lab:1", gpus="GPU-1,GPU-2")
    (found,) = listed([there], {("anna", ""): ANNA})
    assert found == Lab("anna", "", "running", "lab", "mlinfn/lab:1", 2**31, 1.5, ("GPU-1", "GPU-2"),
                        "2026-11-25T10:00:00Z", "2026-11-25T11:55:00Z")  # fmt: skip


def test_what_only_one_of_them_knows_is_listed_as_well():
    servers = {("zoe", "night"): {"pending": "spawn", "last_activity": None}, ("bob", ""): {"pending": "stop"}}
    found = listed([container("anna"), container("bob")], servers)
    assert [(each.name, each.state) for each in found] == [
        ("anna", "unknown to the hub"), ("bob", "stopping"), ("zoe/night", "starting")]  # fmt: skip


def test_without_the_hub_the_containers_are_listed():
    (found,) = listed([container("anna")], None)
    assert (found.state, found.since, found.active) == ("running", "2026-11-25T10:00:01.123456789Z", None)


@pytest.mark.parametrize(("moment", "said"), [
    ("2026-11-25T11:59:30Z", "now"), ("2026-11-25T11:55:00.5Z", "5 min"), ("2026-11-25T08:00:00Z", "4 h"),
    ("2026-11-20T12:00:00Z", "5 d"), (None, ""), ("2026-11-25T12:00:30Z", "now"),
])  # fmt: skip
def test_times_are_said_as_people_say_them(moment, said):
    assert ago(moment, NOW) == said


def test_labs_are_chosen_by_the_names_that_are_listed():
    there = [("anna", ""), ("zoe", "night"), ("zoe", "")]
    assert labs.chosen(["zoe/night", "anna/", "anna"], there) == [("zoe", "night"), ("anna", "")]
    assert labs.chosen([], there) == [("anna", ""), ("zoe", ""), ("zoe", "night")]
    with pytest.raises(UserError, match=r"bob has no lab\. There is: anna, zoe, zoe/night\."):
        labs.chosen(["bob"], there)


def test_labs_are_waited_for_longer_than_their_programs_have_to_end():
    assert labs.limit_s(Settings()) == 90
    assert labs.limit_s(Settings(starting={"stop_grace": "10m"})) > 600


@pytest.fixture
def config(tmp_path):
    """Settings of a site with three people and two targets."""
    (tmp_path / "root/hub").mkdir(parents=True)
    (tmp_path / "root/hub/passwords.json").write_text('{"anna": {}, "albert": {}, "zoe": {}}')
    path = tmp_path / "mlinfn.yaml"
    path.write_text(f"root: {tmp_path}/root\nbackup: {{targets: [/srv/backup, 's3:https://s3.example.org/b']}}\n"
                    "images: [{slug: x, title: X, image: registry.example.org/a/x}]\n")  # fmt: skip
    return path


@pytest.fixture
def mlinfn(config, tmp_path, monkeypatch):
    """Call it with a command about that site, on whose engine nothing runs."""
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return lambda words: app(["--config", str(config), *words.split()], standalone_mode=False)


@pytest.mark.parametrize(("words", "printed"), [
    ("labs", "No lab is running.\n"), ("labs list", "No lab is running.\n"), ("labs --json", "[]\n"),
    ("labs list --json", "[]\n"),
])  # fmt: skip
def test_labs_are_listed_with_the_verb_and_without(mlinfn, capsys, words, printed):
    mlinfn(words)
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(("words", "instead"), [
    ("labs --json stop anna", "mlinfn labs stop --json"), ("alerts --json test", "mlinfn alerts test --json"),
    ("labs --json list", "mlinfn labs list --json"),
])  # fmt: skip
def test_json_before_the_verb_is_a_mistake_that_says_where_it_goes(mlinfn, words, instead):
    with pytest.raises(UserError, match=f"^--json goes behind the verb: {instead}$"):
        mlinfn(words)


def context(path) -> typer.Context:
    """What Typer knows while somebody types a command about these settings."""
    return typer.main.get_command(app).make_context("mlinfn", ["--config", str(path), "logs"], resilient_parsing=True)


@pytest.mark.parametrize(("complete", "typed", "names"), [
    (completing.people, "a", ["albert", "anna"]), (completing.targets, "s", ["s3:https://s3.example.org/b"]),
    (completing.pulled, "", ["registry.example.org/a/x:latest"]), (completing.services, "gu", ["guard"]),
    (completing.buildable, "lab-", ["lab-conda", "lab-ml"]),
])  # fmt: skip
def test_tab_offers_names_that_are_there(config, complete, typed, names):
    assert complete(context(config), typed) == names


def test_tab_is_silent_where_nothing_is_known():
    nowhere = context("/nonexistent/mlinfn.yaml")
    for complete in (completing.people, completing.labs, completing.targets, completing.pulled, completing.services):
        assert complete(nowhere, "") == []


def test_tab_works_in_a_shell(config):
    said = {"COMP_WORDS": "mlinfn users password a", "COMP_CWORD": "3", "_MLINFN_COMPLETE": "complete_bash",
            "MLINFN_CONFIG": str(config)}  # fmt: skip
    done = subprocess.run([MLINFN], env={**os.environ, **said}, text=True, capture_output=True, timeout=20)
    assert (done.stdout.split(), done.stderr) == (["albert", "anna"], "")
