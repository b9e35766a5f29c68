"""The `mlinfn` command as a keeper types it: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import CHECKOUT

from jupyterhub_mlinfn import passwords
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.settings import load

MLINFN = Path(sys.executable).with_name("mlinfn")


@pytest.fixture
def site(tmp_path):
    """A settings file whose root folder has a place for the people, but no services."""
    (tmp_path / "root" / "hub").mkdir(parents=True)
    path = tmp_path / "mlinfn.yaml"
    path.write_text(f"instance: mlinfntest-cli\nroot: {tmp_path}/root\nport: 18400\n"
                    "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}\n")
    return path


@pytest.fixture
def mlinfn(site):
    """Runs the command on that site; gives what it exited with and printed."""

    def run(*words, config=site, typed="", **environ):
        return subprocess.run([MLINFN, *words], input=typed, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "MLINFN_CONFIG": str(config), "NO_COLOR": "1", **environ})

    return run


def printed(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_help_comes_at_once(mlinfn):
    mlinfn("--help")
    before = os.times()
    assert mlinfn("--help").returncode == 0
    after = os.times()  # processor time: how long it takes on a machine that does nothing else
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.3


@pytest.mark.parametrize("words", ["frob", "users add", "status --colour", "up --wait soon"])
def test_a_wrong_command_line_exits_with_2(mlinfn, words):
    done = mlinfn(*words.split())
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_config_check_says_that_all_is_right(mlinfn, site):
    assert f"{site} is right" in mlinfn("config", "check").stdout
    assert printed(mlinfn("config", "check", "--json"))["ok"] is True


@pytest.mark.parametrize("verb", ["config check", "config show", "users list", "status", "doctor", "up", "down",
                                  "logs"])
def test_a_wrong_settings_file_stops_every_verb_without_a_traceback(mlinfn, site, verb):
    site.write_text("porrt: 1\n")
    done = mlinfn(*verb.split())
    assert done.returncode == 1
    assert f"{site}:1: porrt: there is no such key. Did you mean `port`?" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_option_goes_before_the_variable_and_may_stand_anywhere(mlinfn, site, tmp_path):
    for words in (["--config", site, "config", "check"], ["config", "check", f"--config={site}"]):
        assert mlinfn(*words, config=tmp_path / "none.yaml").returncode == 0
    assert "no settings file" in mlinfn("config", "check", config=tmp_path / "none.yaml").stderr


def test_config_show_keeps_values_of_variables_to_itself(mlinfn, site):
    override = "{image: x, environment: {TOKEN: very-secret}}"
    profile = f"{{slug: a, display_name: A, kubespawner_override: {override}}}"
    site.write_text(f"{site.read_text()}profile_list: [{profile}]\n")
    for words in (["config", "show"], ["config", "show", "--json"]):
        shown = mlinfn(*words).stdout
        assert "very-secret" not in shown
        assert "TOKEN" in shown


def test_config_show_prints_settings_that_load_again(mlinfn, site, tmp_path):
    again = tmp_path / "again.yaml"
    again.write_text(mlinfn("config", "show").stdout)
    assert load(again) == load(site)
    assert printed(mlinfn("config", "show", "--json"))["sizes"]["cpus"] == ["1", "2", "4"]


def test_config_schema_is_json_schema(mlinfn):
    assert printed(mlinfn("config", "schema"))["properties"]["port"]["maximum"] == 65500


def test_kubernetes_only_keys_are_named(mlinfn, site):
    site.write_text(site.read_text() + "profile_list:\n  - display_name: Pasted\n    kubespawner_override:\n"
                                       "      image: example/lab\n      node_selector: {gpu: 'true'}\n")
    assert "node_selector" in mlinfn("config", "check").stdout


def test_somebody_who_is_added_logs_in_with_the_printed_password(mlinfn, site):
    person = printed(mlinfn("users", "add", "Anna", "--admin", "--group", "cms", "--group", "ml", "--json"))
    assert (person["name"], person["admin"], person["groups"]) == ("anna", True, ["cms", "ml"])
    file = load(site).root / "hub" / "passwords.json"
    assert passwords.matches(passwords.read(file)["anna"], person["password"])
    assert person["password"] not in file.read_text()
    assert printed(mlinfn("users", "list", "--json")) == [{"name": "anna", "admin": True, "groups": ["cms", "ml"]}]


def test_a_person_through_their_time(mlinfn, site):
    assert "password:  " in mlinfn("users", "add", "🦊").stdout
    assert mlinfn("users", "add", "🦊").returncode == 2
    assert printed(mlinfn("users", "change", "🦊", "--admin", "--group", "cms", "--json"))["admin"] is True
    file = load(site).root / "hub" / "passwords.json"
    assert mlinfn("users", "password", "🦊", "--stdin", typed="a new long password\n").returncode == 0
    assert passwords.matches(passwords.read(file)["🦊"], "a new long password")
    assert passwords.read(file)["🦊"].groups == ("cms",)
    assert mlinfn("users", "remove", "🦊").returncode == 0
    assert "Nobody may log in yet" in mlinfn("users", "list").stdout


@pytest.mark.parametrize(("words", "typed", "why"), [
    ("users add ../anna", "", "slash"),
    ("users add anna --stdin", "short\n", "12 to 1000"),
    ("users password nobody", "", "nobody called nobody"),
    ("users remove nobody", "", "nobody called nobody"),
    ("logs frobnicator", "", "no service frobnicator"),
])
def test_what_cannot_be_is_said_in_a_sentence(mlinfn, words, typed, why):
    done = mlinfn(*words.split(), typed=typed)
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_people_need_a_prepared_root(mlinfn, site):
    (load(site).root / "hub").rmdir()
    done = mlinfn("users", "add", "anna")
    assert done.returncode == 1
    assert "mlinfn prepare" in done.stderr


@pytest.mark.parametrize("verb", ["up", "down", "logs"])
def test_docker_not_running_is_said_in_one_sentence(mlinfn, site, verb):
    (load(site).root / "compose.env").touch()
    done = mlinfn(verb, DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert done.returncode == 1
    assert done.stderr.startswith("Docker is not running. Start it with: ")
    assert len(done.stderr.splitlines()) == 1


def test_status_and_doctor_work_without_docker(mlinfn):
    for verb in ("status", "doctor"):
        done = mlinfn(verb, "--json", DOCKER_HOST="unix:///nonexistent/docker.sock")
        assert done.returncode == 1
        first, *_ = json.loads(done.stdout)["findings"]
        assert (first["level"], first["reason"]) == ("red", "Docker is not running.")
        assert "dockerd" in first["remedy"] or "docker" in first["remedy"]


@pytest.mark.parametrize(("text", "whole"), [
    ("mlinfn up", "mlinfn --config {} up"),
    ("sudo mlinfn images pull; mlinfn up", "sudo mlinfn --config {0} images pull; mlinfn --config {0} up"),
    ("put it right in mlinfn.yaml, or mlinfn/lab", "put it right in mlinfn.yaml, or mlinfn/lab"),
])  # fmt: skip
def test_commands_for_another_instance_name_it(site, text, whole):
    assert Site(site).command(text) == whole.format(site)
    assert Site(CHECKOUT / "config/mlinfn.yaml").command(text) == text


def test_a_machine_without_docker_is_told_what_to_run(mlinfn):
    done = mlinfn("up", PATH="/nonexistent")
    assert done.returncode == 1
    assert "./install.sh installs Docker" in done.stderr


def test_output_has_no_colour_where_nobody_can_see_it(mlinfn):
    assert "\x1b" not in mlinfn("status").stdout
