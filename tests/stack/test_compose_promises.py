"""What compose.yaml promises about every service, read from the file; no engine is asked."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from ruamel.yaml import YAML
from support.places import CHECKOUT

COMPOSE = CHECKOUT / "compose" / "compose.yaml"
TEXT = COMPOSE.read_text()
SERVICES = YAML(typ="safe").load(TEXT)["services"]
SOCKET = "/var/run/docker.sock"

FETCHED = {name: service for name, service in SERVICES.items() if service["pull_policy"] == "missing"}
"""Images of others."""
OURS = {name: service for name, service in SERVICES.items() if name not in FETCHED}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
our_service = pytest.mark.parametrize("service", OURS.values(), ids=OURS)


@our_service
def test_image_is_ours_at_the_one_version(service):
    assert re.fullmatch(r"mlinfn/[a-z-]+:\$\{MLINFN_VERSION(:\?)?\}", service["image"])
    assert service["pull_policy"] == "never"


def test_images_of_others_have_a_version():
    images = {name: service["image"] for name, service in FETCHED.items()}
    assert images.pop("cadvisor").startswith("${MLINFN_CADVISOR_IMAGE:-"), "the site names it, with its registry"
    assert set(images) == {"cvmfs", "grafana", "dcgm-exporter"}
    assert all(re.fullmatch(r"[a-z]+/[a-z-]+:\d+\.\d+\.\d+[\w.-]*", image) for image in images.values())


@every_service
def test_nothing_is_privileged(service):
    assert not service.get("privileged")
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"pid", "ipc", "userns_mode", "device_cgroup_rules"} & set(service)


@pytest.mark.parametrize("service", [each for name, each in SERVICES.items() if name != "cvmfs"])
def test_all_but_the_client_that_mounts_write_nothing_and_have_no_device(service):
    assert service["read_only"] is True
    assert "devices" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "SYS_ADMIN" not in service.get("cap_add", ())


def test_what_mounts_repositories_runs_only_where_it_is_asked_for_and_has_one_device():
    client = SERVICES["cvmfs"]
    assert client["profiles"] == ["cvmfs"]
    assert client["devices"] == ["/dev/fuse"]
    assert {mount["target"] for mount in client["volumes"]} == {
        "/cvmfs", "/etc/cvmfs/default.local", "/var/lib/cvmfs"}  # fmt: skip


def test_repositories_reach_the_prober_as_they_reach_labs():
    [mount] = SERVICES["cvmfs-probe"]["volumes"]
    assert (mount["bind"]["propagation"], mount["read_only"]) == ("rslave", True)


@every_service
def test_user_is_given_and_only_services_with_capabilities_are_root(service):
    uid = service["user"].split(":")[0]
    assert (uid == "0") == bool(service.get("cap_add") or service is SERVICES["certificate"])


def test_what_lets_people_in_can_bind_ports_and_become_nobody_and_nothing_else():
    assert SERVICES["traefik"]["cap_add"] == ["NET_BIND_SERVICE", "SETUID", "SETGID"]
    assert "cap_add" not in SERVICES["certificate"], "it is root by name alone"
    for name in ("traefik", "certificate"):
        assert SERVICES[name]["profiles"] == ["tls"]


@every_service
def test_memory_processes_and_cpu_are_limited(service):
    assert service["mem_limit"] == service["memswap_limit"]
    assert 0 < service["pids_limit"] <= 512
    assert 0 < service["cpus"] <= 1, "more than the CPUs of a small machine is refused by the engine"


@every_service
def test_restarts_and_is_protected_when_memory_runs_out(service):
    assert service["restart"] == "unless-stopped"
    if service is not SERVICES["backup"]:
        assert "MLINFN_OOM_SCORE_ADJ--900" in service["oom_score_adj"]


def test_a_backup_goes_before_a_lab_when_memory_runs_out():
    assert 500 < SERVICES["backup"]["oom_score_adj"] <= 1000


@every_service
def test_health_is_probed_and_logs_are_rotated(service):
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    assert "stop_grace_period" in service


@pytest.mark.parametrize("capability", sorted({c for s in SERVICES.values() for c in s.get("cap_add", ())}))
def test_each_capability_says_who_needs_it(capability):
    assert re.search(rf"^ +- {capability} +# \w+", TEXT, re.MULTILINE)


def test_only_the_hub_has_the_socket():
    having = [name for name, s in SERVICES.items() if any(v["source"] == SOCKET for v in s.get("volumes", ()))]
    assert having == ["hub"]
    assert any(each.startswith("/host/run:") for each in SERVICES["node-exporter"]["tmpfs"]), "what / has below /run"


def test_no_secret_is_in_an_environment_or_a_command():
    for name, service in SERVICES.items():
        words = " ".join([*map(str, service.get("environment", {}).items()), str(service.get("command", ""))])
        assert not re.search(r"token|secret|password|key", words, re.IGNORECASE), name


def test_example_has_every_variable_and_no_other():
    used = set(re.findall(r"\$\{(MLINFN_\w+?)(?=[}:?-])", TEXT))
    used |= {"COMPOSE_FILE", "COMPOSE_PROFILES"}  # read by Compose itself
    example = (CHECKOUT / "compose" / "env.example").read_text()
    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == used


PROFILES = sorted({profile for service in SERVICES.values() for profile in service.get("profiles", ())})
SUBSETS = [(), PROFILES, *([each] for each in PROFILES), *(sorted({*PROFILES} - {each}) for each in PROFILES)]
GPUS = [[], ["gpus-cdi.yaml"], ["gpus-nvidia.yaml"]]


@pytest.mark.docker
@pytest.mark.parametrize("files", GPUS, ids=str)
def test_compose_has_nothing_to_say_about_any_set_of_profiles(files):
    """None, each alone, all, all but each: what a service needs of another is missing in one of these."""
    assert all(len(service.get("profiles", ())) <= 1 for service in SERVICES.values())
    named = [word for name in ("compose.yaml", *files) for word in ("--file", name)]
    for subset in SUBSETS if not files else [PROFILES]:
        environment = {"PATH": os.environ["PATH"], "COMPOSE_PROFILES": ",".join(subset)}
        command = ["docker", "compose", "--env-file", "env.example", *named, "config", "--quiet"]
        done = subprocess.run(command, cwd=COMPOSE.parent, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), subset


def test_what_is_on_its_way_to_a_slow_target_has_room():
    (tmpfs,) = SERVICES["backup"]["tmpfs"]
    assert int(re.search(r"size=(\d+)m", tmpfs)[1]) >= 256, "restic took 120 MB with five connections"
