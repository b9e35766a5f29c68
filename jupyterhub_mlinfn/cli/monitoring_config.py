"""What Prometheus and Alertmanager are told, from the settings. Both read JSON where they read YAML."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .. import grafana, network
from ..settings import Settings, bytes_of, seconds_of
from ..settings_monitoring import SECRETS

PROMETHEUS, NODE, ALERTMANAGER = "prometheus", "node-exporter", "alertmanager"
GRAFANA, CADVISOR, DCGM, DIRSIZE = "grafana", "cadvisor", "dcgm-exporter", "dirsize"
FETCHED = (GRAFANA, CADVISOR, DCGM)
"""Images of others, which a registry has to give."""
PORTS = {"proxy": 17, "guard": 3, "gpus": 5, "cvmfs-probe": 6, "backup": 8, PROMETHEUS: 10, NODE: 11, ALERTMANAGER: 12,
         GRAFANA: grafana.PAGE.offset, CADVISOR: 14, DCGM: 15, DIRSIZE: 16, "certificate": 18,
         "traefik": 19}  # fmt: skip
"""Services that have /metrics on loopback -> their ports, from `port` on."""
JOBS = {"cvmfs-probe": "cvmfs", NODE: "node", DCGM: "dcgm"}
"""Their names in Prometheus, where it is another than the service's."""
TOKEN = "prometheus_token"
"""The file with the token of which the hub has a copy."""
GRAFANAS = "grafana_metrics"
"""The file with the password of Grafana's metrics: its page is for people, and what is on its port is on that page."""
INTERVAL = "15s"
LATE = "1h"
"""Samples that come with a time so long ago are taken: a clock that was set back must not blind us."""
MOST_SAMPLES = 50_000
"""A target with more in one answer is out of order, and counts as down."""
CONTAINERS = "|.*[0-9a-f]{64}(\\.scope)?"
"""cAdvisor's `id` of containers, with either version of cgroups; and what has none."""
KEEPER = "keeper"
TEST = "Test"
"""The alert that `mlinfn alerts test` sends. It waits for no others."""


def prometheus(settings: Settings, services: Collection[str]) -> dict[str, Any]:
    """Its configuration, with a job for each of these services that has metrics."""
    return {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL, "sample_limit": MOST_SAMPLES,
                   "body_size_limit": "20MB"},
        "storage": {"tsdb": {"out_of_order_time_window": LATE}},
        "rule_files": ["/usr/share/mlinfn/*.yaml", "/etc/prometheus/thresholds.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [_target(settings, ALERTMANAGER)]}]}]},
        "scrape_configs": [_hub(settings), *(_job(settings, name) for name in PORTS if name in services)],
    }  # fmt: skip


def _hub(settings: Settings) -> dict[str, Any]:
    """Labs' numbers come with the time at which they were taken; a lab that has gone is gone at once."""
    return {"job_name": "hub", "metrics_path": "/hub/metrics", "track_timestamps_staleness": True,
            "authorization": {"type": "token", "credentials_file": f"{SECRETS}{TOKEN}"},
            "static_configs": [{"targets": [f"{network.gateway(settings)}:{settings.port + 2}"]}]}  # fmt: skip


def _job(settings: Settings, service: str) -> dict[str, Any]:
    job = {"job_name": JOBS.get(service, service)}
    if service in FETCHED:  # whether it runs is known only once it was tried
        job["file_sd_configs"] = [{"files": [f"/etc/prometheus/targets/{service}.json"]}]
    else:
        job["static_configs"] = [{"targets": [_target(settings, service)]}]
    if service == CADVISOR:
        job["metric_relabel_configs"] = [{"source_labels": ["id"], "regex": CONTAINERS, "action": "keep"}]
    if service == GRAFANA:
        job |= {"metrics_path": f"{grafana.PAGE.prefix}metrics",
                "basic_auth": {"username": PROMETHEUS, "password_file": f"{SECRETS}{GRAFANAS}"}}  # fmt: skip
    return job


def _target(settings: Settings, service: str) -> str:
    return f"127.0.0.1:{settings.port + PORTS[service]}"


def targets(settings: Settings, service: str, *, runs: bool) -> list[Mapping[str, Any]]:
    """Where a service that had to be fetched is scraped, if it runs."""
    return [{"targets": [_target(settings, service)]}] if runs else []


def size(settings: Settings) -> str:
    """Most that Prometheus keeps, as it writes sizes."""
    return f"{bytes_of(settings.monitoring.size)}B"


def alertmanager(settings: Settings) -> dict[str, Any]:
    """Its configuration: everything goes to the keeper, by all the ways that the settings have."""
    return {
        "route": {"receiver": KEEPER, "group_by": ["alertname"], "repeat_interval": "12h",
                  "routes": [{"matchers": [f'alertname="{TEST}"'], "group_by": ["..."], "group_wait": "0s"}]},
        "receivers": [{"name": KEEPER, **settings.monitoring.model_dump(mode="json")["alerts"]}],
        "inhibit_rules": [{"source_matchers": ['alertname="DiskFull"'], "target_matchers": ['alertname="DiskFilling"'],
                           "equal": ["mountpoint"]}],
    }  # fmt: skip


def thresholds(settings: Settings) -> dict[str, Any]:
    """The numbers that alerts compare with, as series: mlinfn:threshold{of="gpu_hot"}."""
    rules = [{"record": "mlinfn:threshold", "labels": {"of": name}, "expr": f"vector({value:g})"}
             for name, value in _thresholds(settings)]  # fmt: skip
    return {"groups": [{"name": "thresholds", "rules": rules}]}


def _thresholds(settings: Settings) -> Iterator[tuple[str, float]]:
    """In base units: durations in seconds, shares as parts of one."""
    wanted = settings.monitoring.thresholds
    for name in ("disk_full", "backup_verified", "certificate", "clock"):
        yield name, seconds_of(getattr(wanted, name))
    for name in ("disk_free", "memory_free", "gpu_idle", "starts_failing"):
        yield name, getattr(wanted, name) / 100
    for name in ("gpu_hot", "restarts"):
        yield name, getattr(wanted, name)
    yield "backup_age", seconds_of(settings.backup.max_age)
