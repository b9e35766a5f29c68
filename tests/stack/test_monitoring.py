"""What watches the machine, on a real engine: it sees the real hub and host, and the keeper is told."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support.backups import answered, mlinfn
from support.places import free_ports
from support.places import test_name as new_name
from support.receiver import listening
from support.stack import Stack
from support.wait import until

from jupyterhub_mlinfn.cli import compose, monitoring_config, monitoring_service
from jupyterhub_mlinfn.cli.site import Site

pytestmark = pytest.mark.stack

OURS = {"prometheus": 69007, "node-exporter": 69008, "alertmanager": 69009}
ASKED = {"hub", "proxy", "guard", "dirsize", "node", "prometheus", "alertmanager"}
LAB = "a" * 64
CADVISOR = f"""# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{{cpu="total",id="/"}} 7
container_cpu_usage_seconds_total{{cpu="total",id="/docker/{LAB}"}} 5
container_cpu_usage_seconds_total{{cpu="total",id="/system.slice/docker-{LAB}.scope"}} 6
container_cpu_usage_seconds_total{{cpu="total",id="/user.slice"}} 8
# TYPE DCGM_FI_DEV_XID_ERRORS gauge
DCGM_FI_DEV_XID_ERRORS{{gpu="0",UUID="GPU-1"}} 79
"""
"""By hand from their published formats: cAdvisor without Docker's socket, with either version of cgroups, and a GPU."""


@pytest.fixture(scope="module")
def stack(engine, images, tmp_path_factory) -> Iterator[Stack]:
    """A stack that is watched, as `mlinfn up` starts it; `said` is what could not be started."""
    watched = {"cadvisor": "registry.invalid/google/cadvisor:v0.54.1"}
    stack = Stack(tmp_path_factory.mktemp("stack"), new_name(), engine, monitoring=watched)
    try:
        stack.prepare()
        stack.said = compose.up(Site(stack.config), quiet=True)
        yield stack
    finally:
        print(stack.logs())  # shown if something failed
        stack.close()


def got(stack: Stack, what: str, **parameters: str) -> dict:
    """What Prometheus answers; nothing while it starts."""
    try:
        url = f"http://127.0.0.1:{stack.port + 10}/api/v1/{what}"
        return requests.get(url, params=parameters, timeout=5).json()["data"]
    except requests.RequestException:
        return {}


def values(stack: Stack, query: str) -> dict[frozenset, float]:
    """Labels -> value, of an expression."""
    found = got(stack, "query", query=query).get("result", ())
    return {frozenset(each["metric"].items()): float(each["value"][1]) for each in found}


def is_ready(stack: Stack) -> bool:
    """Whether Alertmanager has read its configuration."""
    try:
        return requests.get(f"http://127.0.0.1:{stack.port + 12}/-/ready", timeout=5).ok
    except requests.RequestException:
        return False


def renewed(stack: Stack) -> None:
    """What `mlinfn up` does after mlinfn.yaml was changed."""
    stack.write_settings()
    stack.prepare()
    compose.up(Site(stack.config), quiet=True)
    compose.restart_if_settings_are_newer(Site(stack.config), quiet=True)


def status(stack: Stack) -> dict[str, dict]:
    """What `mlinfn status` finds, by title."""
    findings = json.loads(mlinfn(stack.config, "status", "--json").stdout)["findings"]
    return {each["title"]: each for each in findings}


def test_what_cannot_be_had_is_named_once_and_the_rest_runs(stack):
    assert [each.split()[2] for each in stack.said] == ["grafana", "cadvisor"]
    until(lambda: stack.is_healthy("hub"), 60, "the hub to be well")
    until(lambda: {dict(labels)["job"] for labels in values(stack, "up == 1")} >= ASKED, 60, "all to be asked")
    found = status(stack)
    assert found["Services"]["level"] == "amber"
    assert found["Services"]["reason"].count("grafana is missing") == 1
    assert found["Monitoring"]["level"] != "green", "nobody is told"


def test_the_host_is_seen_and_not_the_container(stack):
    [disk] = values(stack, 'node_filesystem_size_bytes{mountpoint="/"}').values()
    assert disk == shutil.disk_usage("/").total
    [memory] = values(stack, "node_memory_MemTotal_bytes").values()
    assert memory == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert len(values(stack, f'node_uname_info{{nodename="{platform.node()}"}}')) == 1
    assert len(values(stack, 'count by (cpu) (node_cpu_seconds_total)')) == os.cpu_count()


def test_who_watches_has_no_rights_no_socket_and_listens_on_loopback(stack):
    for name, uid in OURS.items():
        container = stack.service(name)
        status = Path(f"/proc/{container.attrs['State']['Pid']}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert (int(fields["CapBnd"], 16), fields["NoNewPrivs"]) == (0, "1"), name
        assert fields["Uid"].split() == [str(uid)] * 4
        assert container.exec_run("find /run /tmp -type s").output == b"", name
    assert stack.service("node-exporter").exec_run("find /host/run -mindepth 1").output == b"", "the host's is hidden"
    watching = {("127.0.0.1", offset) for offset in (10, 11, 12, 16, 17)}
    assert stack.listening() == {*watching, ("127.0.0.1", 0), ("127.0.0.1", 1), ("127.0.0.1", 3), (stack.gateway, 2)}


def test_nobody_else_reads_the_hubs_metrics(stack):
    assert requests.get(f"http://127.0.0.1:{stack.port}/hub/metrics", timeout=5).status_code == 403


def test_every_rule_can_be_worked_out(stack):
    rules = [rule for group in got(stack, "rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules if rule["health"] == "err"} == set()
    assert len(rules) > 40


def test_of_cadvisors_series_those_of_containers_are_kept_and_a_fault_is_an_alert(stack):
    with listening(stack.port + 14, lambda: CADVISOR):
        monitoring_service.write_targets(Site(stack.config).settings, ("cadvisor",))
        until(lambda: values(stack, "container_cpu_usage_seconds_total"), 30, "cadvisor to be asked")
        ids = {dict(labels)["id"] for labels in values(stack, "container_cpu_usage_seconds_total")}
        assert ids == {f"/docker/{LAB}", f"/system.slice/docker-{LAB}.scope"}
        until(lambda: status(stack)["Monitoring"]["level"] == "red", 40, "the alert", every_s=1)
    monitoring_service.write_targets(Site(stack.config).settings, ())
    listed = mlinfn(stack.config, "alerts")
    assert listed.returncode == 1
    assert "GPUFault: GPU 0 (GPU-1) is at fault, by the driver's error 79." in listed.stdout
    assert "docs/how-to/when-an-alert-comes.md#gpufault" in listed.stdout


def test_a_test_alert_reaches_the_keeper_or_the_keeper_is_told_why_not(stack):
    nobody = mlinfn(stack.config, "alerts", "test")
    assert (nobody.returncode, "go to nobody" in nobody.stderr) == (1, True)
    port = free_ports()
    stack.settings["monitoring"]["alerts"] = {"webhook_configs": [{"url": f"http://127.0.0.1:{port}/"}]}
    before = stack.service("prometheus").attrs["State"]["StartedAt"]
    renewed(stack)
    assert stack.service("prometheus").attrs["State"]["StartedAt"] == before, "nothing of its own was changed"
    until(lambda: is_ready(stack), 20, "alertmanager to be back")
    with listening(port) as taken:
        assert answered(stack.config, "alerts", "test") == [{"way": "webhook", "took": True, "why": ""}]
        assert taken[0]["commonLabels"]["alertname"] == monitoring_config.TEST
    refused = mlinfn(stack.config, "alerts", "test")
    assert refused.returncode == 1
    assert "connection refused" in refused.stdout
