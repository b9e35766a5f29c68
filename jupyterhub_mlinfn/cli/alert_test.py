"""A test alert, sent through Alertmanager: who took it, and why others did not."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.client import HTTPException
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ..errors import OperatorError
from ..settings import Settings
from . import alerts_seen, compose, engine, monitoring_config
from .direct import ANSWER_S, DIRECT
from .site import Site

LIMIT_S = 20
LOOK_EVERY_S = 0.3
LASTS = timedelta(minutes=1)
ENOUGH = 2
"""After so many attempts in vain nobody waits for more, though Alertmanager goes on."""
ASKED, IN_VAIN = "alertmanager_notification_requests_total", "alertmanager_notification_requests_failed_total"
GIVEN_UP = "alertmanager_notifications_failed_total"
ERROR = re.compile(r'err="((?:[^"\\]|\\.)*)"')

Counts = Mapping[str, Counter]
"""Name of a counter -> way -> how often."""


@dataclass(frozen=True)
class Verdict:
    """How one way to the keeper is."""

    way: str
    """email, webhook..."""
    took: bool
    why: str = ""
    """What went wrong."""


def send(site: Site) -> list[Verdict]:
    """Who took the alert. Raises OperatorError where it goes to nobody, or Alertmanager does not answer."""
    wanted = ways(site.settings)
    if not wanted:
        raise OperatorError(f"The alert would go to nobody: there is no receiver. {alerts_seen.NO_RECEIVER}")
    before = _counts(site.settings)
    _ask(site.settings, "/api/v2/alerts", json.dumps([alert(datetime.now(timezone.utc))]).encode())
    end = time.monotonic() + LIMIT_S
    while not is_over(wanted, before, now := _counts(site.settings)) and time.monotonic() < end:
        time.sleep(LOOK_EVERY_S)
    return [Verdict(way, True) if took else Verdict(way, False, _why(site, way))
            for way, took in verdicts(wanted, before, now).items()]  # fmt: skip


def ways(settings: Settings) -> Counter:
    """How the keeper is told, and how often in the same way."""
    return Counter({kind.removesuffix("_configs"): len(all_) for kind, all_ in settings.monitoring.alerts.items()})


def alert(now: datetime) -> dict[str, Any]:
    """The alert, as Alertmanager takes it. It is over soon, and no other has its time."""
    summary = "This is a test. Nothing is wrong."
    return {"labels": {"alertname": monitoring_config.TEST, "severity": "warning", "sent": now.isoformat()},
            "annotations": {"summary": summary, "todo": "Be glad that it came.",
                            "page": "docs/how-to/watch-the-machine.md"},
            "startsAt": now.isoformat(), "endsAt": (now + LASTS).isoformat()}  # fmt: skip


def verdicts(wanted: Counter, before: Counts, now: Counts) -> dict[str, bool]:
    """Way -> whether all of that kind took it."""
    return {way: _more(before, now, ASKED, way) - _more(before, now, IN_VAIN, way) >= count
            for way, count in wanted.items()}  # fmt: skip


def is_over(wanted: Counter, before: Counts, now: Counts) -> bool:
    """True once it is known of every way whether it works."""
    return all(took or _more(before, now, IN_VAIN, way) >= ENOUGH or _more(before, now, GIVEN_UP, way)
               for way, took in verdicts(wanted, before, now).items())  # fmt: skip


def _more(before: Counts, now: Counts, name: str, way: str) -> float:
    return now[name][way] - before[name][way]


def counts(text: str) -> Counts:
    """The counters in Alertmanager's metrics."""
    found = {name: Counter() for name in (ASKED, IN_VAIN, GIVEN_UP)}
    for family in text_string_to_metric_families(text):
        for sample in (each for each in family.samples if each.name in found):
            found[sample.name][sample.labels["integration"]] += sample.value
    return found


def _counts(settings: Settings) -> Counts:
    return counts(_ask(settings, "/metrics"))


def _ask(settings: Settings, path: str, data: bytes | None = None) -> str:
    port = settings.port + monitoring_config.PORTS[monitoring_config.ALERTMANAGER]
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    try:
        with DIRECT.open(request, timeout=ANSWER_S) as answer:
            return answer.read().decode()
    except (OSError, HTTPException) as error:
        raise OperatorError(f"Alertmanager does not answer ({getattr(error, 'reason', error)}). See: mlinfn logs "
                            f"{monitoring_config.ALERTMANAGER}") from error


def _why(site: Site, way: str) -> str:
    """What Alertmanager logged last of this way."""
    container = compose.services(site).get(monitoring_config.ALERTMANAGER)
    lines = engine.last_lines(container["Id"], 50).splitlines() if container else []
    found = [each[1] for line in lines if f"{way}[" in line and (each := ERROR.search(line))]
    return found[-1].replace('\\"', '"') if found else f"nothing came back within {LIMIT_S} s"
