"""The labs of the instance: what the hub says of them, together with what their containers hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PREFIX = "it.infn.mlinfn."


@dataclass(frozen=True)
class Lab:
    """One lab, with what is known of it; None is what is not."""

    user: str
    server: str
    state: str
    """running, starting, stopping, or unknown to the hub."""
    profile: str | None = None
    image: str | None = None
    memory: int | None = None
    """Bytes that it may take."""
    cpus: float | None = None
    gpus: tuple[str, ...] = ()
    since: str | None = None
    active: str | None = None
    """When somebody did something in it last."""

    @property
    def name(self) -> str:
        """PERSON, or PERSON/SERVER, as people type it."""
        return f"{self.user}/{self.server}" if self.server else self.user


def listed(containers: Iterable[Mapping[str, Any]], servers: Mapping[tuple[str, str], Mapping[str, Any]] | None
           ) -> list[Lab]:  # fmt: skip
    """All labs by name. `servers` is None where the hub does not answer: then containers alone say which run."""
    found = {key: each for each in containers if (key := _key(each))}
    known = servers or {}
    return [_lab(*key, found.get(key), known.get(key), asked=servers is not None) for key in sorted({*found, *known})]


def _key(container: Mapping[str, Any]) -> tuple[str, str] | None:
    labels = container["Config"]["Labels"]
    user = labels.get(f"{PREFIX}user")
    return (user, labels.get(f"{PREFIX}server", "")) if user else None


def _lab(user: str, server: str, container: Mapping[str, Any] | None, known: Mapping[str, Any] | None, *,
         asked: bool) -> Lab:  # fmt: skip
    labels, host = (container["Config"]["Labels"], container["HostConfig"]) if container else ({}, {})
    known = known or {}
    return Lab(
        user, server, _state(known, asked), labels.get(f"{PREFIX}profile"), labels.get(f"{PREFIX}image"),
        host.get("Memory") or None, _cpus(host), tuple(filter(None, labels.get(f"{PREFIX}gpus", "").split(","))),
        known.get("started") or (container["State"]["StartedAt"] if container else None), known.get("last_activity"),
    )  # fmt: skip


def _state(known: Mapping[str, Any], asked: bool) -> str:
    if not asked:
        return "running"
    pending = {"spawn": "starting", "stop": "stopping"}
    return pending.get(known.get("pending") or "", "running") if known else "unknown to the hub"


def _cpus(host: Mapping[str, Any]) -> float | None:
    return host["CpuQuota"] / host["CpuPeriod"] if host.get("CpuQuota") and host.get("CpuPeriod") else None


def ago(moment: str | None, now: datetime) -> str:
    """ "now", "5 min", "3 h", "2 d"; empty for what is not known."""
    if not moment:
        return ""
    minutes = int((now - datetime.fromisoformat(moment[:19] + "+00:00")).total_seconds() // 60)
    if minutes < 1:
        return "now"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
