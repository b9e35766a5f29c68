"""What it means that a service is not healthy."""

from __future__ import annotations

from collections.abc import Mapping

from .. import backup_page
from . import backup_service, cvmfs_service, monitoring_config, rooms_service, tls_service
from .finding import Finding

GO_ON = (
    ({cvmfs_service.CLIENT, cvmfs_service.PROBE}, "labs go on, with what is mounted in /cvmfs", ""),
    ({"gpus"}, "no GPU is lent until NVIDIA's driver answers it", "nvidia-smi; "),
    ({rooms_service.PAGE}, "nobody finds or starts a room; those that run go on", ""),
    ({backup_page.SERVICE}, "members find their copies only when it is back", ""),
    ({backup_service.NAME}, "nothing is copied until it is back", ""),
    ({monitoring_config.PROMETHEUS, monitoring_config.ALERTMANAGER, monitoring_config.NODE},
     "nobody is told before it hurts", ""),
    ({monitoring_config.GRAFANA}, "no page shows how the machine is doing", ""),
    ({tls_service.CERTIFICATE}, "a certificate that is replaced is not taken until it is back", ""),
    ({monitoring_config.DCGM}, "nobody sees how busy and how hot GPUs are", ""),
    ({monitoring_config.DIRSIZE}, "nobody learns what folders take", ""),
    ({monitoring_config.CADVISOR}, "containers are seen by the hub alone", ""),
)
"""Services without which the others go on, what it means, and what to look at first."""


def service_finding(services: Mapping[str, str]) -> Finding:
    """How they are, from service -> healthy, starting, missing..."""
    ill = {name: state for name, state in services.items() if state != "healthy"}
    if not ill:
        return Finding("green", "Services", f"{', '.join(services)} are healthy.")
    said = ", ".join(f"{name} is {state}" for name, state in ill.items())
    if set(ill.values()) == {"starting"}:
        return Finding("amber", "Services", f"{said}.", "wait a minute")
    if all(state == "missing" for state in services.values()):
        return Finding("red", "Services", "None is there.", "mlinfn up")
    mend = "mlinfn up" if set(ill.values()) <= {"missing", "exited"} else f"mlinfn logs {' '.join(ill)}"
    known = [(names, means, first) for names, means, first in GO_ON if names & set(ill)]
    if all(any(name in names for names, _, _ in known) for name in ill):
        meanings, first = "; ".join(means for _, means, _ in known), "".join(first for _, _, first in known)
        return Finding("amber", "Services", f"{said}: {meanings}.", first + mend)
    return Finding("red", "Services", f"{said}.", mend)
