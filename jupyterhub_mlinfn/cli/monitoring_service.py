"""The services that watch the machine: what they need before they start, and what they have to say."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from .. import files, grafana
from ..cvmfs import mounts
from ..settings import Settings
from . import monitoring_config
from .monitoring_config import ALERTMANAGER, CADVISOR, DCGM, DIRSIZE, FETCHED, GRAFANA, NODE, PROMETHEUS
from .site import CHECKOUT

NAME = "monitoring"
"""The profile of those that are ours."""
PROFILES = {PROMETHEUS: NAME, NODE: NAME, ALERTMANAGER: NAME, DIRSIZE: NAME, GRAFANA: GRAFANA, CADVISOR: CADVISOR,
            DCGM: DCGM}  # fmt: skip
UIDS = {PROMETHEUS: 69007, ALERTMANAGER: 69009, GRAFANA: grafana.PAGE.uid}
"""Those that keep something."""
KEPT = {PROMETHEUS: ("config", "config/targets", "data"), ALERTMANAGER: ("config", "data"), GRAFANA: ("data",)}
"""Their folders."""
READERS = {
    PROMETHEUS: (UIDS[PROMETHEUS], (monitoring_config.TOKEN, monitoring_config.GRAFANAS)),
    ALERTMANAGER: (UIDS[ALERTMANAGER], ()),
    GRAFANA: (UIDS[GRAFANA], (grafana.PAGE.secret, monitoring_config.GRAFANAS, "grafana_key")),
}
"""Who has a folder among the secrets, and what is made for them."""


def profiles(settings: Settings, *, has_gpus: bool) -> tuple[str, ...]:
    """Compose's profiles for this site."""
    if not settings.monitoring.enabled:
        return ()
    wanted = {NAME: True, GRAFANA: True, CADVISOR: settings.monitoring.cadvisor, DCGM: has_gpus}
    return tuple(name for name, runs in wanted.items() if runs)


def variables(settings: Settings) -> dict[str, str]:
    """What compose.yaml needs to know of the settings."""
    ports = {f"MLINFN_{name.replace('-', '_').upper()}_PORT": str(settings.port + monitoring_config.PORTS[name])
             for name in PROFILES}  # fmt: skip
    flags = f"--metrics-ip=127.0.0.1 --metrics-port={settings.port + monitoring_config.PORTS['proxy']}"
    folder, propagation = watched(settings.root, mounts.read())
    return {
        **ports,
        "MLINFN_PER_PERSON": "1" if settings.monitoring.per_person else "",
        "MLINFN_PROXY_METRICS": flags if settings.monitoring.enabled else "",
        "MLINFN_PROMETHEUS_RETENTION": settings.monitoring.retention,
        "MLINFN_PROMETHEUS_SIZE": monitoring_config.size(settings),
        "MLINFN_GRAFANA_URL": grafana.PAGE.url(settings),
        "MLINFN_CADVISOR_IMAGE": settings.monitoring.cadvisor or "",
        "MLINFN_WATCHED_FOLDER": folder,
        "MLINFN_WATCHED_PROPAGATION": propagation,
    }


def watched(root: Path, table: Sequence[mounts.Mounted]) -> tuple[str, str]:
    """What node-exporter sees of the disks, and how: all, later ones included, where / is a shared mount (systemd)."""
    return ("/", "rslave") if mounts.carrier(table, "/").is_shared else (str(root), "rprivate")


def ground(settings: Settings, services: Collection[str]) -> list[str]:
    """What the services need, made where it is missing: folders, configurations. `services` are all that run."""
    if not settings.monitoring.enabled:
        return []
    home = settings.root / NAME
    for name, uid in UIDS.items():
        for folder in (home / name, *(home / name / part for part in KEPT[name])):
            folder.mkdir(mode=0o700, exist_ok=True)
            os.chown(folder, uid, uid)
    written = [
        _write(home, PROMETHEUS, "prometheus.yml", monitoring_config.prometheus(settings, services)),
        _write(home, PROMETHEUS, "thresholds.yaml", monitoring_config.thresholds(settings)),
        _write(home, ALERTMANAGER, "alertmanager.yml", monitoring_config.alertmanager(settings)),
    ]
    if not (settings.root / grafana.TARGETS).is_file():  # else the hub, which reads it, would be restarted for nothing
        write_targets(settings, ())
    return [*filter(None, written), *_close(settings.root / "secrets" / ALERTMANAGER)]


def _write(home: Path, service: str, name: str, data: Any) -> str:
    """A sentence if the file had to be written."""
    path = home / service / "config" / name
    text = json.dumps(data, indent=1) + "\n"
    changed = files.replace_if_changed(path, text, owner=UIDS[service])
    return f"Wrote {path}." if changed else ""


def _close(folder: Path) -> list[str]:
    """The keeper's passwords belong to Alertmanager alone."""
    done, uid = [], UIDS[ALERTMANAGER]
    for path in (each for each in folder.iterdir() if each.is_file()):
        if path.stat().st_mode & 0o077 or path.stat().st_uid != uid:
            os.chown(path, uid, uid)
            path.chmod(0o600)
            done.append(f"Closed {path} to others.")
    return done


def read_by_hub(settings: Settings) -> list[Path]:
    """Files of ours by which the hub knows what runs."""
    path = settings.root / grafana.TARGETS
    return [path] if path.is_file() else []


def write_targets(settings: Settings, running: Collection[str]) -> None:
    """Prometheus asks those that had to be fetched, if they run. It sees at once that this has changed."""
    if not settings.monitoring.enabled:
        return
    for name in FETCHED:
        there = monitoring_config.targets(settings, name, runs=name in running)
        _write(settings.root / NAME, PROMETHEUS, f"targets/{name}.json", there)


def configurations(settings: Settings) -> dict[str, Sequence[Path]]:
    """Service -> files that it reads when it starts."""
    home = settings.root / NAME
    return {PROMETHEUS: [home / PROMETHEUS / "config" / name for name in ("prometheus.yml", "thresholds.yaml")],
            ALERTMANAGER: [home / ALERTMANAGER / "config/alertmanager.yml"],
            GRAFANA: [CHECKOUT / "grafana/grafana.ini", *sorted((CHECKOUT / "grafana/provisioning").rglob("*.yaml"))],
            }  # fmt: skip
