"""What the service tells over HTTP on loopback: whether it is well, its state as JSON, metrics for Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone

from prometheus_client.core import Metric

from .. import metrics
from .service import Service
from .state import State, time_of

QUIET_S = 60
"""A service that has not looked for so long hangs."""


def families(states: Sequence[State], now: datetime) -> Iterator[Metric]:
    """The metrics, from what is known of the targets."""
    for told, value in (
        (metrics.BACKUP_LAST_SUCCESS, lambda each: _epoch(each.good)),
        (metrics.BACKUP_AGE, lambda each: now.timestamp() - _epoch(each.good) if each.good else float("nan")),
        (metrics.BACKUP_DATABASES, lambda each: _epoch(each.exported)),
        (metrics.BACKUP_LAST_VERIFIED, lambda each: _epoch(each.verified)),
        (metrics.BACKUP_VERIFIED_FILES, lambda each: each.verified_files),
        (metrics.BACKUP_SIZE, lambda each: each.size),
        (metrics.BACKUP_ADDED, lambda each: sum(kind.added for kind in each.kinds.values())),
        (metrics.BACKUP_UNREAD, lambda each: sum(kind.unread for kind in each.kinds.values())),
        (metrics.BACKUP_DURATION, lambda each: each.duration_s),
        (metrics.BACKUP_UP, lambda each: 0 if each.since else 1),
        (metrics.BACKUP_FAILURES, lambda each: each.failures),
    ):
        yield told.read(([each.url], value(each)) for each in states)


def _epoch(text: str) -> float:
    moment = time_of(text)
    return moment.timestamp() if moment else 0


def answer(service: Service, path: str) -> tuple[int, str]:
    """Status and text for a path."""
    if path == "/health":
        quiet_s = time.monotonic() - service.beat
        return (200, "ok\n") if quiet_s < QUIET_S else (503, f"It has not looked at its targets for {quiet_s:.0f} s.\n")
    if path == "/metrics":
        return 200, metrics.page(families(service.states(), datetime.now(timezone.utc)))
    if path == "/":
        return 200, json.dumps([asdict(each) for each in service.states()], indent=1) + "\n"
    return 404, "There is /, /health and /metrics.\n"
