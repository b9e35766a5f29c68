"""What containers use, from Docker's answers to questions for their stats. Touches nothing."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Usage:
    """What one container used until `at`, in epoch seconds: CPU and network add up, memory and processes are of then.

    Memory and network are in bytes.
    """

    at: float
    cpu_s: float = 0
    memory: int = 0
    processes: int = 0
    received: int = 0
    sent: int = 0


def usage_of(stats: Mapping[str, Any]) -> Usage | None:
    """What the answer says; None if the container does not run any more."""
    memory = stats.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    cards = (stats.get("networks") or {}).values()
    return Usage(
        at=epoch(stats["read"]),
        cpu_s=stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        memory=working_set(memory),
        processes=(stats.get("pids_stats") or {}).get("current", 0),
        received=sum(card["rx_bytes"] for card in cards),
        sent=sum(card["tx_bytes"] for card in cards),
    )


def working_set(memory: Mapping[str, Any]) -> int:
    """Bytes in use without those that the kernel takes back first: parts of files that were not read lately.

    It is what `docker stats` shows (docker/cli, calculateMemUsageUnixNoCache) and what cAdvisor calls working set. The
    number that is taken off has one name with cgroup v1, where only `total_` counts groups below, another with v2.
    """
    told = memory.get("stats") or {}
    return max(0, memory["usage"] - told.get("total_inactive_file", told.get("inactive_file", 0)))


def epoch(docker_time: str) -> float:
    """Seconds since 1970 of "2026-11-24T10:00:00.123456789Z"."""
    whole, _, fraction = docker_time.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{fraction or 0}")


class Sums:
    """What containers used together, by some key. It only grows, also when containers end.

    Of a container that ran before `since`, when nobody looked, only what it uses from then on counts.
    """

    def __init__(self, since: float):
        self.since = since
        self.totals: dict[Hashable, Usage] = {}
        self._last: dict[str, Usage] = {}

    def add(self, key: Hashable, container: str, started: float, usage: Usage) -> None:
        """What the container has used since the last time is added to the key's total."""
        before = self._last.get(container, usage if started < self.since else Usage(started))
        total = self.totals.get(key, Usage(usage.at))
        self.totals[key] = Usage(
            usage.at, total.cpu_s + max(0, usage.cpu_s - before.cpu_s),
            received=total.received + max(0, usage.received - before.received),
            sent=total.sent + max(0, usage.sent - before.sent),
        )  # fmt: skip
        self._last[container] = usage

    def keep(self, containers: Collection[str]) -> None:
        """The others have ended; what they used stays in the totals."""
        self._last = {each: usage for each, usage in self._last.items() if each in containers}
