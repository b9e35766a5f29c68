"""Whether an instance has the service `gpus`, and what `mlinfn` makes of it."""

from __future__ import annotations

import json

import pytest
from support.gpus import WHOLE, specification
from support.places import CHECKOUT

from jupyterhub_mlinfn.cli import compose, env_file, gpu_service, ground
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.settings import GPUs, Settings

NVIDIA = {"runc": {}, "nvidia": {}}


@pytest.fixture
def site(tmp_path):
    config = tmp_path / "mlinfn.yaml"
    config.write_text(f"root: {tmp_path}\nbackup: {{targets: []}}\nmonitoring: {{enabled: false}}\n"
                      "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}\n")
    return Site(config)


@pytest.mark.parametrize(("is_specified", "is_on", "runtimes", "file"), [
    (True, True, NVIDIA, "gpus-cdi.yaml"),
    (True, True, {"runc": {}}, "gpus-cdi.yaml"),
    (True, False, NVIDIA, "gpus-nvidia.yaml"),
    (False, True, NVIDIA, "gpus-nvidia.yaml"),
    (False, True, {"runc": {}}, ""),
    (True, False, {"runc": {}}, ""),
])  # fmt: skip
def test_gpus_reach_the_service_as_the_engine_can_give_them(tmp_path, is_specified, is_on, runtimes, file):
    if is_specified:
        (tmp_path / "nvidia.json").write_text(json.dumps(specification([WHOLE])))
    about = {"CDISpecDirs": [str(tmp_path)] if is_on else None, "Runtimes": runtimes}
    assert gpu_service.file_for(about) == file
    assert not file or (CHECKOUT / "compose" / file).is_file()


@pytest.mark.parametrize("source", ["simulated", "none", "cdi"])
def test_nobody_is_asked_where_the_driver_has_nothing_to_say(source):
    assert gpu_service.extra_file(Settings(gpus=GPUs(source=source))) == ""


@pytest.mark.parametrize(("login", "file", "profiles"), [
    ("local", "", ""), ("demo", "", "demo"), ("local", "gpus-cdi.yaml", "gpus"), ("demo", "gpus-cdi.yaml", "demo,gpus"),
])  # fmt: skip
def test_compose_and_the_hub_are_told(tmp_path, login, file, profiles):
    alone = Settings(login=login, port=9000, backup={"targets": []}, monitoring={"enabled": False})
    given = ground.variables(alone, tmp_path, file)
    assert given["COMPOSE_PROFILES"] == profiles
    assert given["COMPOSE_FILE"] == ("compose.yaml:gpus-cdi.yaml" if file else "compose.yaml")
    assert given["MLINFN_GPUS_REPORT"] == ("http://127.0.0.1:9005/" if file else "")


def test_what_was_written_last_counts_for_all_verbs(site):
    assert compose.optional(site) == ()
    for file, there in (("gpus-nvidia.yaml", ("gpus",)), ("", ())):
        site.env_file.write_text(env_file.text(ground.variables(site.settings, site.config, file)))
        assert compose.optional(site) == there
        assert (str(CHECKOUT / "compose" / "gpus-nvidia.yaml") in compose.words(site, "logs")) == bool(there)
    assert "gpus" not in compose.expected(site.settings), "labs without a GPU wait for nobody"


def test_service_that_cannot_start_is_said_after_the_others_have_started(site, tmp_path, monkeypatch):
    called = tmp_path / "called"
    fails = 'case "$*" in *" gpus") echo no >&2; exit 1; esac'
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$*" >> {called}\n{fails}\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    site.env_file.write_text(env_file.text(ground.variables(site.settings, site.config, "gpus-nvidia.yaml")))
    [said] = compose.up(site, quiet=True)
    assert said.startswith("The service gpus could not be started; the others go on.")
    ups = [line.partition(" up --detach ")[2] for line in called.read_text().splitlines() if " up " in line]
    assert ups == ["hub proxy guard", "--no-deps gpus"]
