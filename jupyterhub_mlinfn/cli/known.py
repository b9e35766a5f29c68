"""What is known of an instance and its machine when it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..gpus import Found
from ..settings import Settings
from . import alerts_seen, backup_service, cvmfs_service, tls_finding
from .machine import Machine
from .outside import Outside

NO_GPUS = Found()
NOTHING_SEEN = cvmfs_service.Seen()
NO_BACKUPS = backup_service.Seen()
NO_ALERTS = alerts_seen.Seen()
NO_CERTIFICATE = tls_finding.Seen()


@dataclass(frozen=True)
class Facts:
    """What was seen, all at about the same time."""

    settings: Settings
    engine: Mapping[str, Any] | str
    """`docker info`, or a sentence why there is none."""
    services: Mapping[str, str]
    """Service -> healthy, starting, missing... (compose.state); empty without an engine."""
    labs: tuple[str, ...]
    """User of each running lab."""
    images: frozenset[str]
    """NAME:TAG of the images on this machine."""
    service_images: tuple[str, ...]
    """The images without which nothing starts."""
    lab_images: tuple[str, ...]
    """The images that members pick from, with tags."""
    guard: str
    """What the guard said: "ok", or why not."""
    hub: str
    """What the hub said through the public port: "ok", or why not."""
    run_is_tmpfs: bool
    secrets: tuple[str, ...]
    """A sentence for each secret that is missing or that others can read."""
    free: Mapping[str, tuple[int, int]]
    """Path -> free and total bytes of its disk."""
    taken_ports: tuple[int, ...]
    """Ports of ours on which something answers."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """What the hub wrote last of the identity service: ok, reason, since (epoch seconds); empty before it did."""
    away: tuple[str, ...] = ()
    """Folders of `storage.extra` that are not there, or do not answer."""
    gpus: Found = NO_GPUS
    """The GPUs that were found, and what the keeper should know about them."""
    cvmfs: cvmfs_service.Seen = NOTHING_SEEN
    """How the repositories stand."""
    misnamed_rooms: str = ""
    """What is wrong with names of rooms: the file, lines and sentences."""
    backups: backup_service.Seen = NO_BACKUPS
    """How the copies stand."""
    monitoring: alerts_seen.Seen = NO_ALERTS
    """What Prometheus finds wrong."""
    certificate: tls_finding.Seen = NO_CERTIFICATE
    """What browsers are shown."""
    machine: Machine | None = None
    """How the machine itself is. `status` does not look."""
    outside: Outside | None = None
    """What others answer. `status` does not ask."""
