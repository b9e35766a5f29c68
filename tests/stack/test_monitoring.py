"""What watches the machine, on a real engine: it sees the real hub and host, and the keeper is told."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

import pytest
import requests
from support.backups import answered, mlinfn
from support.monitored import Monitored
from support.places import CHECKOUT, free_ports
from support.receiver import listening
from support.wait import until

from jupyterhub_mlinfn.cli import monitoring_config, monitoring_service

pytestmark = [pytest.mark.stack, pytest.mark.alone]

OURS = {"prometheus": 69007, "node-exporter": 69008, "alertmanager": 69009}
ASKED = {"hub", "proxy", "guard", "backup", "dirsize", "node", "prometheus", "alertmanager"}
ALERTS = CHECKOUT / "compose/prometheus/alerts.yaml"
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
def stack(monitored, burner) -> Monitored:
    """The one that is watched, while a lab works."""
    return monitored


def test_what_cannot_be_had_is_named_once_and_the_rest_runs(stack):
    assert [each.split()[2] for each in stack.said] == ["grafana", "cadvisor"]
    until(lambda: {dict(labels)["job"] for labels in stack.values("up == 1")} >= ASKED, 60, "all to be asked")
    assert stack.value("mlinfn_guard_up") == 1
    found = stack.status()
    assert found["Services"]["level"] == "amber"
    assert found["Services"]["reason"].count("grafana is missing") == 1
    assert found["Monitoring"]["level"] != "green", "nobody is told"


def test_the_host_is_seen_and_not_the_container(stack):
    [disk] = stack.values('node_filesystem_size_bytes{mountpoint="/"}').values()
    assert disk == shutil.disk_usage("/").total
    [memory] = stack.values("node_memory_MemTotal_bytes").values()
    assert memory == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert len(stack.values(f'node_uname_info{{nodename="{platform.node()}"}}')) == 1
    assert len(stack.values("count by (cpu) (node_cpu_seconds_total)")) == os.cpu_count()


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
    others = {("127.0.0.1", offset) for offset in (0, 1, 3, 7, 8, 9)}
    assert stack.listening() == {*watching, *others, (stack.gateway, 2)}


def test_starts_are_counted_by_how_they_ended(stack):
    assert stack.value('mlinfn_starts_total{profile="mini",outcome="started"}') == 1
    assert stack.value('mlinfn_starts_total{profile="dies",outcome="failed",reason="exited"}') == 1


def test_nobody_else_reads_the_hubs_metrics(stack):
    assert requests.get(f"http://127.0.0.1:{stack.port}/hub/metrics", timeout=5).status_code == 403


def test_every_rule_can_be_worked_out(stack):
    rules = [rule for group in stack.got("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules if rule["health"] == "err"} == set()
    assert len(rules) > 40
    named = set(re.findall(r"\b(?:node|process|prometheus|alertmanager)_\w+", ALERTS.read_text()))
    assert {name for name in named if not stack.values(f"count({name})")} == set(), "nobody tells these"


def test_of_cadvisors_series_those_of_containers_are_kept_and_a_fault_is_an_alert(stack):
    with listening(stack.port + 14, lambda: CADVISOR):
        monitoring_service.write_targets(stack.site.settings, ("cadvisor",))
        until(lambda: stack.values("container_cpu_usage_seconds_total"), 30, "cadvisor to be asked")
        ids = {dict(labels)["id"] for labels in stack.values("container_cpu_usage_seconds_total")}
        assert ids == {f"/docker/{LAB}", f"/system.slice/docker-{LAB}.scope"}
        until(lambda: stack.status()["Monitoring"]["level"] == "red", 40, "the alert", every_s=1)
    monitoring_service.write_targets(stack.site.settings, ())
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
    stack.renew()
    assert stack.service("prometheus").attrs["State"]["StartedAt"] == before, "nothing of its own was changed"
    until(stack.is_ready, 20, "alertmanager to be back")
    with listening(port) as taken:
        assert answered(stack.config, "alerts", "test") == [{"way": "webhook", "took": True, "why": ""}]
        assert taken[0]["commonLabels"]["alertname"] == monitoring_config.TEST
    refused = mlinfn(stack.config, "alerts", "test")
    assert refused.returncode == 1
    assert "connection refused" in refused.stdout
