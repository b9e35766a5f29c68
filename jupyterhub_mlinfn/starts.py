"""How starts go, for Prometheus: how long each part takes, how they end, and why."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from . import metrics

STARTED, REFUSED, FAILED, CANCELLED = "started", "refused", "failed", "cancelled"
WHY_REFUSED = ("options", "gpu_limit", "gpu_wait", "session", "subject", "name")
"""Reasons that lie with who asked, or with what everybody else has."""
WHY_CANCELLED = ("gpu_left",)
OTHER, LATE = "other", "timeout"
WHY_FAILED = ("disk", "engine", "exited", "guard", "image", "silent", "site", "start", LATE, OTHER)
"""Reasons that the keeper should know of."""
PHASES, TOTAL = ("queue", "pull", "create", "boot"), "total"


class Start:
    """One start, from its beginning to its end."""

    def __init__(self):
        self.profile = ""
        self.began = self._lap = time.monotonic()
        self._spent: Counter[str] = Counter()

    def spent(self, phase: str) -> None:
        """Nothing; the time since the last call belongs to this phase."""
        before, self._lap = self._lap, time.monotonic()
        self._spent[phase] += self._lap - before

    @contextmanager
    def counted(self, limit_s: float) -> Iterator[None]:
        """Nothing; what happens in the block is the start, which JupyterHub breaks off after so long."""
        try:
            yield
        except BaseException as error:
            outcome, reason = ending(error, is_late=time.monotonic() - self.began >= limit_s)
            metrics.STARTS.labels(self.profile, outcome, reason).inc()
            raise
        metrics.STARTS.labels(self.profile, STARTED, "").inc()
        for phase in PHASES:
            metrics.START_SECONDS.labels(self.profile, phase).observe(self._spent[phase])
        metrics.START_SECONDS.labels(self.profile, TOTAL).observe(time.monotonic() - self.began)


def ending(error: BaseException, *, is_late: bool = False) -> tuple[str, str]:
    """Outcome and reason of a start that ended so. Whatever is not known is a failure of ours."""
    if isinstance(error, asyncio.CancelledError):
        return (FAILED, LATE) if is_late else (CANCELLED, "")
    reason = getattr(error, "reason", OTHER)
    if reason in WHY_CANCELLED:
        return CANCELLED, reason
    if reason in WHY_REFUSED:
        return REFUSED, reason
    return FAILED, reason if reason in WHY_FAILED else OTHER


def refused(error: BaseException) -> None:
    """Nothing; a start was refused before it began, when it was not known yet of what."""
    metrics.STARTS.labels("", *ending(error)).inc()


def expect(profiles: Iterable[str]) -> None:
    """Nothing; starts of these are told from the beginning, so that the first one is more than there was before."""
    for profile in profiles:
        for outcome, reason in ((STARTED, ""), *((FAILED, reason) for reason in WHY_FAILED)):
            metrics.STARTS.labels(profile, outcome, reason)
        for phase in (*PHASES, TOTAL):
            metrics.START_SECONDS.labels(profile, phase)
