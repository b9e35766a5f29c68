"""What is scraped in tests: expositions from files or from code, whose counters grow."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from jupyterhub import metrics as jupyterhubs
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from jupyterhub_mlinfn import metrics

EXPOSITIONS = Path(__file__).parent / "expositions"
TYPE = re.compile(r"^# TYPE (\S+) (\S+)")
SAMPLE = re.compile(r"^(\w+)(\{.*\})? (\S+)( NOW)?$")
ANNA = {"user": "anna", "server": "big", "room": "", "profile": "lab", "container_id": "a" * 64, "name": "t-lab-anna",
        "image": "mlinfn/lab:1", "gpu": "GPU-5c1f0a1e-0000-4000-8000-00000000000a", "index": "0", "class": "a100",
        "group": "cms", "target": "/srv/backup", "repository": "cms.cern.ch", "state": "running", "reason": "",
        "outcome": "started", "phase": "total", "result": "well", "issuer": "https://iam.example.org",
        "directory": "anna", "kind": "users"}  # fmt: skip
BORIS = ANNA | {"user": "room-cms", "room": "cms", "profile": "lab-ml", "container_id": "b" * 64, "name": "t-room-cms",
                "gpu": "GPU-77ab1200-0000-4000-8000-00000000000b", "index": "1", "class": "t4", "group": "atlas",
                "outcome": "failed", "reason": "died", "phase": "pull", "result": "out",
                "state": "stopped", "directory": "cms", "kind": "groups"}  # fmt: skip
"""Two sets of labels; the GPUs and containers are those of the files in expositions/."""


def from_file(name: str) -> Callable[[], str]:
    """An exposition that was written by hand; counters grow by a tenth of what they began with in each second."""
    lines, began = (EXPOSITIONS / name).read_text().splitlines(), time.monotonic()
    kinds = dict(found.groups() for line in lines if (found := TYPE.match(line)))

    def text() -> str:
        grown, now = 1 + (time.monotonic() - began) / 10, f" {time.time_ns() // 1_000_000}"
        return "\n".join(_sample(line, kinds, grown, now) for line in lines) + "\n"

    return text


def _sample(line: str, kinds: Mapping[str, str], grown: float, now: str) -> str:
    if not (found := SAMPLE.match(line)):
        return line
    name, labels, value, at = found.groups()
    number = float(value) * (grown if kinds[name] == "counter" else 1)
    return f"{name}{labels or ''} {number!r}{now if at else ''}"


def declared(page: str) -> Callable[[], str]:
    """A page of ours with every series that the code declares for it, for both sets of labels."""
    registry = CollectorRegistry()
    series = [(each, metrics.KEPT[each.kind](each.name, each.text, each.labels, registry=registry))
              for each in metrics.DECLARED if each.page == page]  # fmt: skip

    def text() -> str:
        for each, kept in series:
            for labels in (ANNA, BORIS):
                _touch(each, kept.labels(*(labels[name] for name in each.labels)) if each.labels else kept)
        return generate_latest(registry).decode()

    return text


def _touch(series: metrics.Series, child) -> None:
    """A value that tells something: counters and histograms go on, moments are near, everything else is 1."""
    if series.kind == "counter":
        child.inc()
    elif series.kind == "histogram":
        child.observe(3)
    else:
        child.set(time.time() + 100 if series.name.endswith("_timestamp_seconds") else 1)


class _OfJupyterHub(Collector):
    def collect(self):
        yield from (family for family in REGISTRY.collect() if family.name.startswith(jupyterhubs.metrics_prefix))


def hub() -> Callable[[], str]:
    """The hub's page: ours, and JupyterHub's own, by its own objects."""
    ours, registry = declared("hub"), CollectorRegistry()
    registry.register(_OfJupyterHub())

    def text() -> str:
        jupyterhubs.RUNNING_SERVERS.set(2)
        jupyterhubs.TOTAL_USERS.set(4)
        for period in jupyterhubs.ActiveUserPeriods:
            jupyterhubs.ACTIVE_USERS.labels(period=period.value).set(3)
        jupyterhubs.REQUEST_DURATION_SECONDS.labels(method="GET", handler="home", code=200).observe(0.02)
        jupyterhubs.EVENT_LOOP_INTERVAL_SECONDS.observe(0.051)
        return generate_latest(registry).decode() + ours()

    return text
