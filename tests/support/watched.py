"""A real Prometheus with the configuration and the rules of a site, but it looks every second; and what it scrapes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from ruamel.yaml import YAML

from jupyterhub_mlinfn import metrics
from jupyterhub_mlinfn.cli import monitoring_config
from jupyterhub_mlinfn.settings import Settings
from support import lab_numbers
from support.engine import remove_all, show_evidence
from support.places import CHECKOUT, free_ports, test_name
from support.proxy import Proxy
from support.receiver import listening
from support.wait import until

RULES = CHECKOUT / "compose/prometheus"
FIRES = {"groups": [{"name": "test", "rules": [{"alert": "Test", "expr": "vector(1)",
                                                "labels": {"severity": "warning"}}]}]}  # fmt: skip
HUB = 2
SECOND_CADVISOR = 18
"""A machine has one; here are both, as each version of cgroups makes it tell."""


class Prometheus:
    """It, on a port of loopback."""

    def __init__(self, port: int):
        self.url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What it answers now. Raises AssertionError for what is no query."""
        answer = requests.get(f"{self.url}/query", params={"query": query}, timeout=10).json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        return answer["data"]["result"] if answer["data"]["resultType"] == "vector" else [answer["data"]]

    def alerts(self) -> dict[tuple[str, str], str]:
        """Alert and job -> whether it fires or waits for that, as Prometheus has it at hand."""
        told = requests.get(f"{self.url}/alerts", timeout=10).json()["data"]["alerts"]
        return {(each["labels"]["alertname"], each["labels"].get("job", "")): each["state"] for each in told}

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            return requests.get(f"{self.url}/status/buildinfo", timeout=5).ok
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="module")
def watched(images, engine, proxy_command, tmp_path_factory) -> Iterator[Prometheus]:
    """One that scrapes everything that there is to scrape, or what stands in its place."""
    settings = Settings(port=free_ports())
    folder, name = tmp_path_factory.mktemp("watched"), test_name()
    with ExitStack() as stack:
        stack.callback(remove_all, engine, name)
        for offset, text in _pages().items():
            stack.enter_context(listening(settings.port + offset, text))
        stack.callback(_proxy(settings.port, proxy_command, folder / "proxy.log").stop)
        stack.callback(show_evidence, engine, name)  # shown if something failed
        write(folder, settings, configuration(settings, monitoring_config.PORTS))
        words, more = _node_exporter(settings)
        engine.containers.run(images["monitoring"], words, name=f"{name}-node", detach=True, network_mode="host",
                              **more)  # fmt: skip
        yield started(engine, images["monitoring"], name, folder, _port(settings, "prometheus"))


def started(engine: docker.DockerClient, image: str, name: str, folder: Path, port: int, *flags: str,
            data: str = "") -> Prometheus:  # fmt: skip
    """One in a container that answers, with what was written into the folder; `data` has options of its file system."""
    words = ["prometheus", "--config.file=/rules/prometheus.yml", "--storage.tsdb.path=/data",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", *flags]  # fmt: skip
    engine.containers.run(image, words, name=f"{name}-prometheus-{port}", detach=True, network_mode="host", user="0:0",
                          volumes={str(folder): {"bind": "/rules", "mode": "ro"}}, tmpfs={"/data": data})  # fmt: skip
    prometheus = Prometheus(port)
    until(prometheus.answers, 20, "Prometheus")
    return prometheus


def _port(settings: Settings, service: str) -> int:
    return settings.port + monitoring_config.PORTS[service]


def _pages() -> dict[int, Callable[[], str]]:
    """How far a port is from the first one -> what is told there."""
    ports = monitoring_config.PORTS
    others = {each.page for each in metrics.DECLARED} - {"hub"}
    return {
        HUB: lab_numbers.hub(), **{ports[page]: lab_numbers.declared(page) for page in others},
        ports["cadvisor"]: lab_numbers.from_file("cadvisor-cgroup-v1.txt"),
        SECOND_CADVISOR: lab_numbers.from_file("cadvisor-cgroup-v2.txt"),
        ports["dcgm-exporter"]: lab_numbers.from_file("dcgm-exporter.txt"),
    }  # fmt: skip


def _proxy(port: int, command: list[str], log: Path) -> Proxy:
    """One that has passed something on."""
    told = ["--metrics-ip=127.0.0.1", f"--metrics-port={port + monitoring_config.PORTS['proxy']}"]
    proxy = Proxy([*command, *told], port, "a token", log, f"http://127.0.0.1:{port + HUB}", host_routing=False)
    proxy.start()
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).ok
    return proxy


def write(folder: Path, settings: Settings, config: dict[str, Any]) -> None:
    """The configuration and the rules are there, and all is looked at every second."""
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "prometheus.yml").write_text(json.dumps(config | {"rule_files": ["/rules/rules-*.json"], "alerting": {}}))
    files = [YAML(typ="safe").load(path) for path in sorted(RULES.glob("*.yaml"))]
    for number, rules in enumerate((*files, monitoring_config.thresholds(settings), FIRES)):
        every_second = {"groups": [{**group, "interval": "1s"} for group in rules["groups"]]}
        (folder / f"rules-{number}.json").write_text(json.dumps(every_second))


def configuration(settings: Settings, services: Collection[str]) -> dict[str, Any]:
    """That of a site with these services, but for where the hub is and what had to be fetched."""
    config = monitoring_config.prometheus(settings, services)
    hub, *others = config["scrape_configs"]
    hub |= {"authorization": None, "static_configs": [{"targets": [f"127.0.0.1:{settings.port + HUB}"]}]}
    for job in others:
        if job.pop("file_sd_configs", None):
            [service] = [name for name in monitoring_config.PORTS
                         if monitoring_config.JOBS.get(name, name) == job["job_name"]]  # fmt: skip
            job["static_configs"] = [{"targets": [f"127.0.0.1:{_port(settings, service)}"]}]
        if job["job_name"] == "cadvisor":
            job["static_configs"][0]["targets"].append(f"127.0.0.1:{settings.port + SECOND_CADVISOR}")
    return config


def _node_exporter(settings: Settings) -> tuple[list[str], dict[str, Any]]:
    """Its command, as Compose has it, and what else its container has."""
    command = YAML(typ="safe").load(CHECKOUT / "compose/compose.yaml")["services"]["node-exporter"]["command"]
    port = str(_port(settings, "node-exporter"))
    words = [re.sub(r"\$\{[^}]+\}", port, word).replace("$$", "$") for word in command]
    return words, {"volumes": {path: {"bind": f"/host{path}", "mode": "ro"} for path in ("/proc", "/sys", "/etc")},
                   "user": "69008:69008"}  # fmt: skip
