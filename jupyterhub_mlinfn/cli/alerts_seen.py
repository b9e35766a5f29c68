"""What Prometheus finds wrong, as the keeper reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from ..settings import Settings
from . import monitoring_config
from .direct import ANSWER_S, DIRECT
from .finding import Finding
from .output import counted

SHOWN = 3
"""So many are named in one line."""
NO_RECEIVER = "write `monitoring: {alerts: ...}` into mlinfn.yaml: docs/how-to/watch-the-machine.md"


@dataclass(frozen=True)
class Alert:
    """One thing that is wrong."""

    name: str
    severity: str
    """critical, or warning."""
    summary: str
    todo: str
    page: str
    since: str


@dataclass(frozen=True)
class Seen:
    """How the machine is doing, as far as it is watched."""

    alerts: tuple[Alert, ...] = ()
    trouble: str = ""
    """Why nobody knows."""


def look(settings: Settings) -> Seen:
    """What Prometheus says now."""
    if not settings.monitoring.enabled:
        return Seen()
    url = f"http://127.0.0.1:{settings.port + monitoring_config.PORTS[monitoring_config.PROMETHEUS]}/api/v1/alerts"
    try:
        with DIRECT.open(url, timeout=ANSWER_S) as answer:
            return Seen(firing(json.load(answer)))
    except (OSError, HTTPException, ValueError) as error:
        return Seen(trouble=f"Prometheus does not answer ({getattr(error, 'reason', error)}).")


def firing(answer: Mapping[str, Any]) -> tuple[Alert, ...]:
    """The alerts that fire, the worst and the oldest first."""
    found = [Alert(each["labels"]["alertname"], each["labels"].get("severity", "warning"), said.get("summary", ""),
                   said.get("todo", ""), said.get("page", ""), each["activeAt"])
             for each in answer["data"]["alerts"] if each["state"] == "firing" for said in [each["annotations"]]]
    return tuple(sorted(found, key=lambda each: (each.severity != "critical", each.since, each.summary)))


def finding(settings: Settings, seen: Seen) -> Finding | None:
    """What is wrong, or that nothing is; nothing where the site has nothing watched."""
    title, wanted = "Monitoring", settings.monitoring
    if not wanted.enabled:
        return None
    if seen.trouble:
        return Finding("amber", title, f"Nobody watches the machine: {seen.trouble}",
                       f"mlinfn up; mlinfn logs {monitoring_config.PROMETHEUS}")
    if seen.alerts:
        named = " ".join(each.summary for each in seen.alerts[:SHOWN])
        more = f" And {len(seen.alerts) - SHOWN} more." if len(seen.alerts) > SHOWN else ""
        is_critical = any(each.severity == "critical" for each in seen.alerts)
        return Finding("red" if is_critical else "amber", title, f"{named}{more}", "mlinfn alerts")
    if not wanted.alerts:
        return Finding("amber", title, "Nothing is wrong. When something is, nobody is told.", NO_RECEIVER)
    ways = counted(sum(map(len, wanted.alerts.values())), "way")
    without = "" if wanted.cadvisor else " cAdvisor does not run: `monitoring.cadvisor` names no image."
    return Finding("green", title, f"Nothing is wrong. When something is, you are told by {ways}.{without}")
